//! What SOCKS clients say, and in what pieces they say it.

use crate::script::Step::{Close, End, Exchange, Read, ReadToEnd, Send};
use crate::stage::Case;
use crate::way::{Ask, Manner, Version, Wanted, Way};

const fn asks(version: Version, manner: Manner) -> Way {
    Way::Dynamic(Ask { version, wanted: Wanted::Target, manner })
}

const fn every(manner: Manner) -> [Way; 5] {
    [
        asks(Version::Socks4, manner),
        asks(Version::Socks4a, manner),
        asks(Version::Socks5Ip, manner),
        asks(Version::Socks5Ipv6, manner),
        asks(Version::Socks5Name, manner),
    ]
}

pub(crate) const SOCKS: &[Case] = &[
    Case::same(
        "every version asks and is served",
        &every(Manner::Politely),
        &[Send(1000), Read(1000), End, ReadToEnd],
        &[Read(1000), Send(1000), ReadToEnd],
    ),
    Case::same("a request in pieces of one byte", &every(Manner::Bytewise), &[Exchange(1000)], &[Exchange(1000)]),
    Case::same(
        "bytes that come with the request are not lost",
        &every(Manner::WithEarlyBytes(700)),
        &[Send(300), Read(500), End, ReadToEnd],
        &[Read(1000), Send(500), ReadToEnd],
    ),
    Case::same(
        "everything in one piece, without waiting for an answer",
        &every(Manner::AllAtOnce(700)),
        &[Send(300), End, ReadToEnd],
        &[ReadToEnd, Send(500)],
    ),
    Case::same(
        "a target that speaks before the client",
        &every(Manner::Politely),
        &[Read(20), End, ReadToEnd],
        &[Send(20), ReadToEnd],
    ),
    Case::same(
        "bytes with the request and nothing after it",
        &[Way::RemoteDynamic(Ask {
            version: Version::Socks5Name,
            wanted: Wanted::Target,
            manner: Manner::WithEarlyBytes(5),
        })],
        &[End, ReadToEnd],
        &[ReadToEnd, Send(5)],
    ),
    Case::alone("a client that says nothing and leaves", &[Way::Gibberish(b"")], &[Close]),
    Case::alone("a client that says nothing and ends", &[Way::Gibberish(b"")], &[End, ReadToEnd]),
    Case::alone("a client that leaves in the middle of its request", &[Way::Gibberish(&[5, 1])], &[End, ReadToEnd]),
    Case::alone("a client of another protocol", &[Way::Gibberish(b"GET / HTTP/1.0\r\n\r\n")], &[ReadToEnd]),
];
