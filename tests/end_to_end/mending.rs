//! What is final is tried once more when something was mended, and not before.

use std::fs;
use std::process::Command;
use std::time::Duration;

use alknet_tests::process::Process;
use alknet_tests::wait::{wait_until, wait_within};
use alknet_tests::{Sshd, World, keys};

use crate::sessions::stays;

/// Files are looked at every 2 s, the agent is asked every 10 s.
const MENDED_WITHIN: Duration = Duration::from_secs(25);

#[track_caller]
fn becomes_active(world: &World, name: &str) {
    wait_within(MENDED_WITHIN, "it is tried again by itself", || {
        Some(world.forward(name)).filter(|forward| forward["status"] == "active")
    });
}

/// A real server that takes another key than the user has.
fn refused_world() -> (World, Sshd, russh::keys::PrivateKey) {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    let other = keys::ed25519();
    sshd.authorize(&keys::public_line(&other));
    (world, sshd, other)
}

#[test]
fn a_key_file_that_is_replaced_is_tried_once_and_other_files_are_no_reason() {
    let (world, sshd, other) = refused_world();
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);
    assert_eq!(world.wait_status("web", "error")["reason"]["code"], "auth_refused");

    // A line that changes nothing for this host, a host key of another one, and a file that nobody reads.
    world.append_ssh_config("# a comment\nHost elsewhere\n  Port 1\n");
    let known = fs::read_to_string(world.ssh_file("known_hosts")).unwrap();
    fs::write(world.ssh_file("known_hosts"), format!("{known}\n")).unwrap();
    fs::write(world.ssh_file("notes"), "").unwrap();
    stays("a refused key is not tried again", || sshd.connections() == 1);

    keys::save(&other, &world.ssh_file("id_ed25519"));
    becomes_active(&world, "web");
    assert_eq!(sshd.connections(), 2, "{}", sshd.log());
}

#[test]
fn a_configuration_that_names_the_right_key_is_tried() {
    let (world, sshd, other) = refused_world();
    keys::save(&other, &world.ssh_file("id_other"));
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);
    world.wait_status("web", "error");

    world.append_ssh_config(&format!("Host prod\n  IdentityFile {}\n", world.ssh_file("id_other").display()));

    becomes_active(&world, "web");
    assert_eq!(sshd.connections(), 2, "{}", sshd.log());
}

#[test]
fn a_host_key_that_a_person_accepts_is_tried() {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    world.add_host("prod", sshd.port(), None);
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);
    assert_eq!(world.wait_status("web", "error")["reason"]["code"], "host_key_unknown");

    let line = keys::known_hosts_line("127.0.0.1", sshd.port(), sshd.host_key());
    fs::write(world.ssh_file("known_hosts"), line).unwrap();

    becomes_active(&world, "web");
}

#[test]
fn a_configuration_that_could_not_be_used_is_read_again_when_it_is_mended() {
    let world = World::new();
    let _sshd = Sshd::start(&world, "prod");
    let good = fs::read_to_string(world.ssh_file("config")).unwrap();
    world.append_ssh_config("Host prod\n  Port seventy\n");
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);
    assert_eq!(world.wait_status("web", "error")["reason"]["code"], "invalid_config");

    fs::write(world.ssh_file("config"), good).unwrap();

    becomes_active(&world, "web");
}

#[test]
fn an_agent_that_gains_a_key_is_tried_and_one_that_has_the_same_is_not() {
    let (world, sshd, other) = refused_world();
    let socket = world.path("agent");
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket);
    let _agent = Process::start(&mut agent, &world.path("agent.log"));
    wait_until("the agent listens", || socket.exists());
    let add = |key: &russh::keys::PrivateKey| {
        let path = world.path("to_add");
        keys::save(key, &path);
        let status = Command::new("ssh-add").arg("-q").arg(&path).env("SSH_AUTH_SOCK", &socket).status().unwrap();
        assert!(status.success());
    };
    let refused = keys::ed25519();
    add(&refused);
    world.start_with(&["--log-level", "debug"], &[("SSH_AUTH_SOCK", socket.to_str().unwrap())]);
    world.add("web", &["-L", "0:localhost:80", "prod"]);
    assert_eq!(world.wait_status("web", "error")["reason"]["code"], "auth_refused");

    // Taken away and given back: the server knows it already.
    Command::new("ssh-add").arg("-q").arg("-D").env("SSH_AUTH_SOCK", &socket).status().unwrap();
    add(&refused);
    stays("the same key is not tried again", || sshd.connections() == 1);

    add(&other);
    becomes_active(&world, "web");
    assert_eq!(sshd.connections(), 2, "{}", sshd.log());
}

#[test]
fn what_a_person_stopped_stays_stopped_whatever_is_mended() {
    let (world, sshd, other) = refused_world();
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);
    world.wait_status("web", "error");
    world.ctl(["stop", "web"]).ok();

    keys::save(&other, &world.ssh_file("id_ed25519"));
    world.ctl(["retry"]).ok();
    world.signal(nix::sys::signal::Signal::SIGHUP);
    world.signal(nix::sys::signal::Signal::SIGUSR1);
    stays("it stays stopped", || world.forward("web")["status"] == "stopped");
    world.restart();
    stays("also in another run", || world.forward("web")["status"] == "stopped");

    assert_eq!(sshd.connections(), 1, "{}", sshd.log());
}

#[test]
fn a_reload_says_what_changed_and_leaves_what_cannot_be_used() {
    let (world, _sshd, other) = refused_world();
    keys::save(&other, &world.ssh_file("id_other"));
    fs::create_dir_all(world.config_path().parent().unwrap()).unwrap();
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);
    world.wait_status("web", "error");

    assert_eq!(world.ctl(["reload", "--json"]).ok().json()["changed"], serde_json::json!([]));
    fs::write(world.config_path(), "keepalive_count = 2\nkeepalive_cuont = 3\n").unwrap();
    let refused = world.ctl(["reload", "--json"]).exits(1).json();
    let option = format!("ssh_options = [\"IdentityFile {}\"]\n", world.ssh_file("id_other").display());
    fs::write(world.config_path(), format!("keepalive_count = 2\n{option}")).unwrap();
    let changed = world.ctl(["reload"]).ok();

    assert_eq!(refused["error"]["code"], "invalid_config");
    assert!(refused["error"]["message"].as_str().unwrap().contains("config.toml:2: "), "{refused:#}");
    assert_eq!(changed.stdout, "configuration read again: keepalive_count, ssh_options changed\n");
    // The new options name a key that is taken.
    becomes_active(&world, "web");
}
