//! What a server does after a drop: it is away, it is another one, it refuses, it holds on to what was ours.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use alknet_tests::load::{assert_echo, connect, echo_over};
use alknet_tests::ports::free_port;
use alknet_tests::wait::wait_until;
use alknet_tests::world::{is_long_run, port_of};
use alknet_tests::{Sshd, World, keys, targets};

use crate::real_world;

#[test]
fn a_killed_session_process_is_noticed_and_replaced_at_once() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let mut open = connect(world.port("web"));
    echo_over(&open);
    let mut watch = world.watch();

    let killed = Instant::now();
    assert!(0 < sshd.kill_sessions());
    let suspended = watch.until_forward("web", "suspended");
    let active = watch.until_forward("web", "active");

    assert!(suspended.at - killed <= Duration::from_millis(500), "noticed after {:?}", suspended.at - killed);
    assert!(active.at - killed <= Duration::from_secs(1), "replaced after {:?}", active.at - killed);
    let end = open.read(&mut [0]).expect_err("an open connection is cut, not ended");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    assert_echo(world.port("web"));
}

#[test]
fn a_server_with_another_host_key_learns_nothing() {
    let world = World::new();
    let mut sshd = Sshd::start_with(&world, "prod", "LogLevel DEBUG1");
    world.start();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    let asked = "userauth-request";
    assert!(0 < sshd.count(asked), "a login is seen in the log");
    let (before, connections) = (sshd.count(asked), sshd.connections());

    sshd.swap_host_key();
    let forward = world.wait_status("web", "error");

    assert_eq!(forward["reason"]["code"], "host_key_changed");
    assert_eq!(forward["retry_at"], serde_json::Value::Null);
    wait_until("the server saw it go", || sshd.connections() == connections + 1);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(sshd.count(asked), before, "not even a user's name was sent");
    assert_eq!(sshd.connections(), connections + 1, "it is tried once");
}

#[test]
fn a_server_that_is_away_for_long_is_waited_for() {
    let (world, mut sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let away = Duration::from_secs(if is_long_run() { 120 } else { 20 });

    sshd.kill_all();
    let gone = Instant::now();
    world.wait_status("web", "suspended");
    let mut most_attempts = 0;
    while gone.elapsed() < away {
        let forward = world.forward("web");
        // Between two tries it is the same story: suspended, refused, and when the next try comes.
        assert_eq!(forward["status"], "suspended", "{forward:#}");
        most_attempts = most_attempts.max(forward["attempt"].as_u64().unwrap());
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut watch = world.watch();
    sshd.listen();

    // At once, then after 1, 2, 4, 8, 16, 30 s, each a fifth more or less.
    assert!(4 <= most_attempts, "it was tried {most_attempts} times");
    watch.until_within(Duration::from_secs(37), "it is active by itself", |event| {
        event["event"] == "forward_status" && event["to"] == "active"
    });
    assert_echo(world.port("web"));
}

#[test]
fn a_login_that_is_refused_after_a_drop_is_tried_once() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let connections = sshd.connections();

    sshd.authorize(&keys::public_line(&keys::ed25519()));
    sshd.kill_sessions();
    let forward = world.wait_status("web", "error");

    assert_eq!(forward["reason"]["code"], "auth_refused", "{forward:#}");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(sshd.connections(), connections + 1, "a refused key is not shown again");
    sshd.authorize(&keys::public_line(world.key()));
    world.ctl(["retry", "prod"]).ok();
    world.wait_status("web", "active");
    assert_echo(world.port("web"));
}

#[test]
fn a_remote_port_that_the_old_session_holds_is_asked_for_until_it_is_free() {
    let world = World::new();
    world.configure("keepalive_interval_seconds = 1\nkeepalive_count = 2\n");
    let sshd = Sshd::start(&world, "prod");
    world.start();
    let echo = targets::echo();
    let target = format!("127.0.0.1:{}", echo.port());
    let port = port_of(&world.add_active("remote", &["-R", &format!("{}:{target}", free_port()), "prod"]));
    world.add_active("local", &["-L", &format!("0:{target}"), "prod"]);
    let old = sshd.session_pids();

    // The old session process sleeps with the port in its hands, as behind a link that died without a word.
    sshd.freeze_sessions(true);
    let held = world.wait_forward("remote", "the port is held", |forward| {
        forward["status"] == "suspended" && forward["reason"]["code"] == "remote_port_in_use"
    });
    world.wait_status("local", "active");

    assert_eq!(held["reason"]["stage"], "forward");
    assert!(held["retry_at"].is_string(), "it is asked for again on its own timer: {held:#}");
    assert!(held["reason"]["message"].as_str().unwrap().contains(&port.to_string()), "{held:#}");
    assert!(held["reason"]["hint"].is_string(), "{held:#}");
    assert_echo(world.port("local"));
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(world.forward("local")["status"], "active");
    assert_eq!(world.session("prod")["state"], "active");
    assert_eq!(sshd.logins(), 2, "the port is asked for on the same session");
    let mut watch = world.watch();
    for pid in old {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    watch.until_forward("remote", "active");
    assert_eq!(world.port("remote"), port);
    assert_echo(port);
    assert_eq!(sshd.logins(), 2);
}
