//! Connections that one end resets. SSH has no word for a reset, so much of it is an end on the other side.

use crate::script::Step::{Await, Read, ReadToEnd, Reset, Send, SendUntilRefused, Tell};
use crate::stage::Case;
use crate::{EACH_KIND, EVERY_WAY};

pub(crate) const RESETS: &[Case] = &[
    Case::same("a client that resets an idle connection", EVERY_WAY, &[Await(0), Reset], &[Tell(0), ReadToEnd]),
    Case::same("a target that resets an idle connection", EVERY_WAY, &[Tell(0), ReadToEnd], &[Await(0), Reset]),
    Case::same(
        "a client that resets behind its bytes",
        EVERY_WAY,
        &[Send(1000), Await(0), Reset],
        &[Read(1000), Tell(0), ReadToEnd],
    ),
    Case::same(
        "a target that resets behind its bytes",
        EVERY_WAY,
        &[Read(1000), Tell(0), ReadToEnd],
        &[Send(1000), Await(0), Reset],
    ),
    Case::same("a client that resets while the target sends", EACH_KIND, &[Read(100_000), Reset], &[SendUntilRefused]),
    Case::same("a target that resets while the client sends", EACH_KIND, &[SendUntilRefused], &[Read(100_000), Reset]),
    Case::same(
        "a client that resets after the target has ended",
        EACH_KIND,
        &[ReadToEnd, Send(10), Await(0), Reset],
        &[Send(10), crate::script::Step::End, Read(10), Tell(0), ReadToEnd],
    ),
    Case::same(
        "a target that resets after the client has ended",
        EACH_KIND,
        &[Send(10), crate::script::Step::End, Read(10), Tell(0), ReadToEnd],
        &[ReadToEnd, Send(10), Await(0), Reset],
    ),
];
