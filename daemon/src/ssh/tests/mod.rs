//! Tests of the SSH room against OpenSSH's own programs and against a server in this process.

mod certificates;
mod first_keys;
mod host_keys;
pub(super) mod keygen;
mod known_hosts;
