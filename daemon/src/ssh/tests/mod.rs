//! Tests of the SSH room against OpenSSH's own programs and against a server in this process.

#[cfg(unix)]
mod agents;
mod attempts;
mod certificates;
mod channels;
mod first_keys;
mod host_keys;
pub(super) mod keygen;
mod known_hosts;
mod outcomes;
mod server;
mod world;
