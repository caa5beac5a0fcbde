//! The same clients through `ssh` and through alknet, to the same server: what both ends of a connection see is
//! recorded and compared.
//!
//! Where alknet tells the truth and ssh does not, the case says what is seen through each.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests end at the first surprise")]

mod losses;
mod refusals;
mod resets;
mod script;
mod socks;
mod stage;
mod streams;
mod way;

use stage::Stage;
use way::{Ask, Rule, Version, Way};

/// Every way on which a client reaches its target.
const EVERY_WAY: &[Way] = &[
    Way::Through(Rule::Local),
    Way::Through(Rule::Remote),
    Way::Dynamic(Ask::target(Version::Socks5Name)),
    Way::RemoteDynamic(Ask::target(Version::Socks5Ip)),
    Way::Through(Rule::LocalToUnix),
    Way::Through(Rule::UnixToLocal),
    Way::Through(Rule::UnixToUnix),
    Way::Through(Rule::RemoteToUnix),
    Way::Through(Rule::RemoteUnixToLocal),
    Way::Through(Rule::RemoteUnixToUnix),
];

/// One of each kind of forward.
const EACH_KIND: &[Way] = &[
    Way::Through(Rule::Local),
    Way::Through(Rule::Remote),
    Way::Dynamic(Ask::target(Version::Socks5Name)),
    Way::RemoteDynamic(Ask::target(Version::Socks5Ip)),
];

#[test]
fn ends_come_through_in_any_order() {
    Stage::set().compare_all(streams::ENDS);
}

#[test]
fn bytes_come_through_whatever_their_sizes() {
    Stage::set().compare_all(streams::BYTES);
}

#[test]
fn resets_come_through_as_far_as_the_server_tells() {
    Stage::set().compare_all(resets::RESETS);
}

#[test]
fn targets_that_cannot_be_reached_are_told_as_such() {
    Stage::set().compare_all(refusals::REFUSALS);
}

#[test]
fn socks_clients_are_understood_as_ssh_understands_them() {
    Stage::set().compare_all(socks::SOCKS);
}

#[test]
fn a_session_that_dies_is_never_an_end() {
    Stage::set().compare_all(losses::LOSSES);
}
