//! Clocks that jump: the wall clock is set, and time passes that the daemon does not see.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alknet_tests::load::{connect, echo_over};
use alknet_tests::wait::wait_until;
use alknet_tests::world::is_left_out;
use alknet_tests::{Sshd, World, targets};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::Value;

/// The library that gives a program another wall clock, where it is installed.
fn libfaketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|folder| folder.path());
    let found = folders.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|library| library.exists());
    if found.is_none() {
        is_left_out("this test takes libfaketime (apt-get install libfaketime)");
    }
    found
}

/// A daemon whose wall clock is ahead by what the file `clock` says; its other clocks are those of the machine.
fn start_with_clock(world: &World, library: &Path) {
    set_clock(world, "+0");
    world.start_with(
        &["--log-level", "debug"],
        &[
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", world.path("clock").to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    );
}

fn set_clock(world: &World, ahead: &str) {
    // The daemon reads it all the time, so it never sees half of it.
    std::fs::write(world.path("next-clock"), ahead).unwrap();
    std::fs::rename(world.path("next-clock"), world.path("clock")).unwrap();
}

fn days_ahead(world: &World) -> i64 {
    let since = world.forward("probe")["since"].as_str().unwrap().parse::<Timestamp>().unwrap();
    (since.as_second() - Timestamp::now().as_second()).div_euclid(86_400)
}

#[test]
fn a_wall_clock_that_jumps_by_days_disturbs_no_session() {
    let Some(library) = libfaketime() else { return };
    let world = World::new();
    world.configure("keepalive_interval_seconds = 1\nkeepalive_count = 3\n");
    let sshd = Sshd::start(&world, "prod");
    start_with_clock(&world, &library);
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let stream = connect(world.port("web"));
    let before = world.forward("web");

    for (ahead, days) in [("+3d", 2..=3), ("-3d", -4..=-3), ("+0", -1..=0)] {
        set_clock(&world, ahead);
        // Shows that the daemon sees the other time: this rule becomes what it is by its clock.
        world.add("probe", &["-L", "0:localhost:80", "prod", "--stopped"]);
        let seen = days_ahead(&world);
        assert!(days.contains(&seen), "with {ahead} the daemon is {seen} days ahead");
        world.ctl(["remove-forward", "probe"]).ok();
        // Three keepalives later everything is as it was.
        std::thread::sleep(Duration::from_secs(4));
        echo_over(&stream);
    }

    assert_eq!(sshd.logins(), 1);
    let after = world.forward("web");
    assert_eq!((&after["status"], &after["since"]), (&before["status"], &before["since"]), "nothing has happened");
    assert!(!world.daemon_log().contains("asking every session"), "a clock that is set is no sleep");
}

#[test]
fn a_wall_clock_that_jumps_by_days_makes_no_retry_early_or_late() {
    let Some(library) = libfaketime() else { return };
    let world = World::new();
    let mut sshd = Sshd::start(&world, "prod");
    start_with_clock(&world, &library);
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    let at_attempt = |least: u64| {
        let what = format!("try {least} failed");
        world.wait_forward("web", &what, |forward| least <= forward["attempt"].as_u64().unwrap_or(0))
    };
    let mut watch = world.watch_with(&["web"]);
    sshd.kill_all();
    at_attempt(2);
    // The tries come after 2 and 4 s, a fifth more or less, whatever the wall clock says meanwhile.
    let begin = Instant::now();
    set_clock(&world, "-3d");
    at_attempt(3);
    set_clock(&world, "+3d");
    let forward = at_attempt(4);
    let took = begin.elapsed();
    assert!((4.5..8.5).contains(&took.as_secs_f64()), "two tries took {took:?}");
    assert!(forward["retry_at"].is_string(), "{forward:#}");
    sshd.listen();

    let back = watch.until_within(Duration::from_secs(12), "it is active in its turn", |event| {
        event["event"] == "session_status" && event["to"] == "active"
    });
    let waited = back.at - begin - took;
    assert!((5.0..11.0).contains(&waited.as_secs_f64()), "the try after 8 s came after {waited:?}");
}

#[test]
fn a_sleep_is_followed_by_a_question_within_a_second() {
    let world = World::new();
    // The server logs what it is asked.
    let sshd = Sshd::start_with(&world, "prod", "LogLevel DEBUG1");
    world.start();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    let asked = || sshd.count("rtype keepalive@openssh.com");
    // The first question comes with the login; the next one by itself would come 15 s later.
    wait_until("the server was asked for the first time", || asked() == 1);

    world.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(asked(), 1);
    let woke = Instant::now();
    world.signal(Signal::SIGCONT);
    wait_until("the server is asked", || asked() == 2);

    assert!(woke.elapsed() <= Duration::from_secs(1), "asked after {:?}", woke.elapsed());
    assert_eq!(world.forward("web")["status"], "active");
    assert_eq!(world.session("prod")["reason"], Value::Null);
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn rates_are_of_the_time_that_passed_whatever_the_wall_clock_says() {
    let Some(library) = libfaketime() else { return };
    let world = World::new();
    let _sshd = Sshd::start(&world, "prod");
    start_with_clock(&world, &library);
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let mut watch = world.watch_with(&["--stats=0.2"]);
    let begun = Instant::now();

    for ahead in ["+7d", "-7d", "+0"] {
        set_clock(&world, ahead);
        echo_over(connect(world.port("web")));
        watch.until("figures come", |event| event["event"] == "stats");
    }
    let all = |event: &Value| event["event"] == "stats" && event["forwards"][0]["stats"]["bytes_sent"] == 48;
    watch.until("everything is counted", all);

    let events = watch.seen().iter().map(|seen| &seen.event).filter(|event| event["event"] == "stats");
    let (mut carried, mut passed) = (0.0, 0.0);
    for event in events {
        let seconds = event["interval_seconds"].as_f64().unwrap();
        carried += event["forwards"][0]["rates"]["bytes_sent_per_second"].as_f64().unwrap() * seconds;
        passed += seconds;
    }
    assert!((carried - 48.0).abs() < 5.0, "{carried} bytes by the rates");
    assert!(passed <= begun.elapsed().as_secs_f64() + 0.5, "{passed} s by the intervals");
}
