//! What servers are spared, as a real sshd and a pretended server see it.

use std::time::{Duration, Instant};

use alknet_tests::peer::Greeting;
use alknet_tests::wait::{wait_for, wait_within};
use alknet_tests::{Peer, Sshd, World, keys};

use crate::sessions::stays;

const HERD: usize = 20;

#[test]
fn a_herd_of_destinations_never_crowds_one_server() {
    let world = World::new();
    // sshd drops whoever is the sixth without a login.
    let sshd = Sshd::start_unknown(&world, "MaxStartups 5:100:5\n");
    world.add_host("home", sshd.port(), Some(sshd.host_key()));
    for nth in 0..HERD {
        world.add_host(&format!("to{nth}"), sshd.port(), None);
    }
    world.start();
    for nth in 0..HERD {
        world.add(&format!("rule{nth}"), &["-L", "0:localhost:80", &format!("to{nth}")]);
    }
    for nth in 0..HERD {
        world.wait_status(&format!("rule{nth}"), "active");
    }

    let began = Instant::now();
    sshd.kill_sessions();
    wait_for("every session is logged in again", || (2 * HERD <= sshd.logins()).then_some(()));
    let took = began.elapsed();

    for nth in 0..HERD {
        world.wait_status(&format!("rule{nth}"), "active");
    }
    assert_eq!(sshd.count("drop connection"), 0, "{}", sshd.log());
    assert_eq!(sshd.count("beginning MaxStartups throttling"), 0);
    assert_eq!(sshd.connections(), 2 * HERD, "one handshake for each login");
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn a_login_refused_after_a_drop_is_tried_once() {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    world.start();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    sshd.authorize(&keys::public_line(&keys::ed25519()));

    sshd.kill_sessions();
    let forward = world.wait_status("web", "error");

    assert_eq!(forward["reason"]["code"], "auth_refused", "{forward:#}");
    stays("a refused login is not tried again", || sshd.connections() == 2);
    assert_eq!(sshd.count("Failed publickey"), 1, "{}", sshd.log());
}

#[test]
fn whoever_retries_in_a_loop_gets_three_handshakes_and_is_told_to_wait() {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    world.add_host("prod", sshd.port(), Some(sshd.host_key()));
    sshd.authorize(&keys::public_line(&keys::ed25519()));
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);

    for n in 1..=3 {
        wait_for("a handshake comes to its end", || (n <= sshd.count("Failed publickey")).then_some(()));
        world.wait_status("web", "error");
        world.ctl(["retry", "prod"]).ok();
    }
    let forward = world.wait_status("web", "suspended");

    let told = world.ctl(["retry", "prod"]).ok();
    assert!(told.stdout.contains("waiting for prod") && told.stderr.contains("prod is tried at "), "{told:?}");
    assert!(forward["retry_at"].is_string(), "{forward:#}");
    assert!(forward["reason"]["message"].as_str().unwrap().contains("at most 6 a minute"), "{forward:#}");
    for _ in 0..5 {
        world.ctl(["restart", "web"]).ok();
    }
    stays("the fourth waits, whoever asks", || sshd.connections() == 3);
    sshd.authorize(&keys::public_line(world.key()));
    world.wait_status("web", "active");
}

#[test]
fn a_server_that_bans_us_is_left_alone_by_every_name_it_has() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    world.add_host("alias", peer.port(), None);
    peer.set(|faults| faults.greeting = Greeting::Close);
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);

    let forward = wait_within(Duration::from_secs(20), "it is taken for a ban", || {
        Some(world.forward("web")).filter(|forward| forward["reason"]["code"] == "server_busy")
    });
    let n_connections = peer.counts().connections;
    world.add("other", &["-L", "0:localhost:80", "alias"]);
    let other = world.wait_status("other", "suspended");

    assert_eq!(n_connections, 3);
    assert_eq!(forward["reason"]["stage"], "handshake");
    assert_eq!(other["reason"]["code"], "server_busy", "{other:#}");
    assert_eq!(peer.counts().connections, n_connections, "the other name does not try");
    peer.set(|faults| faults.greeting = Greeting::Ssh);
    world.ctl(["retry"]).ok();
    world.wait_status("web", "active");
    world.wait_status("other", "active");
}

#[test]
fn five_failures_in_a_row_are_said_and_one_login_clears_them() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    peer.stop_listening();
    world.start();
    world.add("web", &["-L", "0:localhost:80", "prod"]);

    for n in 1..=5 {
        world.wait_forward("web", "one more try failed", |forward| n <= forward["attempt"].as_u64().unwrap());
        world.ctl(["retry"]).ok();
    }
    let forward = world.wait_forward("web", "it says so", |forward| {
        forward["reason"]["message"].as_str().is_some_and(|message| message.contains("failed 5 times in a row"))
    });
    assert_eq!(forward["reason"]["code"], "connection_refused", "{forward:#}");
    peer.listen();
    world.ctl(["retry"]).ok();
    let forward = world.wait_status("web", "active");
    assert_eq!(forward["reason"], serde_json::Value::Null);
    assert_eq!(forward["attempt"], 0);
}

#[test]
fn when_one_destination_comes_back_the_others_try_at_once() {
    let world = World::new();
    let (one, other) = (Peer::start(&world, "one"), Peer::start(&world, "other"));
    one.stop_listening();
    other.stop_listening();
    world.start();
    world.add("a", &["-L", "0:localhost:80", "one"]);
    world.add("b", &["-L", "0:localhost:80", "other"]);
    // Far enough into its backoff to wait some seconds.
    world.wait_forward("b", "four tries have failed", |forward| 4 <= forward["attempt"].as_u64().unwrap());
    one.listen();
    other.listen();

    let began = Instant::now();
    world.ctl(["retry", "one"]).ok();
    world.wait_status("b", "active");

    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
