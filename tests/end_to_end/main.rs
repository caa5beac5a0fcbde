//! The real programs against real and pretended peers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests end at the first surprise")]

mod bad_input;
mod cli;
mod clocks;
mod control;
mod data;
mod descriptors;
mod drops;
mod edges;
mod explain;
mod figures;
mod forwards;
mod import;
mod json;
mod life;
mod limits;
mod links;
mod logins;
mod mending;
mod on_suspend;
mod outages;
mod peers;
mod places;
mod readme;
mod reclaim;
mod remote;
mod roaming;
mod rousing;
mod rules;
mod service;
mod sessions;
mod silence;
mod sparing;
mod unwanted;
mod ways;

use alknet_tests::{Sshd, World};

/// A user whose daemon runs, and a real server that the user knows as `prod`.
fn real_world() -> (World, Sshd) {
    real_world_with("")
}

/// As [`real_world`], with further lines of sshd_config.
fn real_world_with(lines: &str) -> (World, Sshd) {
    let world = World::new();
    let sshd = Sshd::start_with(&world, "prod", lines);
    world.start();
    (world, sshd)
}
