//! Targets that refuse, that cannot be reached, or that do not exist.

use crate::script::Step::{Close, ReadToEnd, Send};
use crate::stage::Case;
use crate::way::{Ask, Manner, Rule, Version, Wanted, Way};

const fn asks(version: Version, wanted: Wanted) -> Way {
    Way::Dynamic(Ask { version, wanted, manner: Manner::Politely })
}

pub(crate) const REFUSALS: &[Case] = &[
    Case::alone("a refused target", &[Way::Through(Rule::LocalToNobody)], &[ReadToEnd])
        .better(&["connected, end | "], "connected, reset | "),
    Case::alone(
        "a refused target, and a client that speaks first",
        &[Way::Through(Rule::LocalToNobody)],
        &[Send(10), ReadToEnd],
    )
    .better(&["connected, end | ", "connected, reset | "], "connected, reset | "),
    Case::alone("an unknown name", &[Way::Through(Rule::LocalToUnknownName)], &[ReadToEnd])
        .better(&["connected, end | "], "connected, reset | "),
    Case::alone("an unreachable target", &[Way::Through(Rule::LocalToUnreachable)], &[ReadToEnd])
        .better(&["connected, end | "], "connected, reset | "),
    Case::alone("a socket that does not exist", &[Way::Through(Rule::LocalToNoSocket)], &[ReadToEnd])
        .better(&["connected, end | "], "connected, reset | "),
    Case::alone(
        "a refused target of a remote forward",
        &[Way::Through(Rule::RemoteToNobody), Way::Through(Rule::RemoteToNoSocket)],
        &[ReadToEnd],
    ),
    Case::alone(
        "a client that leaves before it hears that its target refuses",
        &[Way::Through(Rule::LocalToNobody), Way::Through(Rule::RemoteToNobody)],
        &[Close],
    ),
    Case::alone(
        "a refused target by SOCKS 5",
        &[
            asks(Version::Socks5Ip, Wanted::Nobody),
            asks(Version::Socks5Name, Wanted::Nobody),
            asks(Version::Socks5Ipv6, Wanted::Nobody),
        ],
        &[ReadToEnd],
    )
    .better(&["connected, end | "], "connected, denied 5, end | "),
    Case::alone(
        "a refused target by SOCKS 4",
        &[asks(Version::Socks4, Wanted::Nobody), asks(Version::Socks4a, Wanted::Nobody)],
        &[ReadToEnd],
    )
    .better(&["connected, end | "], "connected, denied 91, end | "),
    Case::alone("an unknown name by SOCKS 5", &[asks(Version::Socks5Name, Wanted::UnknownName)], &[ReadToEnd])
        .better(&["connected, end | "], "connected, denied 4, end | "),
    Case::alone("an unknown name by SOCKS 4a", &[asks(Version::Socks4a, Wanted::UnknownName)], &[ReadToEnd])
        .better(&["connected, end | "], "connected, denied 91, end | "),
    Case::alone("an unreachable target by SOCKS 5", &[asks(Version::Socks5Ip, Wanted::Unreachable)], &[ReadToEnd])
        .better(&["connected, end | "], "connected, denied 5, end | "),
    Case::alone("an unreachable target by SOCKS 4", &[asks(Version::Socks4, Wanted::Unreachable)], &[ReadToEnd])
        .better(&["connected, end | "], "connected, denied 91, end | "),
    Case::alone(
        "a refused target by SOCKS at the server",
        &[Way::RemoteDynamic(Ask::nobody(Version::Socks5Ip))],
        &[ReadToEnd],
    )
    .better(&["connected, end | "], "connected, denied 5, end | "),
];
