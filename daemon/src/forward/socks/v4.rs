//! SOCKS 4, and 4a with names.

use std::net::Ipv4Addr;

use alknet_proto::Target;
use bytes::Bytes;

use super::{Message, Progress, Request, Version, host};

const CONNECT: u8 = 1;
/// Version, command, port, address.
const N_FIXED_BYTES: usize = 8;

pub(super) const GRANTED: &[u8] = &[0, 0x5A, 0, 0, 0, 0, 0, 0];
pub(super) const REFUSED: &[u8] = &[0, 0x5B, 0, 0, 0, 0, 0, 0];

/// `4, command, port, address, user, 0`, and for 4a with the address 0.0.0.x also `name, 0`
pub(super) fn request(bytes: &[u8]) -> Message {
    let Some(&[_, command, p1, p2, a, b, c, d]) = bytes.first_chunk::<N_FIXED_BYTES>() else {
        return Message::Incomplete;
    };
    let Some(n_user_bytes) = until_zero(&bytes[N_FIXED_BYTES..]) else { return Message::Incomplete };
    let mut n_bytes = N_FIXED_BYTES + n_user_bytes + 1;
    let has_name = [a, b, c] == [0, 0, 0] && d != 0;
    let host = if has_name {
        let Some(n_name_bytes) = until_zero(&bytes[n_bytes..]) else { return Message::Incomplete };
        let name = &bytes[n_bytes..n_bytes + n_name_bytes];
        n_bytes += n_name_bytes + 1;
        host(name).filter(|name| name.len() <= usize::from(u8::MAX))
    } else {
        Some(Ipv4Addr::new(a, b, c, d).to_string())
    };
    let port = u16::from_be_bytes([p1, p2]);
    let progress = match host {
        Some(_) if command != CONNECT => {
            Progress::Refused { reply: REFUSED, why: "it asks for something else than CONNECT" }
        }
        Some(host) if port != 0 => {
            Progress::Asked(Request { target: Target::Tcp(host, port), version: Version::V4, early: Bytes::new() })
        }
        Some(_) | None => Progress::Refused { reply: REFUSED, why: "its target is impossible" },
    };
    Message::Complete(n_bytes, progress)
}

fn until_zero(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == 0)
}
