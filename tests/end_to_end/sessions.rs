//! Sessions come back by themselves, unless a person has to look first.

use std::fs;
use std::time::{Duration, Instant};

use alknet_tests::load::{assert_echo, connect};
use alknet_tests::peer::Greeting;
use alknet_tests::proxy::{Proxy, Weather};
use alknet_tests::world::port_of;
use alknet_tests::{Peer, Sshd, World, keys, targets};
use serde_json::{Value, json};

use crate::real_world;

/// How long a test looks whether something that must not happen does.
const QUIET: Duration = Duration::from_secs(4);

/// Looks for [`QUIET`] whether `holds` stays true.
#[track_caller]
pub(crate) fn stays(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + QUIET;
    while Instant::now() < end {
        assert!(holds(), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_cut_session_is_suspended_and_active_again() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    world.add_active("proxy", &["-D", "0", "prod"]);
    let mut watch = world.watch();

    let killed = Instant::now();
    assert!(0 < sshd.kill_sessions());
    let suspended = watch.until_forward("web", "suspended");
    let active = watch.until_forward("web", "active");

    assert_eq!(suspended.event["reason"]["code"], "connection_lost", "{}", watch.story());
    assert!(active.at - killed <= Duration::from_secs(2), "took {:?}", active.at - killed);
    assert_echo(world.port("web"));
    let both = watch.seen().iter().filter(|seen| seen.event["name"] == "proxy").count();
    assert!(1 <= both, "every rule of the session was suspended\n{}", watch.story());
    let seqs: Vec<u64> = watch.seen().iter().filter_map(|seen| seen.event["seq"].as_u64()).collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    let detail = world.ctl(["show", "web", "--json"]).ok().json();
    let history: Vec<&Value> = detail["history"].as_array().unwrap().iter().map(|change| &change["to"]).collect();
    assert!(history.ends_with(&[&json!("suspended"), &json!("active")]), "{history:?}");
}

#[test]
fn connections_wait_for_the_session_or_are_reset() {
    let (world, mut sshd) = real_world();
    let echo = targets::echo();
    let to = format!("0:127.0.0.1:{}", echo.port());
    world.add_active("hold", &["-L", &to, "prod"]);
    world.add_active("refuse", &["-L", &to, "prod", "--on-suspend", "refuse"]);
    let (hold, refuse) = (world.port("hold"), world.port("refuse"));
    sshd.kill_all();
    world.wait_status("hold", "suspended");

    // The reset may come as early as the connection.
    let refused = std::net::TcpStream::connect(("127.0.0.1", refuse))
        .and_then(|mut stream| std::io::Read::read(&mut stream, &mut [0]));
    assert!(refused.is_err(), "a refused connection is reset: {refused:?}");
    let held = connect(hold);
    sshd.listen();
    world.ctl(["retry"]).ok();

    alknet_tests::load::echo_over(held);
}

#[test]
fn a_changed_host_key_is_not_retried() {
    let (world, mut sshd) = real_world();
    let known_hosts = fs::read(world.ssh_file("known_hosts")).unwrap();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    sshd.swap_host_key();
    let forward = world.wait_status("web", "error");

    assert_eq!(forward["reason"]["stage"], "host_key");
    assert_eq!(forward["reason"]["code"], "host_key_changed");
    assert_eq!(forward["retry_at"], Value::Null);
    let told = format!("{}", forward["reason"]);
    let place = format!("{}:1", world.ssh_file("known_hosts").display());
    assert!(told.contains(&place), "{told} names {place}");
    assert!(told.contains("SHA256:"), "{told} shows the fingerprint");
    let connections = sshd.connections();
    stays("a changed key is not tried again", || sshd.connections() == connections);
    assert_eq!(world.session("prod")["state"], "failed");
    assert_eq!(sshd.logins(), 1, "nobody logged in at the changed server");
    assert_eq!(fs::read(world.ssh_file("known_hosts")).unwrap(), known_hosts);
}

#[test]
fn an_unknown_host_key_is_not_retried_and_names_a_way_out() {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    world.add_host("prod", sshd.port(), None);
    world.start();

    world.add("web", &["-L", "0:localhost:80", "prod"]);
    let forward = world.wait_status("web", "error");

    assert_eq!(forward["reason"]["code"], "host_key_unknown");
    assert!(forward["reason"]["hint"].is_string(), "{forward:#}");
    let connections = sshd.connections();
    stays("an unknown key is not tried again", || sshd.connections() == connections);
    assert_eq!(sshd.logins(), 0);
}

#[test]
fn accept_new_keeps_the_first_key() {
    let world = World::new();
    let mut sshd = Sshd::start_unknown(&world, "");
    world.add_host("prod", sshd.port(), None);
    world.start();

    world.add_active("web", &["-L", "0:localhost:80", "prod", "--accept-new"]);

    let known = fs::read_to_string(world.ssh_file("known_hosts")).unwrap();
    assert!(known.contains(&keys::public_line(sshd.host_key())), "{known}");
    sshd.swap_host_key();
    assert_eq!(world.wait_status("web", "error")["reason"]["code"], "host_key_changed");
}

#[test]
fn a_revoked_host_key_is_refused() {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    let mut known = fs::read_to_string(world.ssh_file("known_hosts")).unwrap();
    known.push_str(&format!("@revoked * {}\n", keys::public_line(sshd.host_key())));
    fs::write(world.ssh_file("known_hosts"), known).unwrap();
    world.start();

    world.add("web", &["-L", "0:localhost:80", "prod"]);

    assert_eq!(world.wait_status("web", "error")["reason"]["code"], "host_key_revoked");
    assert_eq!(sshd.logins(), 0);
}

#[test]
fn a_refused_login_is_tried_once() {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    sshd.authorize(&keys::public_line(&keys::ed25519()));
    world.start();

    world.add("web", &["-L", "0:localhost:80", "prod"]);
    let forward = world.wait_status("web", "error");

    assert_eq!(forward["reason"]["stage"], "auth");
    assert_eq!(forward["reason"]["code"], "auth_refused");
    stays("a refused login is not tried again", || sshd.connections() == 1);
    sshd.authorize(&keys::public_line(world.key()));
    world.ctl(["retry", "prod"]).ok();
    world.wait_status("web", "active");
}

#[test]
fn a_silent_server_holds_up_nobody() {
    let world = World::new();
    let (silent, _good) = (Peer::start(&world, "silent"), Peer::start(&world, "good"));
    silent.set(|faults| faults.greeting = Greeting::Silent);
    world.start();

    let begin = Instant::now();
    world.add("waits", &["-L", "0:localhost:80", "silent"]);
    world.add_active("works", &["-L", "0:localhost:80", "good"]);

    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
    let late = world.ctl(["wait", "waits", "--for", "active", "--timeout", "1"]);
    late.exits(124);
    // Banner and key exchange have 15 s together.
    let forward = alknet_tests::wait::wait_within(Duration::from_secs(25), "the silence is noticed", || {
        Some(world.forward("waits")).filter(|forward| forward["status"] == "suspended")
    });
    assert_eq!(forward["reason"]["stage"], "handshake", "{forward:#}");
    assert_eq!(forward["reason"]["code"], "timed_out", "{forward:#}");
}

#[test]
fn a_server_that_closes_before_its_banner_is_tried_again() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    peer.set(|faults| faults.greeting = Greeting::Close);
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);

    let forward = world.wait_forward("web", "a try has failed", |f| f["status"] == "suspended");
    assert!(forward["retry_at"].is_string(), "{forward:#}");
    peer.set(|faults| faults.greeting = Greeting::Ssh);
    world.ctl(["retry"]).ok();

    world.wait_status("web", "active");
}

