//! Every form of SPEC, on both sides.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use alknet_tests::load::{assert_echo, connect, echo_over, with_limits};
use alknet_tests::ports::free_port;
use alknet_tests::socks::{self, Refused, Wanted, through};
use alknet_tests::world::port_of;
use alknet_tests::{Peer, Sshd, World, targets};
use serde_json::{Value, json};

use crate::{real_world, real_world_with};

#[test]
fn local_forwards_of_every_form() {
    let (world, sshd) = real_world();
    let (echo, echo_v6) = (targets::echo(), targets::echo_v6());
    let socket = sshd.path("echo.sock");
    let _echo_unix = targets::echo_unix(&socket);
    let (port, port_v6, socket) = (echo.port(), echo_v6.port(), socket.display().to_string());
    let (a, b) = (world.path("a.sock").display().to_string(), world.path("b.sock").display().to_string());

    for (n, (spec, bind_address)) in [
        (format!("0:localhost:{port}"), "127.0.0.1"),
        (format!("127.0.0.1:0:127.0.0.1:{port}"), "127.0.0.1"),
        (format!("127.0.0.2:0:127.0.0.1:{port}"), "127.0.0.2"),
        (format!("0.0.0.0:0:127.0.0.1:{port}"), "0.0.0.0"),
        (format!("*:0:127.0.0.1:{port}"), "*"),
        (format!(":0:127.0.0.1:{port}"), "*"),
        (format!("localhost:0:127.0.0.1:{port}"), "localhost"),
        (format!("[::1]:0:[::1]:{port_v6}"), "::1"),
        (format!("0:{socket}"), "127.0.0.1"),
        (format!("127.0.0.1:0:{socket}"), "127.0.0.1"),
        (format!("{}:localhost:{port}", free_port()), "127.0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let forward = world.add_active(&format!("rule-{n}"), &["-L", &spec, "prod"]);
        assert_eq!(forward["kind"], "local", "{spec}");
        assert_eq!(forward["bind_address"], bind_address, "{spec}");
        assert_ne!(port_of(&forward), 0, "{spec}: the port that it got is reported");
        for ip in reachable_at(bind_address) {
            let stream = TcpStream::connect(SocketAddr::new(ip, port_of(&forward)));
            echo_over(with_limits(stream.unwrap_or_else(|error| panic!("{spec} at {ip}: {error}"))));
        }
    }
    for (name, spec, path) in
        [("socket-tcp", format!("{a}:localhost:{port}"), &a), ("socket-socket", format!("{b}:{socket}"), &b)]
    {
        let forward = world.add_active(name, &["-L", &spec, "prod"]);
        assert_eq!((&forward["bind_path"], &forward["bind_port"]), (&json!(path), &json!(0)), "{spec}");
        echo_over(UnixStream::connect(path).unwrap());
        world.ctl(["remove-forward", name]).ok();
        assert!(!std::path::Path::new(path).exists(), "{spec}: the socket is removed with its rule");
    }
    assert_eq!(sshd.logins(), 1, "all rules share one session");
}

fn reachable_at(bind_address: &str) -> Vec<IpAddr> {
    let at = |ip: &str| ip.parse().unwrap();
    match bind_address {
        "*" | "localhost" => vec![at("127.0.0.1"), at("::1")],
        "0.0.0.0" => vec![at("127.0.0.1")],
        ip => vec![at(ip)],
    }
}

#[test]
fn remote_forwards_of_every_form() {
    let (world, sshd) = real_world_with("GatewayPorts clientspecified\n");
    let (echo, echo_v6) = (targets::echo(), targets::echo_v6());
    let here = world.path("echo.sock");
    let _echo_unix = targets::echo_unix(&here);
    let here = here.display().to_string();
    let there = |name: &str| sshd.path(name).display().to_string();
    let port = echo.port();

    for (n, spec) in [
        format!("0:127.0.0.1:{port}"),
        format!("localhost:0:127.0.0.1:{port}"),
        format!("127.0.0.1:0:localhost:{port}"),
        format!("*:0:127.0.0.1:{port}"),
        format!("{}:127.0.0.1:{port}", free_port()),
        format!("0:[::1]:{}", echo_v6.port()),
        format!("0:{here}"),
        format!("127.0.0.1:0:{here}"),
    ]
    .into_iter()
    .enumerate()
    {
        let forward = world.add_active(&format!("rule-{n}"), &["-R", &spec, "prod"]);
        assert_eq!(forward["kind"], "remote", "{spec}");
        assert_echo(port_of(&forward));
    }
    for (name, spec, path) in [
        ("socket-tcp", format!("{}:127.0.0.1:{port}", there("a.sock")), there("a.sock")),
        ("socket-socket", format!("{}:{here}", there("b.sock")), there("b.sock")),
    ] {
        let forward = world.add_active(name, &["-R", &spec, "prod"]);
        assert_eq!(forward["bind_path"], json!(path), "{spec}");
        echo_over(UnixStream::connect(&path).unwrap());
    }
    assert_eq!(sshd.logins(), 1, "all rules share one session");
}

#[test]
fn dynamic_forwards_take_every_kind_of_address() {
    let (world, sshd) = real_world();
    let (echo, echo_v6) = (targets::echo(), targets::echo_v6());
    for (name, options) in [("here", ["-D", "0"]), ("there", ["-R", "0"]), ("bound", ["-D", "127.0.0.2:0"])] {
        world.add_active(name, &[options[0], options[1], "prod"]);
    }
    let kinds: Vec<Value> = world.forwards().iter().map(|forward| forward["kind"].clone()).collect();
    assert_eq!(kinds, ["dynamic", "remote_dynamic", "dynamic"]);

    for name in ["here", "there"] {
        let port = world.port(name);
        let (v4, v6) = (Wanted::Ip([127, 0, 0, 1].into()), Wanted::Ip("::1".parse().unwrap()));
        echo_over(through(port, &v4, echo.port()));
        echo_over(through(port, &v6, echo_v6.port()));
        echo_over(through(port, &Wanted::Name("localhost"), echo.port()));
    }
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn names_are_looked_up_by_the_server() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    world.start();
    world.add_active("proxy", &["-D", "0", "prod"]);
    peer.set(|faults| faults.refuse_channels = Some(russh::ChannelOpenFailure::ConnectFailed));

    let mut stream = connect(world.port("proxy"));
    let answer = socks::connect(&mut stream, &Wanted::Name("db.only.known.there.invalid"), 5432).unwrap();

    assert!(matches!(answer, Err(Refused(code)) if code != 0), "{answer:?}");
    assert_eq!(peer.counts().targets, ["db.only.known.there.invalid:5432"]);
}

#[test]
fn a_socks_client_is_told_that_the_target_refuses() {
    let (world, _sshd) = real_world();
    world.add_active("proxy", &["-D", "0", "prod"]);

    let mut stream = connect(world.port("proxy"));
    let answer = socks::connect(&mut stream, &Wanted::Ip([127, 0, 0, 1].into()), free_port()).unwrap();

    assert_eq!(answer, Err(Refused(5)), "connection refused");
}

#[test]
fn what_is_not_socks_is_closed() {
    use std::io::{Read, Write};

    let (world, _sshd) = real_world();
    world.add_active("proxy", &["-D", "0", "prod"]);

    let mut stream = connect(world.port("proxy"));
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();

    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "it does not speak HTTP");
    assert_eq!(world.forward("proxy")["status"], "active");
}

