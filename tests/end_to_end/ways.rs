//! Servers that are reached over other hosts, and through programs.

use std::path::Path;

use alknet_tests::load::assert_echo;
use alknet_tests::socks::{self, Wanted};
use alknet_tests::wait::wait_until;
use alknet_tests::{Sshd, World, keys, targets};
use serde_json::Value;

/// A server of its own key pair's owner, whom `world` lets log in with `name` of `~/.ssh`.
fn server_for(world: &World, alias: &str, key_file: &str) -> Sshd {
    let key = keys::ed25519();
    keys::save(&key, &world.ssh_file(key_file));
    let sshd = Sshd::start_for(&keys::public_line(&key), "", keys::ed25519());
    world.add_host(alias, sshd.port(), Some(sshd.host_key()));
    world.append_ssh_config(&format!("  IdentityFile ~/.ssh/{key_file}\n  IdentitiesOnly yes\n"));
    sshd
}

fn to_echo() -> (alknet_tests::targets::Target, String) {
    let echo = targets::echo();
    let spec = format!("0:127.0.0.1:{}", echo.port());
    (echo, spec)
}

#[test]
fn two_jump_hosts_carry_a_session_each_with_its_own_key_and_login() {
    let world = World::new();
    let first = server_for(&world, "first", "first_key");
    let second = server_for(&world, "second", "second_key");
    let last = server_for(&world, "inner", "inner_key");
    world.append_ssh_config("Host inner\n  ProxyJump first,second\n");
    world.start();
    let (_echo, spec) = to_echo();

    world.add_active("web", &["-L", &spec, "inner"]);

    assert_echo(world.port("web"));
    assert_eq!((first.logins(), second.logins(), last.logins()), (1, 1, 1));
    assert_eq!(last.connections(), 1, "nobody came directly");
    assert!(0 < first.kill_sessions());
    wait_until("the session comes back over both hosts", || last.logins() == 2);
    world.wait_status("web", "active");
    assert_echo(world.port("web"));
}

#[test]
fn a_jump_host_that_fails_is_named_with_its_own_code() {
    let world = World::new();
    let mut bastion = server_for(&world, "bastion", "bastion_key");
    let last = server_for(&world, "inner", "inner_key");
    world.append_ssh_config("Host inner\n  ProxyJump bastion\n");
    world.start();
    world.add_active("web", &["-L", "0:localhost:80", "inner"]);

    bastion.swap_host_key();
    let forward = world.wait_status("web", "error");

    assert_eq!(forward["reason"]["stage"], "proxy", "{forward:#}");
    assert_eq!(forward["reason"]["code"], "host_key_changed", "{forward:#}");
    let message = forward["reason"]["message"].as_str().unwrap();
    assert!(message.starts_with("jump host ") && message.contains(&format!(":{}", bastion.port())), "{message}");
    assert_eq!(last.logins(), 1, "nobody logged in past it");
}

#[test]
fn a_server_that_its_jump_host_cannot_reach_says_so() {
    let world = World::new();
    let bastion = server_for(&world, "bastion", "bastion_key");
    world.append_ssh_config("Host gone\n  HostName 127.0.0.1\n  Port 1\n  ProxyJump bastion\n");
    world.start();

    world.add("web", &["-L", "0:localhost:80", "gone"]);
    let forward = world.wait_status("web", "suspended");

    assert_eq!(forward["reason"]["stage"], "proxy", "{forward:#}");
    assert_eq!(forward["reason"]["code"], "connection_refused", "{forward:#}");
    assert!(bastion.logins() >= 1);
}

#[test]
fn a_jump_host_whose_key_is_not_known_is_not_passed() {
    let world = World::new();
    let bastion = Sshd::start_unknown(&world, "");
    world.add_host("bastion", bastion.port(), None);
    let last = server_for(&world, "inner", "inner_key");
    world.append_ssh_config("Host inner\n  ProxyJump bastion\n");
    world.start();

    world.add("web", &["-L", "0:localhost:80", "--accept-new", "inner"]);
    let forward = world.wait_status("web", "error");

    assert_eq!(
        (&forward["reason"]["stage"], &forward["reason"]["code"]),
        (&"proxy".into(), &"host_key_unknown".into())
    );
    assert_eq!((bastion.logins(), last.connections()), (0, 0));
}

/// A program that carries bytes between its own input and output and a port, with a child; it writes down both.
const CARRY: &str = r#"#!/bin/bash
exec 4>&1 3<>"/dev/tcp/$1/$2"
cat <&3 >&4 &
echo "$$ $!" >> "$3"
cat >&3
"#;

fn carrier(world: &World) -> String {
    let path = world.path("carry");
    std::fs::write(&path, CARRY).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Every start of the program: itself, and its child.
fn starts(file: &Path) -> Vec<[i32; 2]> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let pids = |line: &str| line.split_once(' ').map(|(own, child)| [own.parse().unwrap(), child.parse().unwrap()]);
    text.lines().filter_map(pids).collect()
}

