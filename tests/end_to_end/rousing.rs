//! A laptop's day: it sleeps, it changes its network, and what is dead by then is found at once.

use std::process::Command;
use std::time::{Duration, Instant};

use alknet_tests::load::assert_echo;
use alknet_tests::targets;
use alknet_tests::world::can_be_root;
use nix::sys::signal::Signal;

use crate::real_world;

/// Longer than a busy moment, shorter than the keepalive needs (45 s).
const NAP: Duration = Duration::from_secs(8);

#[test]
fn a_session_that_died_in_a_sleep_is_replaced_within_seven_seconds() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let mut watch = world.watch();

    // The server is silent from now on, as one is to which the way is gone; the daemon sleeps meanwhile.
    sshd.freeze_sessions(true);
    world.signal(Signal::SIGSTOP);
    std::thread::sleep(NAP);
    world.signal(Signal::SIGCONT);
    let woke = Instant::now();
    watch.until_forward("web", "suspended");
    watch.until_forward("web", "active");

    assert!(woke.elapsed() <= Duration::from_secs(7), "active again after {:?}", woke.elapsed());
    assert_echo(world.port("web"));
    sshd.freeze_sessions(false);
}

#[test]
fn a_session_that_lives_through_a_sleep_stays() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);

    world.signal(Signal::SIGSTOP);
    std::thread::sleep(NAP);
    world.signal(Signal::SIGCONT);
    alknet_tests::wait::wait_until("it is asked", || world.daemon_log().contains("asking every session"));

    std::thread::sleep(Duration::from_secs(6));
    assert_echo(world.port("web"));
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn a_new_address_lets_waiting_sessions_try_at_once() {
    if !can_be_root("only root may give the machine an address") {
        return;
    }
    let (world, mut sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    sshd.kill_all();
    // Past the first tries, so that the next one is some seconds away.
    world.wait_forward("web", "the fourth try failed", |forward| 4 <= forward["attempt"].as_u64().unwrap_or(0));
    sshd.listen();
    let before = Instant::now();
    let address = format!("127.77.{}.{}/32", std::process::id() / 250 % 250, std::process::id() % 250);

    let ip = |what: &str| Command::new("ip").args(["addr", what, &address, "dev", "lo"]).status().unwrap();
    assert!(ip("add").success());
    world.wait_status("web", "active");
    let took = before.elapsed();
    assert!(ip("del").success());

    assert!(took < Duration::from_secs(3), "active after {took:?}; the next try by itself was 6 to 10 s away");
    assert_echo(world.port("web"));
}