#[test]
fn rules_to_two_destinations_have_two_sessions() {
    let (world, first) = real_world();
    let second = Sshd::start(&world, "other");
    world.add_active("a", &["-L", "0:localhost:80", "prod"]);
    world.add_active("b", &["-L", "0:localhost:80", "other"]);
    world.add_active("c", &["-D", "0", "prod"]);

    assert_eq!((first.logins(), second.logins()), (1, 1));
    let sessions = world.ctl(["list-sessions", "--json"]).ok().json();
    let names: Vec<&Value> = sessions.as_array().unwrap().iter().map(|session| &session["destination"]).collect();
    assert_eq!(names, [&json!("other"), &json!("prod")]);
}

#[test]
fn a_destination_needs_no_ssh_configuration() {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    world.start();
    let user = alknet_tests::world::current_user();
    let echo = targets::echo();
    let destination = format!("ssh://{user}@127.0.0.1:{}", sshd.port());

    world
        .ctl([
            "add-forward",
            "--name",
            "web",
            "-L",
            &format!("0:localhost:{}", echo.port()),
            &destination,
            "--accept-new",
            "--wait",
        ])
        .ok();

    assert_echo(world.port("web"));
    assert_eq!(world.forward("web")["destination"], format!("{user}@127.0.0.1:{}", sshd.port()));
}

#[test]
fn wide_addresses_are_said_aloud() {
    let (world, _sshd) = real_world();

    let added = world.ctl(["add-forward", "-L", "0.0.0.0:0:localhost:80", "prod"]).ok();

    let said = format!("{}{}", added.stdout, added.stderr).to_lowercase();
    assert!(said.contains("other machines") || said.contains("other computers"), "{added:#?}");
}
