//! Runs the real programs against real and pretended peers.
//!
//! Everything here is used from plain, blocking test code. What has to go on in the background (the pretended
//! server, the targets) lives on one runtime of its own, see [`runtime`].
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a harness ends the test that uses it at the first surprise and says why on stderr"
)]

pub mod content;
pub mod ctl;
pub mod daemon;
pub mod distance;
pub mod keys;
pub mod load;
pub mod netns;
pub mod openssh;
pub mod peer;
pub mod ports;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod raw;
pub mod runtime;
pub mod socks;
pub mod sshd;
pub mod systemd_user;
pub mod targets;
pub mod uploads;
pub mod wait;
pub mod watch;
pub mod world;

pub use ctl::CtlOutput;
pub use netns::Net;
pub use peer::Peer;
pub use sshd::Sshd;
pub use systemd_user::SystemdUser;
pub use wait::wait_for;
pub use watch::Watch;
pub use world::World;