#[test]
fn a_server_that_is_down_is_tried_with_growing_pauses() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    peer.stop_listening();
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);

    let forward = world.wait_forward("web", "three tries have failed", |f| 3 <= f["attempt"].as_u64().unwrap_or(0));
    assert_eq!(forward["status"], "suspended");
    assert_eq!(forward["reason"]["stage"], "tcp");
    assert_eq!(forward["reason"]["code"], "connection_refused");
    peer.listen();

    world.wait_status("web", "active");
}

#[test]
fn a_reset_between_the_two_is_noticed_at_once() {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    let proxy = Proxy::before(sshd.port());
    world.add_host("prod", proxy.port(), Some(sshd.host_key()));
    world.start();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let mut watch = world.watch();

    proxy.cut();

    watch.until_forward("web", "suspended");
    watch.until_forward("web", "active");
    assert_echo(world.port("web"));
}

#[test]
fn a_slow_network_changes_nothing() {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    let proxy = Proxy::before(sshd.port());
    proxy.set(Weather::Slow(Duration::from_millis(50)));
    world.add_host("prod", proxy.port(), Some(sshd.host_key()));
    world.start();
    let target = targets::answers_at_the_end(0);

    let forward = world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", target.port()), "prod"]);

    let mut stream = connect(port_of(&forward));
    std::io::Write::write_all(&mut stream, b"request").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("7 "), "{answer}");
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn disconnect_ends_the_session_and_retry_brings_it_back() {
    let (world, sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    world.ctl(["disconnect", "prod"]).ok();

    let forward = world.forward("web");
    assert_eq!(forward["status"], "suspended", "{forward:#}");
    assert_eq!(forward["reason"]["code"], "disconnected");
    let connections = sshd.connections();
    stays("it does not reconnect by itself", || sshd.connections() == connections);
    world.ctl(["retry", "prod"]).ok();
    world.wait_status("web", "active");
    world.ctl(["disconnect", "nowhere"]).exits(4);
}

#[test]
fn a_server_that_refuses_channels_keeps_its_session() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    world.start();
    let echo = targets::echo();
    let forward = world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    peer.set(|faults| faults.refuse_channels = Some(russh::ChannelOpenFailure::AdministrativelyProhibited));

    let refused = std::io::Read::read(&mut connect(port_of(&forward)), &mut [0]);

    assert!(refused.is_err(), "{refused:?}");
    world.wait_forward("web", "the refusal is counted", |f| f["stats"]["connections_refused"] == 1);
    peer.set(|faults| faults.refuse_channels = None);
    assert_echo(port_of(&forward));
    assert_eq!(peer.counts().logins, 1);
}

#[test]
fn the_ssh_configuration_may_contain_what_alknet_does_not_know() {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    world.append_ssh_config(
        "Host *\n  SendEnv LANG\n  VisualHostKey yes\n  IgnoreUnknown Totally*\n  TotallyUnknownOption 7\n",
    );
    world.start();

    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    assert_eq!(sshd.logins(), 1);
}