fn runs(pid: i32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

#[test]
fn a_program_carries_a_session_and_ends_with_it() {
    let world = World::new();
    let sshd = Sshd::start_with(&world, "prod", "");
    let started = world.path("started");
    let program = carrier(&world);
    world.append_ssh_config(&format!("Host prod\n  ProxyCommand {program} %h %p {}\n", started.display()));
    world.start();
    let (_echo, spec) = to_echo();

    world.add_active("web", &["-L", &spec, "prod"]);
    assert_echo(world.port("web"));
    let first = starts(&started);
    assert_eq!(first.len(), 1);
    assert!(first[0].into_iter().all(runs));

    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first[0][0]), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until("another program carries the session", || starts(&started).len() == 2 && sshd.logins() == 2);
    wait_until("the child of the first is gone", || !runs(first[0][1]));
    world.wait_status("web", "active");
    assert_echo(world.port("web"));

    world.ctl(["remove-forward", "web"]).ok();
    world.ctl(["disconnect", "prod"]).ok();
    let second = starts(&started)[1];
    wait_until("the program ends with its session", || !second.into_iter().any(runs));
}

#[test]
fn a_program_that_fails_says_why_in_its_own_words() {
    let world = World::new();
    world.append_ssh_config("Host prod\n  ProxyCommand sh -c 'echo first >&2; echo no such tunnel >&2; exit 3'\n");
    world.start();

    world.add("web", &["-L", "0:localhost:80", "prod"]);
    let forward = world.wait_status("web", "suspended");

    assert_eq!(forward["reason"]["stage"], "proxy", "{forward:#}");
    let message = forward["reason"]["message"].as_str().unwrap();
    assert_eq!(message, "the ProxyCommand ended with exit code 3: no such tunnel");
}

#[test]
fn a_line_that_is_refused_stops_the_session_with_its_name_and_place() {
    let world = World::new();
    let sshd = Sshd::start_with(&world, "prod", "");
    world.append_ssh_config("Host prod\n  KnownHostsCommand /bin/keys %H\n");
    world.start();

    world.add("web", &["-L", "0:localhost:80", "prod"]);
    let forward = world.wait_status("web", "error");

    assert_eq!((&forward["reason"]["stage"], &forward["reason"]["code"]), (&"config".into(), &"invalid_config".into()));
    let message = forward["reason"]["message"].as_str().unwrap();
    let place = format!("{}:6: KnownHostsCommand is refused", world.ssh_file("config").display());
    assert!(message.starts_with(&place), "{message}");
    assert_eq!(sshd.connections(), 0);
}

#[test]
fn algorithms_are_those_that_the_configuration_chooses() {
    let world = World::new();
    let _sshd = Sshd::start_with(&world, "prod", "");
    world.append_ssh_config(
        "Host prod\n  KexAlgorithms ecdh-sha2-nistp384\n  Ciphers aes256-ctr,3des-cbc\n  MACs hmac-sha2-512\n  \
         HostKeyAlgorithms ssh-ed25519\n",
    );
    world.start();

    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    let agreed = |name: &str| -> Value { world.session("prod")["algorithms"][name].clone() };
    assert_eq!(agreed("kex"), "ecdh-sha2-nistp384");
    assert_eq!(agreed("cipher"), "aes256-ctr");
    assert_eq!(agreed("mac"), "hmac-sha2-512");
    assert_eq!(agreed("host_key"), "ssh-ed25519");
}

#[test]
fn a_server_may_have_another_name_in_known_hosts() {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    world.add_host("prod", sshd.port(), None);
    let line = format!("the-cluster {}\n", keys::public_line(sshd.host_key()));
    std::fs::write(world.ssh_file("known_hosts"), line).unwrap();
    world.append_ssh_config("Host prod\n  HostKeyAlias The-Cluster\n");
    world.start();

    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    assert_eq!(sshd.logins(), 1);
}

#[test]
fn no_checking_stores_a_first_key_and_never_believes_a_changed_one() {
    let world = World::new();
    let mut sshd = Sshd::start_unknown(&world, "");
    world.add_host("prod", sshd.port(), None);
    world.append_ssh_config("Host prod\n  StrictHostKeyChecking no\n  HashKnownHosts yes\n");
    world.start();

    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    let known = std::fs::read_to_string(world.ssh_file("known_hosts")).unwrap();
    assert!(known.starts_with("|1|") && !known.contains("127.0.0.1"), "{known}");

    sshd.swap_host_key();
    let forward = world.wait_status("web", "error");
    assert_eq!(forward["reason"]["code"], "host_key_changed");
    assert_eq!(std::fs::read_to_string(world.ssh_file("known_hosts")).unwrap(), known);
}

#[test]
fn a_remote_socks_forward_reaches_only_what_the_configuration_permits() {
    let world = World::new();
    let _sshd = Sshd::start_with(&world, "prod", "");
    let (allowed, other) = (targets::echo(), targets::echo());
    world.append_ssh_config(&format!("Host prod\n  PermitRemoteOpen 127.0.0.1:{}\n", allowed.port()));
    world.start();
    world.add_active("back", &["-R", "0", "prod"]);
    let port = world.port("back");

    let ask = |target: u16| {
        let mut stream = alknet_tests::load::connect(port);
        socks::connect(&mut stream, &Wanted::Ip([127, 0, 0, 1].into()), target).unwrap()
    };

    assert!(ask(allowed.port()).is_ok());
    assert!(ask(other.port()).is_err());
    assert_eq!(other.connections(), 0);
}
