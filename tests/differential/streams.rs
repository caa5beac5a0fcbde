//! Connections that go well: what is sent arrives, and each end in its turn.

use crate::script::Step::{
    Await, Close, End, Exchange, Read, ReadToEnd, Send, SendBytewise, SendNothing, SendUntilRefused, Tell,
};
use crate::stage::Case;
use crate::{EACH_KIND, EVERY_WAY};

/// More than all buffers between the two ends hold without a reader; less than alknet holds for one.
const MUCH: usize = 8 << 20;

pub(crate) const ENDS: &[Case] = &[
    Case::same(
        "a request that has ended gets its whole answer",
        EVERY_WAY,
        &[Send(100_000), End, ReadToEnd],
        &[ReadToEnd, Send(200_000), End],
    ),
    Case::same(
        "an answer that has ended leaves the request going on",
        EVERY_WAY,
        &[ReadToEnd, Send(100_000), End],
        &[Send(50_000), End, ReadToEnd],
    ),
    Case::same("a request without a byte is a request", EVERY_WAY, &[End, ReadToEnd], &[ReadToEnd, Send(10), End]),
    Case::same("an answer without a byte is an answer", EVERY_WAY, &[ReadToEnd, Send(10), End], &[End, ReadToEnd]),
    Case::same("both end at once without a byte", EVERY_WAY, &[End, ReadToEnd], &[End, ReadToEnd]),
    Case::same(
        "both end at once behind their bytes",
        EVERY_WAY,
        &[Send(70_000), End, ReadToEnd],
        &[Send(80_000), End, ReadToEnd],
    ),
    Case::same(
        "the request ends in the middle of the answer",
        EVERY_WAY,
        &[Send(10), Read(1000), End, Tell(0), ReadToEnd],
        &[Read(10), Send(1000), Await(0), ReadToEnd, Send(3000), End],
    ),
    Case::same(
        "the answer ends in the middle of the request",
        EVERY_WAY,
        &[Send(10), ReadToEnd, Send(3000), End],
        &[Read(10), Send(1000), End, ReadToEnd],
    ),
    Case::same("a client that says nothing and leaves", EVERY_WAY, &[Close], &[ReadToEnd]),
    Case::same("a target that says nothing and leaves", EVERY_WAY, &[ReadToEnd], &[Close]),
    Case::same(
        "a client that sends and leaves at once has sent everything",
        EVERY_WAY,
        &[Send(300_000), Close],
        &[ReadToEnd],
    ),
    Case::same(
        "a target that sends and leaves at once has sent everything",
        EVERY_WAY,
        &[ReadToEnd],
        &[Send(300_000), Close],
    ),
    Case::same(
        "a client that leaves while the target sends is noticed by it",
        EACH_KIND,
        &[Read(100_000), Close],
        &[SendUntilRefused],
    ),
    Case::same(
        "a target that leaves while the client sends is noticed by it",
        EACH_KIND,
        &[SendUntilRefused],
        &[Read(100_000), Close],
    ),
    Case::same(
        "a client that ended and then leaves is noticed by a target that goes on",
        EACH_KIND,
        &[Send(10), End, Read(100_000), Close],
        &[ReadToEnd, SendUntilRefused],
    ),
    Case::same(
        "a target that ended and then leaves is noticed by a client that goes on",
        EACH_KIND,
        &[ReadToEnd, SendUntilRefused],
        &[Send(10), End, Read(100_000), Close],
    ),
];

pub(crate) const BYTES: &[Case] = &[
    Case::same(
        "a target that speaks first is heard",
        EVERY_WAY,
        &[Read(11), Send(5), End, ReadToEnd],
        &[Send(11), Read(5), Send(7), ReadToEnd],
    ),
    Case::same(
        "one byte there and back",
        EVERY_WAY,
        &[Send(1), Read(1), End, ReadToEnd],
        &[Read(1), Send(1), ReadToEnd],
    ),
    Case::same(
        "a write of no bytes is nothing",
        EVERY_WAY,
        &[SendNothing, Send(1), SendNothing, Read(1), End, ReadToEnd],
        &[Read(1), SendNothing, Send(1), SendNothing, ReadToEnd],
    ),
    Case::same(
        "a thousand writes of one byte each way",
        EACH_KIND,
        &[SendBytewise(1000), Read(1000), End, ReadToEnd],
        &[Read(1000), SendBytewise(1000), ReadToEnd],
    ),
    Case::same(
        "question and answer in turn",
        EACH_KIND,
        &[Send(1), Read(2), Send(30), Read(400), Send(5000), Read(60_000), Send(7), Read(8), End, ReadToEnd],
        &[Read(1), Send(2), Read(30), Send(400), Read(5000), Send(60_000), Read(7), Send(8), ReadToEnd],
    ),
    Case::same(
        "exactly one packet, and one byte more",
        EACH_KIND,
        &[Send(32_768), Read(32_768), Send(32_769), Read(32_769), End, ReadToEnd],
        &[Read(32_768), Send(32_768), Read(32_769), Send(32_769), ReadToEnd],
    ),
    Case::same("much up", EVERY_WAY, &[Send(MUCH), End, ReadToEnd], &[ReadToEnd]),
    Case::same("much down", EVERY_WAY, &[ReadToEnd], &[Send(MUCH), End]),
    Case::same("much both ways at once", EVERY_WAY, &[Exchange(MUCH)], &[Exchange(MUCH)]),
    Case::same(
        "a client that reads late gets everything",
        EACH_KIND,
        &[Await(0), ReadToEnd],
        &[Send(1 << 20), End, Tell(0), ReadToEnd],
    ),
    Case::same(
        "a target that reads late gets everything",
        EACH_KIND,
        &[Send(1 << 20), End, Tell(0), ReadToEnd],
        &[Await(0), ReadToEnd],
    ),
    Case::same(
        "a hundred connections at once, each with its own bytes",
        EACH_KIND,
        &[Exchange(20_000)],
        &[Exchange(30_000)],
    )
    .at_once(100),
    Case::same("fifty clients at once that say nothing and leave", EACH_KIND, &[Close], &[ReadToEnd]).at_once(50),
];
