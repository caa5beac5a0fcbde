//! A remote port that our own dead session still holds: half-open sessions at a real sshd.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use alknet_tests::load::assert_echo;
use alknet_tests::ports::free_port;
use alknet_tests::proxy::Proxy;
use alknet_tests::wait::{wait_for, wait_until};
use alknet_tests::{Sshd, World, targets};
use serde_json::Value;

/// A user whose daemon notices within three seconds that `prod` is silent, behind a proxy.
fn half_open_world(lines: &str) -> (World, Sshd, Proxy) {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, lines);
    let proxy = Proxy::before(sshd.port());
    world.add_host("prod", proxy.port(), Some(sshd.host_key()));
    std::fs::create_dir_all(world.config_path().parent().unwrap()).unwrap();
    std::fs::write(world.config_path(), "keepalive_interval_seconds = 1\nkeepalive_count = 2\n").unwrap();
    world.start();
    (world, sshd, proxy)
}

fn remote(port: u16, target: u16) -> String {
    format!("{port}:127.0.0.1:{target}")
}

/// The statuses that the forward named `name` has taken in what a watch has read.
fn edges(watch: &alknet_tests::watch::Watch, name: &str) -> Vec<String> {
    let of = |event: &Value| event["event"] == "forward_status" && event["name"] == name;
    let seen = watch.seen().iter().filter(|seen| of(&seen.event));
    seen.map(|seen| seen.event["to"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_port_that_our_dead_session_holds_is_asked_for_again_and_said_to_be_ours() {
    let (world, sshd, proxy) = half_open_world("");
    let echo = targets::echo();
    world.add_active("back", &["-R", &remote(free_port(), echo.port()), "prod"]);
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let old = sshd.session_pids();
    let mut watch = world.watch();

    proxy.abandon();
    watch.until_forward("web", "suspended");
    watch.until_forward("web", "active");
    let back = world.wait_forward("back", "the server was asked twice", |back| {
        back["reason"]["code"] == "remote_port_in_use"
            && back["attempt"].as_u64() >= Some(2)
            && back["retry_at"].is_string()
    });

    let (message, hint) = (back["reason"]["message"].as_str().unwrap(), back["reason"]["hint"].as_str().unwrap());
    assert_eq!(back["status"], "suspended");
    assert!(message.contains("probably by our own earlier session"), "{message}");
    for word in ["ClientAliveInterval", "--reclaim", "ssh prod"] {
        assert!(hint.contains(word), "{hint}");
    }
    assert_eq!(world.forward("web")["status"], "active", "the other rule goes on");
    assert_echo(world.port("web"));
    assert!(old.iter().all(|pid| sshd.session_pids().contains(pid)), "nothing was ended on the server");

    // What the server would do by itself in time.
    for pid in old {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    world.wait_status("back", "active");
    watch.until_forward("back", "active");
    assert_eq!(edges(&watch, "web"), ["suspended", "active"], "{}", watch.story());
}

#[test]
fn a_rule_with_reclaim_ends_its_own_dead_session_and_nothing_else() {
    let (world, sshd, proxy) = half_open_world("");
    let echo = targets::echo();
    let port = free_port();
    let mut bystander = login(&world, &sshd);
    let spared =
        wait_for("the other login", || Some(sshd.session_pids()).filter(|pids| sshd.logins() == 1 && pids.len() == 1));
    let added = world.add_active("back", &["-R", &remote(port, echo.port()), "--reclaim", "prod"]);
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    assert_eq!(added["reclaim"], true);
    let mut watch = world.watch();

    proxy.abandon();
    watch.until_forward("back", "suspended");
    let back = watch.until_forward("back", "active");

    assert_echo(port);
    let lost = watch.seen().iter().find(|seen| seen.event["name"] == "back" && seen.event["to"] == "suspended");
    let took = back.at - lost.unwrap().at;
    assert!(took.as_secs_f64() < 5.0, "it took {took:?}");
    let now = sshd.session_pids();
    assert!(spared.iter().all(|pid| now.contains(pid)), "another login of the same user was ended: {spared:?} {now:?}");
    assert_eq!(bystander.try_wait().unwrap(), None, "the other login goes on");
    assert_eq!(edges(&watch, "web").iter().filter(|to| *to == "suspended").count(), 1, "{}", watch.story());
    assert!(world.daemon_log().contains("ended the server's process of our dead session"));

    world.restart();
    assert_eq!(world.wait_status("back", "active")["reclaim"], true, "it is saved");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn a_port_that_another_program_holds_is_never_freed() {
    let (world, sshd, proxy) = half_open_world("");
    let echo = targets::echo();
    let port = free_port();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    world.add_active("back", &["-R", &remote(port, echo.port()), "--reclaim", "prod"]);
    world.ctl(["stop", "back"]).ok();
    wait_until("the server stops listening", || TcpStream::connect(("127.0.0.1", port)).is_err());
    let foreign = TcpListener::bind(("127.0.0.1", port)).unwrap();

    let refused = world.ctl(["start", "back", "--json"]);

    assert_eq!((refused.code, refused.error_code().as_str()), (5, "remote_port_in_use"), "{refused:#?}");
    let said = refused.json()["error"]["hint"].as_str().unwrap().to_owned();
    assert!(said.contains("no earlier session of this forward"), "{said}");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok(), "whoever has the port keeps it");
    drop(foreign);
    world.ctl(["start", "back"]).ok();
    world.wait_status("back", "active");

    // Our own session is gone when it is looked for, and another program is quicker.
    let sessions = sshd.session_pids();
    proxy.abandon();
    for pid in sessions {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    let foreign = wait_for("the port is free", || TcpListener::bind(("127.0.0.1", port)).ok());
    let back = world.wait_forward("back", "refused", |back| back["reason"]["code"] == "remote_port_in_use");
    assert!(back["reason"]["message"].as_str().unwrap().contains("by another program"), "{back:#}");
    assert_eq!(world.wait_status("web", "active")["status"], "active");
    drop(foreign);
    world.wait_status("back", "active");
    assert_echo(port);
}

#[test]
fn a_process_of_the_server_that_is_stopped_is_ended_too() {
    let (world, sshd, proxy) = half_open_world("");
    let echo = targets::echo();
    let port = free_port();
    world.add_active("back", &["-R", &remote(port, echo.port()), "--reclaim", "prod"]);
    let mut watch = world.watch();
    wait_until("the command that asks for the process has ended", || sshd.session_pids().len() == 1);

    sshd.freeze_sessions(true);
    proxy.abandon();

    watch.until_forward("back", "suspended");
    watch.until_forward("back", "active");
    assert_echo(port);
}

#[test]
fn a_server_that_runs_no_commands_is_said_to() {
    let (world, _sshd, proxy) = half_open_world("ForceCommand /bin/false");
    let echo = targets::echo();
    world.add_active("back", &["-R", &remote(free_port(), echo.port()), "--reclaim", "prod"]);

    proxy.abandon();

    let back = world.wait_forward("back", "refused", |back| back["reason"]["code"] == "remote_port_in_use");
    let hint = back["reason"]["hint"].as_str().unwrap();
    assert!(hint.contains("--reclaim cannot free it, because the server does not show"), "{hint}");
}

#[test]
fn only_the_port_of_a_remote_rule_can_be_reclaimed() {
    let world = World::with_daemon();

    for spec in [["-L", "0:localhost:80"], ["-D", "0"], ["-R", "/tmp/x.sock:localhost:80"]] {
        let refused = world.ctl(["add-forward", spec[0], spec[1], "--reclaim", "--json", "prod"]).exits(2);
        assert_eq!(refused.error_code(), "invalid_spec");
    }
}

#[test]
fn an_address_that_the_server_did_not_take_is_said() {
    let (world, _sshd, _proxy) = half_open_world("GatewayPorts no");
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    let added = world.ctl(["add-forward", "-R", "*:0:localhost:80", "--reclaim", "prod"]).ok();

    // At 127.0.0.1, at ::1, or at both: sshd takes what is free of them.
    assert!(added.stderr.contains("* was asked for, and the server listens at "), "{}", added.stderr);
    assert!(added.stderr.contains("GatewayPorts"), "{}", added.stderr);
}

/// Another login of the same user, by the real ssh.
fn login(world: &World, sshd: &Sshd) -> Child {
    let known_hosts = world.ssh_file("known_hosts_of_ssh");
    world
        .command(std::path::Path::new("/usr/bin/ssh"))
        .args(["-F", "none", "-N", "-o", "StrictHostKeyChecking=no", "-o"])
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
        .arg("-i")
        .arg(world.ssh_file("id_ed25519"))
        .args(["-p", &sshd.port().to_string(), "127.0.0.1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("ssh: {error}"))
        .unwrap()
}
