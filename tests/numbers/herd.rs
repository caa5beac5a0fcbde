//! A thousand rules on fifty destinations, all cut at once.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use alknet_tests::{Sshd, World, process, targets};

use crate::{Row, median, mib, ms};

const DESTINATIONS: usize = 50;
const RULES_EACH: usize = 20;
const RULES: usize = DESTINATIONS * RULES_EACH;
const GOAL: Duration = Duration::from_secs(30);
const GOAL_OF_LISTING: Duration = Duration::from_millis(100);

pub(crate) fn measure() -> Vec<Row> {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    for n in 0..DESTINATIONS {
        world.add_host(&format!("host-{n}"), sshd.port(), (n == 0).then(|| sshd.host_key()));
    }
    world.start_with(&[], &[]);
    let echo = targets::echo();
    let spec = format!("0:127.0.0.1:{}", echo.port());
    for n in 0..DESTINATIONS {
        let host = format!("host-{n}");
        let mut add = vec!["add-forward", &host];
        for rule in 0..RULES_EACH {
            // Of each ten: eight local, one remote, one dynamic.
            let option = ["-L", "-L", "-L", "-L", "-L", "-L", "-L", "-L", "-R", "-D"][rule % 10];
            add.extend([option, if option == "-D" { "0" } else { &spec }]);
        }
        world.ctl(add).ok();
    }
    world.ctl(["wait", "--all", "--timeout", "120"]).ok();
    let mut watch = world.watch();
    let (connections, logins) = (sshd.connections(), sshd.logins());
    let is_over = AtomicBool::new(false);

    let (active, listings) = thread::scope(|scope| {
        let listing = scope.spawn(|| {
            let mut times = Vec::new();
            while !is_over.load(SeqCst) {
                times.push(world.ctl(["list-forwards"]).ok().took);
            }
            times
        });
        let cut = Instant::now();
        assert!(DESTINATIONS <= sshd.kill_sessions());
        let mut left = RULES;
        let last = watch.until_within(GOAL * 4, "all rules are active again", |event| {
            left -= usize::from(event["event"] == "forward_status" && event["to"] == "active");
            left == 0
        });
        is_over.store(true, SeqCst);
        (last.at - cut, listing.join().expect("listing does not panic"))
    });

    let (connections, logins) = (sshd.connections() - connections, sshd.logins() - logins);
    let slowest = listings.iter().max().copied().unwrap_or_default();
    let memory = mib(process::resident_bytes(world.daemon_pid()));
    let told_suspended =
        watch.seen().iter().filter(|seen| seen.event["event"] == "forward_status" && seen.event["to"] == "suspended");
    assert_eq!(told_suspended.count(), RULES, "every rule is suspended once");
    let what = format!("{RULES} rules on {DESTINATIONS} destinations, every session killed at once");
    vec![
        Row::new(
            format!("{what}, until all are active, watched"),
            "<= 30 s",
            format!("{:.1} s, {memory} resident", active.as_secs_f64()),
            active <= GOAL,
        ),
        Row::new(
            format!("{what}, handshakes"),
            "one per destination",
            format!("{connections} connections, {logins} logins"),
            connections == DESTINATIONS && logins == DESTINATIONS,
        ),
        Row::new(
            format!("{what}, `list-forwards` meanwhile, whole process, {} times", listings.len()),
            "<= 100 ms",
            format!("median {}, at most {}", ms(median(listings)), ms(slowest)),
            slowest <= GOAL_OF_LISTING,
        ),
    ]
}
