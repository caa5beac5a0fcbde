//! Clients of the control socket, with a test in the place of the daemon's loop.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end by a panic")]

mod explaining;
mod greeting;
mod harness;
mod limits;
mod requests;
