//! Sessions that are killed while connections are on them: ssh ends, and its connections look whole.

use crate::script::Step::{Await, Close, CutSession, End, Read, ReadToEnd, Send, SendUntilRefused, Tell};
use crate::stage::Case;
use crate::way::{Ask, Rule, Version, Way};

const LOCAL: &[Way] = &[Way::Through(Rule::Local), Way::Through(Rule::LocalToUnix)];
const DYNAMIC: &[Way] = &[Way::Dynamic(Ask::target(Version::Socks5Name)), Way::Dynamic(Ask::target(Version::Socks4))];
const REMOTE: &[Way] = &[Way::Through(Rule::Remote), Way::Through(Rule::RemoteUnixToLocal)];
/// The side that is on this machine is a Unix socket, which knows no reset.
const UNIX_HERE: &[Way] = &[Way::Through(Rule::UnixToLocal), Way::Through(Rule::RemoteToUnix)];

pub(crate) const LOSSES: &[Case] = &[
    Case::same(
        "an idle connection",
        LOCAL,
        &[Send(10), Read(10), CutSession, ReadToEnd],
        &[Read(10), Send(10), ReadToEnd],
    )
    .better(
        &["connected, 10 bytes, end | connected, 10 bytes, end"],
        "connected, 10 bytes, reset | connected, 10 bytes, end",
    ),
    Case::same(
        "an idle connection of a SOCKS client",
        DYNAMIC,
        &[Send(10), Read(10), CutSession, ReadToEnd],
        &[Read(10), Send(10), ReadToEnd],
    )
    .better(
        &["connected, granted, 10 bytes, end | connected, 10 bytes, end"],
        "connected, granted, 10 bytes, reset | connected, 10 bytes, end",
    ),
    Case::same(
        "an idle connection from the server",
        REMOTE,
        &[Send(10), Read(10), CutSession, ReadToEnd],
        &[Read(10), Send(10), ReadToEnd],
    )
    .better(
        &["connected, 10 bytes, end | connected, 10 bytes, end"],
        "connected, 10 bytes, end | connected, 10 bytes, reset",
    ),
    Case::same(
        "an idle connection of a SOCKS client at the server",
        &[Way::RemoteDynamic(Ask::target(Version::Socks5Ip))],
        &[Send(10), Read(10), CutSession, ReadToEnd],
        &[Read(10), Send(10), ReadToEnd],
    )
    .better(
        &["connected, granted, 10 bytes, end | connected, 10 bytes, end"],
        "connected, granted, 10 bytes, end | connected, 10 bytes, reset",
    ),
    Case::same(
        "an idle connection to or from a Unix socket here",
        UNIX_HERE,
        &[Send(10), Read(10), CutSession, ReadToEnd],
        &[Read(10), Send(10), ReadToEnd],
    ),
    Case::same(
        "a connection that has carried nothing",
        LOCAL,
        &[Await(0), CutSession, ReadToEnd],
        &[Tell(0), ReadToEnd],
    )
    .better(&["connected, end | connected, end"], "connected, reset | connected, end"),
    Case::same(
        "a download in the middle",
        LOCAL,
        &[Read(1_000_000), CutSession, ReadToEnd],
        &[Send(1_000_000), ReadToEnd],
    )
    .better(&["connected, 1000000 bytes, end | connected, end"], "connected, 1000000 bytes, reset | connected, end"),
    Case::same(
        "a download from here in the middle",
        REMOTE,
        &[Read(1_000_000), CutSession, ReadToEnd],
        &[Send(1_000_000), ReadToEnd],
    )
    .better(&["connected, 1000000 bytes, end | connected, end"], "connected, 1000000 bytes, end | connected, reset"),
    Case::same(
        "an upload in the middle is noticed by who sends",
        LOCAL,
        &[SendUntilRefused],
        &[Read(1_000_000), CutSession, Close],
    ),
    Case::same(
        "an upload to here in the middle is not whole",
        REMOTE,
        &[Send(1_000_000), Await(0), CutSession, ReadToEnd],
        &[Read(1_000_000), Tell(0), ReadToEnd],
    )
    .better(&["connected, end | connected, 1000000 bytes, end"], "connected, end | connected, 1000000 bytes, reset"),
    Case::same(
        "a request that has ended and waits for its answer",
        LOCAL,
        &[Send(10), End, ReadToEnd],
        &[ReadToEnd, CutSession, Close],
    )
    .better(&["connected, end | connected, 10 bytes, end"], "connected, reset | connected, 10 bytes, end"),
    Case::same(
        "a request from the server that has ended, and whose answer goes on",
        REMOTE,
        &[Send(10), End, Read(1000), CutSession, Tell(0), Close],
        &[ReadToEnd, Send(1000), Await(0), SendUntilRefused],
    ),
    Case::same(
        "an answer that has ended, and its request goes on",
        LOCAL,
        &[ReadToEnd, CutSession, SendUntilRefused],
        &[Send(10), End, ReadToEnd],
    ),
    Case::same(
        "forty connections at once",
        &[Way::Through(Rule::Local)],
        &[Send(10), Read(10), Tell(0), ReadToEnd],
        &[Read(10), Send(10), ReadToEnd],
    )
    .at_once(40)
    .cut_after(40)
    .better(
        &["40 x (connected, 10 bytes, end) | 40 x (connected, 10 bytes, end)"],
        "40 x (connected, 10 bytes, reset) | 40 x (connected, 10 bytes, end)",
    ),
];
