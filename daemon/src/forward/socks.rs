//! What a SOCKS client says and what it is answered, without IO: SOCKS 5, 4 and 4a, CONNECT only.
//!
//! Names are never looked up here. Whoever speaks anything else gets no answer at all, so that a web page cannot
//! make a browser talk to the port.

mod v4;
mod v5;

use alknet_proto::{Code, Target};
use bytes::{Bytes, BytesMut};

/// The longest handshake, in bytes. The longest one that makes sense has about 600.
const MAX_HANDSHAKE_BYTES: usize = 1 << 10;

/// Reads a client's handshake from bytes that come in any portions.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    unread: BytesMut,
    n_read: usize,
    /// SOCKS 5 asks twice: for the way to log in, then for the target.
    is_greeted: bool,
}

/// What to do after some bytes were read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Read more.
    NeedMore,
    /// Send this, then feed what comes, or nothing, since the rest may be here already.
    Reply(&'static [u8]),
    /// The handshake is complete.
    Asked(Request),
    /// Send this if there is something, then close.
    Refused { reply: &'static [u8], why: &'static str },
}

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) target: Target,
    version: Version,
    /// What came behind the request: the first bytes for the target.
    pub(super) early: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V4,
    V5,
}

impl Request {
    /// The answer when the target is connected.
    pub(super) fn granted(&self) -> &'static [u8] {
        match self.version {
            Version::V4 => v4::GRANTED,
            Version::V5 => v5::GRANTED,
        }
    }

    /// The answer when the target cannot be had.
    pub(super) fn refused(&self, code: Code) -> &'static [u8] {
        match self.version {
            Version::V4 => v4::REFUSED,
            Version::V5 => v5::refused(code),
        }
    }
}

/// What one message came to.
enum Message {
    Incomplete,
    /// Its length in bytes, and what it means.
    Complete(usize, Progress),
}

impl Handshake {
    /// Takes the next bytes in, none at all after a `Reply`. Not to be fed after `Asked` or `Refused`.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Progress {
        self.unread.extend_from_slice(bytes);
        let message = match self.unread.first() {
            None => return Progress::NeedMore,
            Some(4) if !self.is_greeted => v4::request(&self.unread),
            Some(5) if !self.is_greeted => v5::greeting(&self.unread),
            Some(5) => v5::request(&self.unread),
            Some(_) => return Progress::Refused { reply: &[], why: "it does not speak SOCKS" },
        };
        match message {
            Message::Incomplete if MAX_HANDSHAKE_BYTES <= self.n_read + self.unread.len() => {
                Progress::Refused { reply: &[], why: "its handshake has no end" }
            }
            Message::Incomplete => Progress::NeedMore,
            Message::Complete(n_bytes, progress) => {
                let _ = self.unread.split_to(n_bytes);
                self.n_read += n_bytes;
                self.is_greeted = true;
                match progress {
                    Progress::Asked(request) => {
                        Progress::Asked(Request { early: self.unread.split().freeze(), ..request })
                    }
                    Progress::NeedMore | Progress::Reply(_) | Progress::Refused { .. } => progress,
                }
            }
        }
    }
}

/// A name as a client wrote it, if it can be one. It is looked up where the connection is made.
fn host(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let is_possible = !name.is_empty() && !name.contains(|c: char| c.is_control() || c.is_whitespace());
    is_possible.then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
