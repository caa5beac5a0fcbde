//! Ports that stay free until somebody takes them on purpose.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// Below what the systems give to connections by themselves (from 32768 on), above what services use.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port on which nothing listens now and which the system gives to nobody by itself.
///
/// A port that the system had chosen could be given to any connection before it is listened on.
pub fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    // Test programs that run side by side begin at different places.
    let start = || AtomicU16::new(u16::try_from(std::process::id() * 97 % u32::from(COUNT)).unwrap_or_default());
    loop {
        let port = FIRST + NEXT.get_or_init(start).fetch_add(1, Relaxed) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
