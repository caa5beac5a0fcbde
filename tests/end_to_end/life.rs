//! How the daemon starts, stops and dies.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use alknet_tests::load::assert_echo;
use alknet_tests::wait::{LIMIT, wait_until};
use alknet_tests::{World, targets};
use nix::sys::signal::Signal;

use crate::real_world;

#[test]
fn a_stale_socket_does_not_prevent_the_start() {
    let world = World::with_daemon();
    world.kill_9();
    assert!(world.socket().exists(), "a killed daemon leaves its socket");

    world.start();

    world.ctl(["ping"]).ok();
}

#[test]
fn a_second_daemon_steps_back() {
    let world = World::with_daemon();
    let socket = fs::metadata(world.socket()).unwrap().ino();

    let (code, stderr) = world.daemon_fails(&[]);

    assert_eq!(code, 5, "{stderr}");
    assert!(!stderr.is_empty(), "it says why");
    assert_eq!(fs::metadata(world.socket()).unwrap().ino(), socket, "the first one's socket is left alone");
    let status = world.ctl(["status", "--json"]).ok().json();
    assert_eq!(status["daemon"]["pid"], world.daemon_pid());
}

#[test]
fn of_many_daemons_started_at_once_one_runs() {
    let world = World::new();
    let mut daemons: Vec<_> = (0..10).map(|_| world.spawn_daemon(&[], &[])).collect();

    wait_until("all but one have ended", || {
        daemons.iter_mut().map(|daemon| usize::from(daemon.ended().is_none())).sum::<usize>() <= 1
    });

    wait_until("the one that is left answers", || world.ctl(["ping"]).code == 0);
    for daemon in &mut daemons {
        if let Some(status) = daemon.ended() {
            assert_eq!(status.code(), Some(5), "{}", world.daemon_log());
        }
    }
}

#[test]
fn kill_9_keeps_every_rule() {
    let (world, _sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    for n in 0..20 {
        let name = format!("rule-{n}");
        let target = format!("0:127.0.0.1:{}", echo.port());
        world
            .ctl(["add-forward", "-L", &target, "prod", "--name", &name, "--tag", "many", "--description", "a note"])
            .ok();
    }
    let before = world.forwards();
    assert_eq!(before.len(), 21);

    world.kill_9();
    world.start();

    let after = world.forwards();
    for field in ["id", "name", "kind", "destination", "bind_address", "bind_port", "target_host", "target_port"] {
        let of = |forwards: &[serde_json::Value]| forwards.iter().map(|f| f[field].clone()).collect::<Vec<_>>();
        assert_eq!(of(&after), of(&before), "{field}");
    }
    assert!(after.iter().all(|forward| forward["name"] == "web" || forward["tags"] == serde_json::json!(["many"])));
    world.wait_status("web", "active");
    assert_echo(world.port("web"));
}

#[test]
fn sigterm_and_sigint_stop_in_order() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (world, sshd) = real_world();
        let echo = targets::echo();
        let forward = world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
        assert_echo(alknet_tests::world::port_of(&forward));

        world.signal(signal);

        let status = world.daemon_ends(LIMIT);
        assert_eq!(status.code(), Some(0), "after {signal}");
        assert!(!world.socket().exists(), "the socket is gone after {signal}");
        wait_until("the session ends at the server", || sshd.session_pids().is_empty());
    }
}

#[test]
fn shutdown_answers_and_then_ends() {
    let world = World::with_daemon();

    world.ctl(["shutdown"]).ok();

    assert_eq!(world.daemon_ends(LIMIT).code(), Some(0));
    world.ctl(["ping"]).exits(3);
}

#[test]
fn sighup_disturbs_nothing() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    let forward = world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let stream = alknet_tests::load::connect(alknet_tests::world::port_of(&forward));
    alknet_tests::load::echo_over(&stream);

    world.signal(Signal::SIGHUP);

    world.ctl(["ping"]).ok();
    alknet_tests::load::echo_over(&stream);
    assert_eq!(world.forward("web")["since"], forward["since"]);
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn what_the_daemon_writes_is_for_its_owner_alone() {
    let (world, _sshd) = real_world();
    world.add("web", &["-L", "0:localhost:80", "prod"]);

    for (path, mode) in [
        (world.rules_path(), 0o600),
        (world.socket(), 0o600),
        (world.path("run/alknet"), 0o700),
        (world.path("state/alknet"), 0o700),
    ] {
        let found = fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(found.permissions().mode() & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn sigusr1_tries_every_suspended_session_at_once() {
    let (world, mut sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    sshd.kill_all();
    // By then the next try is seconds away.
    world.wait_forward("web", "several tries have failed", |f| 4 <= f["attempt"].as_u64().unwrap_or(0));
    sshd.listen();
    let mut watch = world.watch();

    world.signal(Signal::SIGUSR1);

    watch.until_within(Duration::from_secs(3), "it is active before its turn", |event| {
        event["event"] == "forward_status" && event["name"] == "web" && event["to"] == "active"
    });
}
