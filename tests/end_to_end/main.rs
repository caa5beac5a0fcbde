//! The real programs against real and pretended peers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests end at the first surprise")]

mod peers;
