//! Remote forwards: the server decides, and may say no.

use std::net::{TcpListener, TcpStream};

use alknet_tests::load::assert_echo;
use alknet_tests::ports::free_port;
use alknet_tests::wait::wait_until;
use alknet_tests::world::port_of;
use alknet_tests::{Peer, World, targets};

use crate::real_world;

#[test]
fn a_remote_rule_that_the_server_refuses_leaves_nothing() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    world.start();
    world.add_active("up", &["-L", "0:localhost:80", "prod"]);
    peer.set(|faults| faults.refuse_forwards = true);

    let refused = world.ctl(["add-forward", "--json", "--name", "web", "-R", "0:localhost:80", "prod"]);

    assert_eq!((refused.code, refused.error_code().as_str()), (1, "remote_forward_refused"), "{refused:#?}");
    assert_eq!(refused.json()["error"]["stage"], "forward");
    assert_eq!(world.forwards().len(), 1);
    assert_eq!(world.forward("up")["status"], "active", "the session goes on");
    assert_eq!(peer.counts().logins, 1);
    world.restart();
    assert_eq!(world.forwards().len(), 1);
}

#[test]
fn a_port_that_is_taken_on_the_server_is_a_fault() {
    let (world, _sshd) = real_world();
    world.add_active("up", &["-L", "0:localhost:80", "prod"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let spec = format!("{}:localhost:80", taken.local_addr().unwrap().port());

    let refused = world.ctl(["add-forward", "--json", "--name", "web", "-R", &spec, "prod"]);

    assert_eq!((refused.code, refused.error_code().as_str()), (5, "remote_port_in_use"), "{refused:#?}");
    assert_eq!(world.forwards().len(), 1);
}

#[test]
fn a_free_port_of_the_server_stays_the_same_over_a_cut() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    let port = port_of(&world.add_active("web", &["-R", &format!("0:127.0.0.1:{}", echo.port()), "prod"]));
    let mut watch = world.watch();

    sshd.kill_sessions();
    watch.until_forward("web", "suspended");
    watch.until_forward("web", "active");

    assert_eq!(world.port("web"), port);
    assert_echo(port);
}

#[test]
fn a_remote_rule_added_while_the_session_is_down_is_asked_for_when_it_comes() {
    let (world, mut sshd) = real_world();
    let echo = targets::echo();
    sshd.kill_all();

    let forward = world.add("web", &["-R", &format!("{}:127.0.0.1:{}", free_port(), echo.port()), "prod"]);
    assert_ne!(forward["status"], "active");
    sshd.listen();
    world.ctl(["retry", "prod"]).ok();

    assert_echo(port_of(&world.wait_status("web", "active")));
}

#[test]
fn a_remote_rule_is_asked_for_again_after_a_cut() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    let forward = world.add_active("web", &["-R", &format!("{}:127.0.0.1:{}", free_port(), echo.port()), "prod"]);
    let mut watch = world.watch();

    sshd.kill_sessions();

    watch.until_forward("web", "suspended");
    watch.until_forward("web", "active");
    assert_eq!(world.port("web"), port_of(&forward));
    assert_echo(port_of(&forward));
}

#[test]
fn a_server_that_does_not_answer_a_remote_rule_is_waited_for_ten_seconds() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    world.start();
    world.add_active("up", &["-L", "0:localhost:80", "prod"]);
    peer.set(|faults| faults.ignore_forwards = true);

    let refused = world.ctl(["add-forward", "--json", "--name", "web", "-R", "0:localhost:80", "prod"]);

    assert_ne!(refused.code, 0);
    assert_eq!(refused.error_code(), "timed_out");
    assert!((8.0..20.0).contains(&refused.took.as_secs_f64()), "took {:?}", refused.took);
    assert_eq!(world.forwards().len(), 1, "nothing is left of it");
}

#[test]
fn a_stopped_remote_rule_gives_its_port_back() {
    let (world, _sshd) = real_world();
    let echo = targets::echo();
    let port = port_of(&world.add_active("web", &["-R", &format!("0:127.0.0.1:{}", echo.port()), "prod"]));
    assert_echo(port);

    world.ctl(["stop", "web"]).ok();

    wait_until("the server stops listening", || TcpStream::connect(("127.0.0.1", port)).is_err());
    world.ctl(["start", "web"]).ok();
    assert_echo(port_of(&world.wait_status("web", "active")));
}
