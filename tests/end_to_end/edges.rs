//! Drops in great number: nothing is told twice, nothing is left out, nothing is lost and nothing is left behind.

use std::collections::BTreeMap;
use std::time::Instant;

use alknet_tests::load::assert_echo;
use alknet_tests::process::Figures;
use alknet_tests::wait::wait_until;
use alknet_tests::world::{is_long_run, say_aloud};
use alknet_tests::{Sshd, Watch, World, targets};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::real_world;

/// Drops every session of the server once, and waits until each of `n_rules` was suspended and is active again.
///
/// Signals ask for the next try, since a session that is dropped in its first seconds waits longer each time.
#[track_caller]
fn drop_once(world: &World, sshd: &Sshd, watch: &mut Watch, n_rules: usize) {
    assert!(0 < sshd.kill_sessions());
    for state in ["suspended", "active"] {
        let mut left = n_rules;
        watch.until(&format!("all rules are {state}"), |event| {
            left -= usize::from(event["event"] == "forward_status" && event["to"] == state);
            left == 0
        });
        if state == "suspended" {
            world.signal(Signal::SIGUSR1);
        }
    }
}

/// The changes among what a watch printed.
fn changes(watch: &Watch) -> Vec<Value> {
    let events = watch.seen().iter().map(|seen| seen.event.clone());
    events.filter(|event| event["event"] != "snapshot" && event["event"] != "heartbeat").collect()
}

/// Judges that changes come one by one, and that each begins where the one before of the same thing ended.
#[track_caller]
fn assert_whole(changes: &[Value], first_seq: u64) {
    let mut last_states = BTreeMap::new();
    for (n, change) in changes.iter().enumerate() {
        assert_eq!(change["seq"], first_seq + n as u64, "no number is left out or told twice: {change}");
        let key = format!("{}{}", change["name"], change["destination"]);
        let (from, to) = (change["from"].clone(), change["to"].clone());
        assert_ne!(
            (from.clone(), &change["event"]),
            (to.clone(), &json!("forward_status")),
            "a change changes something"
        );
        let last = last_states.insert(key, to);
        assert!(last.is_none_or(|last| last == from), "it begins where the last one ended: {change}");
    }
}

#[test]
fn a_watcher_sees_every_edge_once_over_a_hundred_drops() {
    const DROPS: usize = 100;
    let (world, sshd) = real_world();
    let echo = targets::echo();
    let target = format!("0:127.0.0.1:{}", echo.port());
    world.add_active("local", &["-L", &target, "prod"]);
    world.add_active("remote", &["-R", &target, "prod"]);
    world.add_active("dynamic", &["-D", "0", "prod"]);
    let mut watch = world.watch();
    let snapshot = watch.seen().last().unwrap().event["seq"].as_u64().unwrap();
    let mut half_way = 0;

    for n in 0..DROPS {
        drop_once(&world, &sshd, &mut watch, 3);
        if n == DROPS / 2 {
            half_way = watch.seen().last().unwrap().event["seq"].as_u64().unwrap();
        }
    }

    let seen = changes(&watch);
    assert_whole(&seen, snapshot + 1);
    for name in ["local", "remote", "dynamic"] {
        for (from, to) in [("active", "suspended"), ("suspended", "active")] {
            let is_it = |event: &&Value| event["name"] == name && event["from"] == from && event["to"] == to;
            assert_eq!(seen.iter().filter(is_it).count(), DROPS, "{name} from {from} to {to}");
        }
    }
    let of_session = |to: &str| seen.iter().filter(|e| e["event"] == "session_status" && e["to"] == to).count();
    assert_eq!((of_session("suspended"), of_session("active")), (DROPS, DROPS));
    assert_eq!(sshd.logins(), DROPS + 1, "one login for each drop");
    // Who comes back later is told the same, from where he was on.
    for since in [snapshot, half_way] {
        let mut resumed = world.watch_with(&["--since", &since.to_string()]);
        let last = seen.last().unwrap();
        resumed.until("the last change is told again", |event| event == last);
        assert!(resumed.seen().iter().all(|seen| seen.event["event"] != "snapshot"), "it goes on without a snapshot");
        let first = usize::try_from(since - snapshot).unwrap();
        assert_eq!(changes(&resumed), seen[first..]);
    }
}

#[test]
fn a_thousand_drops_with_twenty_rules_lose_nothing_and_leave_nothing_behind() {
    const RULES: usize = 20;
    /// By then everything that is bounded is full: the daemon remembers 10,000 changes, and each drop makes 43.
    const WARM_UP: usize = 500;
    let drops = if is_long_run() { 10_000 } else { 1_000 };
    let (world, sshd) = real_world_quiet();
    let echo = targets::echo();
    let target = format!("0:127.0.0.1:{}", echo.port());
    for n in 0..RULES {
        let forwarding: &[&str] = match n % 5 {
            0..=2 => &["-L", &target],
            3 => &["-R", &target],
            _ => &["-D", "0"],
        };
        let arguments = [forwarding, &["prod"]].concat();
        world.add(&format!("rule-{n}"), &arguments);
    }
    for n in 0..RULES {
        world.wait_status(&format!("rule-{n}"), "active");
    }
    let before: Vec<Value> = world.forwards();
    let pid = world.daemon_pid();
    let mut watch = world.watch();
    let begin = Instant::now();

    let mut warm = Figures::of(pid);
    for n in 1..=drops {
        drop_once(&world, &sshd, &mut watch, RULES);
        // What was read is not kept: a long run would fill the memory of the test.
        watch.forget();
        if n == WARM_UP {
            warm = Figures::of(pid);
        }
    }

    let took = begin.elapsed();
    wait_until("what belonged to the last session is gone", || Figures::of(pid).descriptors <= warm.descriptors);
    let end = Figures::of(pid);
    say_aloud(&format!("after {WARM_UP} drops: {warm}\nafter {drops} drops: {end}\n{drops} drops in {took:.1?}"));
    assert_eq!(end.descriptors, warm.descriptors);
    assert!(end.threads <= warm.threads + 2, "{} threads, {} before", end.threads, warm.threads);
    let most = warm.resident_bytes + warm.resident_bytes / 20 + (2 << 20);
    assert!(end.resident_bytes <= most, "{end}; it was {warm}");
    let after = world.forwards();
    let told = |forwards: &[Value]| -> Vec<Value> {
        forwards.iter().map(|f| json!([f["id"], f["name"], f["kind"], f["bind_port"], f["status"]])).collect()
    };
    assert_eq!(told(&after), told(&before), "every rule is there, where it was, and active");
    for n in (0..RULES).filter(|n| n % 5 != 4) {
        assert_echo(world.port(&format!("rule-{n}")));
    }
    assert_eq!(sshd.logins(), drops + 1, "one login for each drop");
}

/// As [`real_world`], with the log of a normal day.
fn real_world_quiet() -> (World, Sshd) {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    world.start_with(&[], &[]);
    (world, sshd)
}
