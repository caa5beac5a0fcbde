//! SOCKS 5 (RFC 1928), without a login.

use std::net::{Ipv4Addr, Ipv6Addr};

use alknet_proto::{Code, Target};
use bytes::Bytes;

use super::{Message, Progress, Request, Version, host};

const NO_LOGIN: u8 = 0;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const DOMAIN: u8 = 3;
const IPV6: u8 = 4;

/// Replies name the address 0.0.0.0 port 0, as OpenSSH's do: the real one is the server's affair.
pub(super) const GRANTED: &[u8] = &reply(0x00);
const FAILED: &[u8] = &reply(0x01);
const NOT_ALLOWED: &[u8] = &reply(0x02);
const UNREACHABLE: &[u8] = &reply(0x04);
const CONNECTION_REFUSED: &[u8] = &reply(0x05);
const TOO_LATE: &[u8] = &reply(0x06);
const NOT_A_COMMAND: &[u8] = &reply(0x07);
const NOT_AN_ADDRESS: &[u8] = &reply(0x08);

const fn reply(code: u8) -> [u8; 10] {
    [5, code, 0, IPV4, 0, 0, 0, 0, 0, 0]
}

pub(super) fn refused(code: Code) -> &'static [u8] {
    // Codes of every part of the system come by; those without a number of their own are "general failure".
    match code {
        Code::ConnectionRefused => CONNECTION_REFUSED,
        Code::PermissionDenied => NOT_ALLOWED,
        Code::Unreachable | Code::NameNotResolved => UNREACHABLE,
        Code::TimedOut => TOO_LATE,
        _ => FAILED,
    }
}

/// `5, n, n ways to log in`
pub(super) fn greeting(bytes: &[u8]) -> Message {
    let Some(&n_ways) = bytes.get(1) else { return Message::Incomplete };
    let n_bytes = 2 + usize::from(n_ways);
    let Some(ways) = bytes.get(2..n_bytes) else { return Message::Incomplete };
    let progress = if ways.contains(&NO_LOGIN) {
        Progress::Reply(&[5, NO_LOGIN])
    } else {
        Progress::Refused { reply: &[5, 0xFF], why: "it insists on a login" }
    };
    Message::Complete(n_bytes, progress)
}

/// `5, command, 0, kind of address, address, port`
pub(super) fn request(bytes: &[u8]) -> Message {
    let (Some(&command), Some(&kind)) = (bytes.get(1), bytes.get(3)) else { return Message::Incomplete };
    let n_address_bytes = match kind {
        IPV4 => 4,
        IPV6 => 16,
        DOMAIN => match bytes.get(4) {
            Some(&n_bytes) => 1 + usize::from(n_bytes),
            None => return Message::Incomplete,
        },
        _ => {
            let refused = Progress::Refused { reply: NOT_AN_ADDRESS, why: "its kind of address is unknown" };
            return Message::Complete(bytes.len(), refused);
        }
    };
    let n_bytes = 4 + n_address_bytes + 2;
    let Some(message) = bytes.get(..n_bytes) else { return Message::Incomplete };
    let (address, port) = message[4..].split_at(n_address_bytes);
    let port = u16::from_be_bytes([port[0], port[1]]);
    if command != CONNECT {
        let refused = Progress::Refused { reply: NOT_A_COMMAND, why: "it asks for something else than CONNECT" };
        return Message::Complete(n_bytes, refused);
    }
    let host = if let Ok(ip) = <[u8; 4]>::try_from(address).map(Ipv4Addr::from)
        && kind == IPV4
    {
        Some(ip.to_string())
    } else if let Ok(ip) = <[u8; 16]>::try_from(address).map(Ipv6Addr::from)
        && kind == IPV6
    {
        Some(ip.to_string())
    } else {
        host(&address[1..])
    };
    let progress = match host {
        Some(host) if port != 0 => {
            Progress::Asked(Request { target: Target::Tcp(host, port), version: Version::V5, early: Bytes::new() })
        }
        Some(_) | None => Progress::Refused { reply: FAILED, why: "its target is impossible" },
    };
    Message::Complete(n_bytes, progress)
}
