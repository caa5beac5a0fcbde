//! alknetd: holds SSH sessions and forwards, and brings them back.
//!
//! `ARCHITECTURE.md` beside this crate says which room is for what.

pub mod control;
pub mod counters;
pub mod forward;
pub mod ssh;
