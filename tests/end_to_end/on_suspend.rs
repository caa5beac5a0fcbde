//! What becomes of connections that come while the session is down.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use alknet_tests::load::{connect, with_limits};
use alknet_tests::wait::wait_until;
use alknet_tests::{Sshd, World, targets};

use crate::real_world;

/// As many connections of one rule wait for its session.
const MOST_HELD: usize = 64;

/// What reading from a connection that is given up says.
#[track_caller]
fn assert_reset(mut stream: TcpStream) {
    let end = stream.read(&mut [0]).expect_err("a connection that is given up is reset, not ended");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

/// A new connection is reset, which may come as early as the connection itself.
#[track_caller]
fn assert_refused(port: u16) {
    let refused = TcpStream::connect(("127.0.0.1", port)).and_then(|stream| with_limits(stream).read(&mut [0]));
    assert_eq!(refused.expect_err("it is reset").kind(), ErrorKind::ConnectionReset);
}

#[test]
fn held_connections_are_reset_when_their_time_is_over() {
    let (world, mut sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod", "--on-suspend", "hold=2"]);
    let port = world.port("web");
    sshd.kill_all();
    world.wait_status("web", "suspended");

    let came = Instant::now();
    let held: Vec<TcpStream> = (0..5).map(|_| connect(port)).collect();
    for stream in &held {
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let kept = (&*stream).read(&mut [0]).expect_err("nothing comes");
        assert!(matches!(kept.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "it is kept: {kept}");
    }
    for stream in held {
        assert_reset(with_limits(stream));
    }

    let took = came.elapsed();
    assert!((2.0..3.5).contains(&took.as_secs_f64()), "reset after {took:?}");
    assert_eq!(world.forward("web")["stats"]["connections_refused"], 5);
    assert_eq!(world.forward("web")["stats"]["connections_active"], 0);
}

#[test]
fn as_many_as_64_are_held_and_all_flow_when_the_session_is_back() {
    let (world, mut sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod", "--on-suspend", "hold=30"]);
    let port = world.port("web");
    sshd.kill_all();
    world.wait_status("web", "suspended");

    let mut held: Vec<TcpStream> = (0..MOST_HELD).map(|_| connect(port)).collect();
    for (n, stream) in held.iter_mut().enumerate() {
        stream.write_all(format!("this is connection {n:2}").as_bytes()).unwrap();
    }
    wait_until("all of them are held", || world.forward("web")["stats"]["connections_active"] == MOST_HELD);
    assert_refused(port);
    sshd.listen();
    world.ctl(["retry"]).ok();

    for (n, stream) in held.iter_mut().enumerate() {
        let mut back = [0; 21];
        stream.read_exact(&mut back).expect("a held connection flows");
        assert_eq!(String::from_utf8_lossy(&back), format!("this is connection {n:2}"));
    }
    assert_eq!(world.forward("web")["stats"]["connections_refused"], 1);
    assert_eq!(echo.connections(), MOST_HELD, "nothing was tried twice");
}

#[test]
fn one_that_gives_up_waiting_makes_room() {
    let (world, mut sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod", "--on-suspend", "hold=30"]);
    let port = world.port("web");
    sshd.kill_all();
    world.wait_status("web", "suspended");
    let active = || world.forward("web")["stats"]["connections_active"].as_u64().unwrap();
    let mut held: Vec<TcpStream> = (0..MOST_HELD).map(|_| connect(port)).collect();
    wait_until("all of them are held", || active() == MOST_HELD as u64);

    // Cut, not ended: a program that has ended its side may still wait for its answer.
    let (given_up, waiting) = held.split_at(10);
    for stream in given_up {
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let n_waiting = waiting.len() as u64;
    held.drain(..10);
    wait_until("they are gone", || active() == n_waiting);
    let _others: Vec<TcpStream> = (0..10).map(|_| connect(port)).collect();

    wait_until("others are held in their place", || active() == MOST_HELD as u64);
    assert_eq!(world.forward("web")["stats"]["connections_refused"], 0);
}

#[test]
fn refused_connections_are_reset_at_once_and_never_reach_a_later_session() {
    let (world, mut sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod", "--on-suspend", "refuse"]);
    let port = world.port("web");
    sshd.kill_all();
    world.wait_status("web", "suspended");

    let came = Instant::now();
    for _ in 0..10 {
        assert_refused(port);
    }

    assert!(came.elapsed() < Duration::from_secs(1), "ten of them took {:?}", came.elapsed());
    sshd.listen();
    world.ctl(["retry"]).ok();
    world.wait_status("web", "active");
    alknet_tests::load::assert_echo(port);
    assert_eq!(echo.connections(), 1);
}

#[test]
fn a_connection_that_comes_before_the_loss_is_noticed_is_held_too() {
    let world = World::new();
    world.configure("keepalive_interval_seconds = 1\nkeepalive_count = 3\n");
    let sshd = Sshd::start(&world, "prod");
    world.start();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let port = world.port("web");

    // The session is dead from here on; that shows only in 3 s. The server takes new ones.
    sshd.freeze_sessions(true);
    let mut stream = connect(port);
    stream.write_all(b"sent into the void").unwrap();
    assert_eq!(world.forward("web")["status"], "active", "nobody knows yet");

    let mut back = [0; 18];
    stream.read_exact(&mut back).expect("the next session carries it");
    assert_eq!(&back, b"sent into the void");
    assert_eq!(sshd.logins(), 2);
    assert_eq!(echo.connections(), 1, "it is carried once");
    sshd.freeze_sessions(false);
}

#[test]
fn a_held_socks_client_is_answered_when_the_session_is_back() {
    let (world, mut sshd) = real_world();
    let echo = targets::echo();
    world.add_active("proxy", &["-D", "0", "prod"]);
    let port = world.port("proxy");
    sshd.kill_all();
    world.wait_status("proxy", "suspended");

    let target = echo.port();
    let client = std::thread::spawn(move || {
        alknet_tests::socks::through(port, &alknet_tests::socks::Wanted::Name("localhost"), target)
    });
    wait_until("it is held", || world.forward("proxy")["stats"]["connections_active"] == 1);
    sshd.listen();
    world.ctl(["retry"]).ok();

    alknet_tests::load::echo_over(client.join().unwrap());
}

#[test]
fn listeners_stay_bound_while_the_server_is_away() {
    let (world, mut sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    world.add_active("proxy", &["-D", "0", "prod"]);
    let ports = [world.port("web"), world.port("proxy")];

    sshd.kill_all();
    world.wait_status("web", "suspended");

    assert_eq!([world.port("web"), world.port("proxy")], ports);
    for port in ports {
        let taken = std::net::TcpListener::bind(("127.0.0.1", port)).expect_err("nobody else gets the port");
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    }
}

#[test]
fn nothing_waits_for_a_session_that_does_not_come_back_by_itself() {
    let (world, mut sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod", "--on-suspend", "hold=60"]);
    let port = world.port("web");
    sshd.kill_all();
    world.wait_status("web", "suspended");

    let held = connect(port);
    wait_until("it is held", || world.forward("web")["stats"]["connections_active"] == 1);
    sshd.swap_host_key();
    world.ctl(["retry"]).ok();
    world.wait_status("web", "error");

    assert_reset(held);
    let came = Instant::now();
    for _ in 0..10 {
        assert_refused(port);
    }
    assert!(came.elapsed() < Duration::from_secs(1), "ten of them took {:?}", came.elapsed());
    let why = world.ctl(["show", "web", "--json"]).ok().json()["last_refusal"]["reason"]["message"].clone();
    assert_eq!(why, "the session failed and does not come back by itself");
}
