//! The machine wakes up: how long until servers are asked, and until a session that died meanwhile is replaced.

use std::time::{Duration, Instant};

use alknet_tests::wait::wait_until;
use alknet_tests::{Sshd, World};
use nix::sys::signal::Signal;

use crate::{Row, median, ms};

const RUNS: usize = 3;
/// Longer than a busy moment, shorter than the keepalive needs to notice anything (45 s).
const NAP: Duration = Duration::from_secs(8);

pub(crate) fn measure() -> Vec<Row> {
    let asked = (0..RUNS).map(|_| until_asked()).collect::<Vec<_>>();
    let replaced = (0..RUNS).map(|_| until_replaced()).collect::<Vec<_>>();
    let told = |times: &[Duration]| {
        let most = times.iter().max().copied().unwrap_or_default();
        (most, format!("median {}, at most {}", ms(median(times.to_vec())), ms(most)))
    };
    let ((most_asked, asked), (most_replaced, replaced)) = (told(&asked), told(&replaced));
    let sleep = format!("SIGSTOP for {} s stands for a sleep", NAP.as_secs());
    vec![
        Row::new(
            format!("wake to the question at the server, {sleep}, {RUNS} runs"),
            "<= 1 s",
            asked,
            most_asked <= Duration::from_secs(1),
        ),
        Row::new(
            format!("wake to a new session in place of a dead one, {sleep}, {RUNS} runs"),
            "<= 7 s",
            replaced,
            most_replaced <= Duration::from_secs(7),
        ),
    ]
}

fn sleepy_world() -> (World, Sshd) {
    let world = World::new();
    // The server logs what it is asked.
    let sshd = Sshd::start_with(&world, "prod", "LogLevel DEBUG1");
    world.start_with(&[], &[]);
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    (world, sshd)
}

fn until_asked() -> Duration {
    let (world, sshd) = sleepy_world();
    let asked = || sshd.count("rtype keepalive@openssh.com");
    wait_until("the server was asked for the first time", || asked() == 1);

    world.signal(Signal::SIGSTOP);
    std::thread::sleep(NAP);
    let woke = Instant::now();
    world.signal(Signal::SIGCONT);
    wait_until("the server is asked", || asked() == 2);
    woke.elapsed()
}

fn until_replaced() -> Duration {
    let (world, sshd) = sleepy_world();
    let mut watch = world.watch();

    sshd.freeze_sessions(true);
    world.signal(Signal::SIGSTOP);
    std::thread::sleep(NAP);
    let woke = Instant::now();
    world.signal(Signal::SIGCONT);
    watch.until_forward("web", "suspended");
    let took = watch.until_forward("web", "active").at - woke;
    sshd.freeze_sessions(false);
    took
}
