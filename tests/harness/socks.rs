//! A SOCKS5 client as small as can be.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};

/// What a SOCKS client asks to be connected to.
#[derive(Clone, Debug)]
pub enum Wanted<'a> {
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name that the other end looks up.
    Name(&'a str),
}

/// The server refused, with this reply code of RFC 1928.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub u8);

/// Connects through the SOCKS server at the other end of `stream`.
///
/// # Errors
/// When the stream breaks; the inner result is [`Refused`] when the server says no.
pub fn connect<S: Read + Write>(stream: &mut S, wanted: &Wanted<'_>, port: u16) -> io::Result<Result<(), Refused>> {
    stream.write_all(&[5, 1, 0])?;
    let mut method = [0; 2];
    stream.read_exact(&mut method)?;
    assert_eq!(method, [5, 0], "the server takes no authentication");
    let mut request = vec![5, 1, 0];
    match wanted {
        Wanted::Ip(IpAddr::V4(ip)) => {
            request.push(1);
            request.extend(ip.octets());
        }
        Wanted::Ip(IpAddr::V6(ip)) => {
            request.push(4);
            request.extend(ip.octets());
        }
        Wanted::Name(name) => {
            request.push(3);
            request.push(u8::try_from(name.len()).expect("a name has at most 255 bytes"));
            request.extend(name.as_bytes());
        }
    }
    request.extend(port.to_be_bytes());
    stream.write_all(&request)?;
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    assert_eq!((head[0], head[2]), (5, 0), "the reply is one of SOCKS5");
    let address_bytes = match head[3] {
        1 => 4,
        4 => 16,
        3 => {
            let mut length = [0];
            stream.read_exact(&mut length)?;
            usize::from(length[0])
        }
        other => panic!("address type {other} in a SOCKS reply"),
    };
    let mut bound = vec![0; address_bytes + 2];
    stream.read_exact(&mut bound)?;
    Ok(if head[1] == 0 { Ok(()) } else { Err(Refused(head[1])) })
}

/// Connects to the SOCKS server on `socks_port` and through it to `wanted`.
///
/// # Panics
/// When the server refuses or the stream breaks.
pub fn through(socks_port: u16, wanted: &Wanted<'_>, port: u16) -> TcpStream {
    let mut stream = crate::load::connect(socks_port);
    match connect(&mut stream, wanted, port) {
        Ok(Ok(())) => stream,
        other => panic!("SOCKS connection to {wanted:?}:{port}: {other:?}"),
    }
}
