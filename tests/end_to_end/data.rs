//! What flows through a forward arrives: all of it, in order, and with the end that the other side meant.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use alknet_tests::content::{Checksum, Content};
use alknet_tests::load::{assert_echo, channels, connect, crowd, echo_over, echoes_whole};
use alknet_tests::socks::{Wanted, through};
use alknet_tests::{Peer, World, targets};

use crate::{real_world, real_world_with};

#[test]
fn server_speaks_first_on_the_first_connection() {
    let (world, _sshd) = real_world();
    let greeter = targets::greeter(b"220 hello\r\n");
    let target = format!("127.0.0.1:{}", greeter.port());
    world.add("local", &["-L", &format!("0:{target}"), "prod", "--wait"]);
    world.add("remote", &["-R", &format!("0:{target}"), "prod", "--wait"]);
    world.add("lazy", &["-L", &format!("0:{target}"), "prod", "--lazy"]);

    for name in ["local", "remote", "lazy"] {
        let mut stream = connect(world.port(name));
        let mut greeting = [0; 11];
        stream.read_exact(&mut greeting).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&greeting, b"220 hello\r\n", "{name}");
        echo_over(stream);
    }
}

#[test]
fn a_dead_destination_delays_nobody() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    let echo = targets::echo();
    peer.set(|faults| faults.dead_ports.extend([9]));
    world.start();
    world.add("dead", &["-L", "0:127.0.0.1:9", "prod"]);
    world.add_active("live", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    world.add_active("proxy", &["-D", "0", "prod"]);
    let (dead, live) = (world.port("dead"), world.port("live"));

    let waiting: Vec<TcpStream> = (0..20).map(|_| connect(dead)).collect();
    alknet_tests::wait::wait_until("the dead channels are asked for", || 20 <= peer.counts().channels);

    let begin = Instant::now();
    assert_echo(live);
    echo_over(through(world.port("proxy"), &Wanted::Name("localhost"), echo.port()));
    world.add_active("another", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?} beside dead destinations", begin.elapsed());
    drop(waiting);
}

#[test]
fn half_closed_request_gets_its_whole_answer() {
    const ANSWER: usize = 5 << 20;
    let (world, _sshd) = real_world();
    let target = targets::answers_at_the_end(ANSWER);
    let to = format!("127.0.0.1:{}", target.port());
    world.add_active("local", &["-L", &format!("0:{to}"), "prod"]);
    world.add_active("remote", &["-R", &format!("0:{to}"), "prod"]);
    world.add_active("dynamic", &["-D", "0", "prod"]);
    world.add_active("remote_dynamic", &["-R", "0", "prod"]);
    let name = Wanted::Name("localhost");

    for (rule, stream) in [
        ("local", connect(world.port("local"))),
        ("remote", connect(world.port("remote"))),
        ("dynamic", through(world.port("dynamic"), &name, target.port())),
        ("remote_dynamic", through(world.port("remote_dynamic"), &name, target.port())),
    ] {
        let request = Content::bytes(3, 1_000_000);
        let answer = ask(stream, &request);

        let head = format!("1000000 {}\n", Checksum::of(&request));
        assert_eq!(answer.len(), head.len() + ANSWER, "{rule}");
        assert_eq!(String::from_utf8_lossy(&answer[..head.len()]), head, "{rule}");
        assert!(answer[head.len()..] == Content::bytes(7, ANSWER), "{rule}");
    }
}

fn ask(mut stream: TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn an_answer_that_ends_leaves_the_request_going_on() {
    let (world, _sshd) = real_world();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().port();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{target}"), "prod"]);
    let mut client = connect(world.port("web"));
    let (server, _) = listener.accept().unwrap();
    let mut server = alknet_tests::load::with_limits(server);

    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the end of the answer arrives");
    client.write_all(b"still here").unwrap();
    client.shutdown(Shutdown::Write).unwrap();

    let mut got = Vec::new();
    server.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"still here");
}

#[test]
fn a_cut_download_does_not_look_complete() {
    const LENGTH: usize = 64 << 20;
    let (world, sshd) = real_world();
    let source = targets::source(11, LENGTH);
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    world.add_active("proxy", &["-D", "0", "prod"]);
    let mut downloads = [
        ("local", connect(world.port("web"))),
        ("dynamic", through(world.port("proxy"), &Wanted::Name("localhost"), source.port())),
    ]
    .map(|(name, mut stream)| {
        let mut content = Content::new(11);
        let mut begin = vec![0; 1 << 20];
        stream.read_exact(&mut begin).unwrap();
        assert!(content.matches(&begin), "{name}");
        (name, stream, content)
    });

    assert!(0 < sshd.kill_sessions());

    for (name, stream, content) in &mut downloads {
        assert_ends_badly(name, stream, content);
    }
}

