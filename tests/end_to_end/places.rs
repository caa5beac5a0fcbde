//! Where the programs find each other and their files, and what the daemon logs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use alknet_tests::CtlOutput;
use alknet_tests::wait::{LIMIT, wait_until};
use alknet_tests::{World, daemon};
use serde_json::Value;

#[test]
fn socket_and_state_can_be_elsewhere() {
    let world = World::new();
    let (socket, state) = (world.path("elsewhere/d.sock"), world.path("other-state"));
    let (socket, state) = (socket.to_str().unwrap(), state.to_str().unwrap());
    let mut other = world.spawn_daemon(&["--socket", socket, "--state-dir", state], &[]);
    wait_until("it listens at the other place", || daemon::takes_connections(socket.as_ref()));

    world.ctl(["--socket", socket, "add-forward", "--stopped", "-L", "0:a:1", "nowhere.invalid"]).ok();
    let mut command = world.ctl_command();
    command.args(["list-forwards", "--json"]).env("ALKNET_SOCKET", socket);

    assert_eq!(CtlOutput::of(command).ok().json().as_array().map(Vec::len), Some(1));
    assert!(world.path("other-state/rules.json").exists());
    assert!(!world.rules_path().exists());
    world.ctl(["ping"]).exits(3);
    other.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(other.wait(LIMIT).code(), Some(0));
}

#[test]
fn the_environment_names_the_socket_of_the_daemon_too() {
    let world = World::new();
    let socket = world.path("elsewhere/d.sock");

    let _daemon = world.spawn_daemon(&[], &[("ALKNET_SOCKET", socket.to_str().unwrap())]);

    wait_until("it listens at the other place", || daemon::takes_connections(&socket));
}

#[test]
fn without_a_runtime_directory_both_use_the_state_directory() {
    let world = World::new();
    let mut command = world.daemon_command();
    command.env_remove("XDG_RUNTIME_DIR");
    let _daemon = alknet_tests::process::Process::start(&mut command, &world.path("alknetd.log"));

    wait_until("the daemon answers", || {
        let mut ping = world.ctl_command();
        ping.arg("ping").env_remove("XDG_RUNTIME_DIR");
        CtlOutput::of(ping).code == 0
    });

    assert!(world.path("state/alknet/run/alknetd.sock").exists());
}

#[test]
fn a_runtime_directory_that_is_not_private_is_refused() {
    let world = World::new();
    fs::create_dir(world.path("elsewhere")).unwrap();
    symlink(world.path("elsewhere"), world.path("run/alknet")).unwrap();

    let (code, stderr) = world.daemon_fails(&[]);

    assert_ne!(code, 0);
    assert!(stderr.contains("run/alknet"), "{stderr}");
    fs::remove_file(world.path("run/alknet")).unwrap();
    world.start();
}

#[test]
fn the_runtime_directory_becomes_private() {
    let world = World::new();
    fs::create_dir(world.path("run/alknet")).unwrap();
    fs::set_permissions(world.path("run/alknet"), fs::Permissions::from_mode(0o755)).unwrap();

    world.start();

    let mode = fs::metadata(world.path("run/alknet")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_log_is_json_when_it_is_asked_for() {
    let world = World::new();
    world.start_with(&["--log-format", "json", "--log-level", "debug"], &[]);
    world.ctl(["add-forward", "--stopped", "--name", "web", "-L", "0:a:1", "nowhere.invalid"]).ok();
    world.stop();

    let log = world.daemon_log();

    assert!(!log.trim().is_empty(), "a daemon that starts and stops says so");
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["level"].is_string(), "{line}");
    }
}

#[test]
fn the_log_tells_of_a_session_and_of_no_secret() {
    let (world, sshd) = crate::real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    sshd.kill_sessions();
    world.wait_forward("web", "it is active again", |f| f["status"] == "active" && 2 <= sshd.logins());
    world.stop();

    let log = world.daemon_log();

    assert!(log.contains("prod"), "{log}");
    let key = fs::read_to_string(world.ssh_file("id_ed25519")).unwrap();
    for secret in key.lines().filter(|line| 40 < line.len() && !line.starts_with('-')) {
        assert!(!log.contains(secret), "the key is in the log");
    }
    assert!(!log.contains('\u{1b}'), "a file gets no colours");
}
