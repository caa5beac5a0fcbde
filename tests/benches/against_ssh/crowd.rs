//! A thousand connections at once, each with bytes of its own that are checked.

use alknet_tests::load::{Crowd, crowd};
use alknet_tests::process;

use crate::Plan;
use crate::report::{Goal, Row};
use crate::rig::{Both, Rig};

const CONNECTIONS: usize = 1000;
const BYTES_EACH: usize = 256 << 10;

pub(crate) fn measure(rig: &Rig, _: Plan) -> Vec<Row> {
    let run = |port: u16, pid: i32| {
        let crowd = crowd(port, CONNECTIONS, BYTES_EACH);
        for error in crowd.errors.iter().take(3) {
            eprintln!("lost: {error}");
        }
        (crowd, process::peak_resident_bytes(pid) as f64 / f64::from(1 << 20))
    };
    let both = Both { ssh: run(rig.ssh.near.echo, rig.ssh.pid), alknet: run(rig.alknet.near.echo, rig.alknet.pid) };
    let lost = both.map(|(crowd, _)| crowd.errors.len() as f64);
    // ssh's time for those that it did not lose, for all of them.
    let seconds = both.map(|(crowd, _)| crowd.took.as_secs_f64() * CONNECTIONS as f64 / whole(crowd));
    let peak = both.map(|(_, peak)| *peak);
    let what = "1,000 connections at once, 256 KiB each";
    vec![
        Row::new(format!("{what}, lost"), "", &lost, Goal::AtMost(0.0)),
        Row::new(format!("{what}, time for 1,000 whole ones"), "s", &seconds, Goal::RatioAtMost(0.33)),
        Row::new(format!("{what}, peak memory"), "MiB", &peak, Goal::AtMost(128.0)),
    ]
}

fn whole(crowd: &Crowd) -> f64 {
    crowd.whole as f64
}