#[test]
fn a_download_through_a_removed_rule_does_not_look_complete() {
    let (world, _sshd) = real_world();
    let source = targets::source(12, 64 << 20);
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    let mut stream = connect(world.port("web"));
    let mut content = Content::new(12);
    let mut begin = vec![0; 1 << 20];
    stream.read_exact(&mut begin).unwrap();
    assert!(content.matches(&begin));

    world.ctl(["remove-forward", "web"]).ok();

    assert_ends_badly("web", &mut stream, &mut content);
}

/// What still comes is right, and what ends it is not an end.
fn assert_ends_badly(name: &str, stream: &mut TcpStream, content: &mut Content) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("{name}: a cut download ended like a whole one"),
            Ok(n) => assert!(content.matches(&buffer[..n]), "{name}: other bytes than were sent"),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{name}: {error}");
                return;
            }
        }
    }
}

#[test]
fn many_connections_at_once_all_arrive() {
    let (world, _sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);

    let crowd = crowd(world.port("web"), 300, 64 << 10);

    assert_eq!(crowd.errors, Vec::<String>::new());
    assert_eq!(crowd.whole, 300);
}

#[test]
fn busy_channels_survive_the_key_exchanges_of_the_server() {
    let (world, sshd) = real_world_with("RekeyLimit 1M\n");
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);

    channels(world.port("web"), 8, 16 << 20).unwrap();

    assert_eq!(sshd.logins(), 1, "the session was never dropped");
    assert_eq!(world.session("prod")["state"], "active");
}

#[test]
fn a_reader_that_pauses_stops_nobody_else() {
    let (world, sshd) = real_world();
    // As much as waits for one connection's reader; beyond it the session waits too.
    let (echo, source) = (targets::echo(), targets::source(5, 7 << 20));
    world.add_active("slow", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    world.add_active("fast", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let mut paused = connect(world.port("slow"));
    let mut first = [0; 1];
    paused.read_exact(&mut first).unwrap();

    for _ in 0..5 {
        assert_echo(world.port("fast"));
    }

    let mut rest = Vec::new();
    paused.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1, 7 << 20, "the paused download goes on to its end");
    let mut content = Content::new(5);
    assert!(content.matches(&first) && content.matches(&rest));
    assert!(1 <= sshd.logins());
}

#[test]
fn counters_are_exact() {
    let (world, sshd) = real_world();
    let (echo, target) = (targets::echo(), targets::answers_at_the_end(300_000));
    world.add_active("echo", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    world.add_active("remote", &["-R", &format!("0:127.0.0.1:{}", target.port()), "prod"]);

    let open = connect(world.port("echo"));
    echo_over(&open);
    echoes_whole(connect(world.port("echo")), &Content::bytes(1, 123_457)).unwrap();
    let answer = ask(connect(world.port("remote")), &Content::bytes(2, 1000));

    let echo_stats = world.wait_forward("echo", "one connection ended", |f| f["stats"]["connections_active"] == 1);
    assert_eq!(
        echo_stats["stats"],
        serde_json::json!({
            "connections_active": 1, "connections_total": 2, "connections_refused": 0,
            "bytes_sent": 123_457 + 16, "bytes_received": 123_457 + 16,
        })
    );
    let remote = world.wait_forward("remote", "its connection ended", |f| f["stats"]["connections_active"] == 0);
    assert_eq!(
        remote["stats"],
        serde_json::json!({
            "connections_active": 0, "connections_total": 1, "connections_refused": 0,
            "bytes_sent": 1000, "bytes_received": answer.len(),
        })
    );
    drop(open);
    world.wait_forward("echo", "all connections ended", |f| f["stats"]["connections_active"] == 0);
    assert_eq!(world.forward("echo")["stats"], world.forward("echo")["stats"], "reading changes nothing");
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn a_refused_target_is_counted_and_ends_by_reset() {
    let (world, _sshd) = real_world();
    let nobody = alknet_tests::ports::free_port();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{nobody}"), "prod"]);

    let mut stream = connect(world.port("web"));
    let ended = stream.read(&mut [0]);

    assert!(ended.is_err(), "a refused target looks like an empty answer");
    let stats = world.wait_forward("web", "the refusal is counted", |f| f["stats"]["connections_refused"] == 1);
    assert_eq!(stats["stats"]["connections_total"], 1);
    assert_eq!(stats["status"], "active");
}
