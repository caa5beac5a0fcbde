//! Several sessions of one destination: a slow reader harms nobody, and a session is replaced without breaking a connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use alknet_tests::content::Content;
use alknet_tests::load::{assert_echo, connect};
use alknet_tests::process::resident_bytes;
use alknet_tests::wait::{wait_for, wait_within};
use alknet_tests::{Sshd, World, targets};
use serde_json::Value;

use crate::real_world;

const DOWNLOAD: usize = 300 << 20;

/// Twenty round trips of one connection; the median.
fn round_trip(port: u16) -> Duration {
    let mut stream = connect(port);
    let mut times: Vec<Duration> = (0..20).map(|_| echo(&mut stream)).collect();
    times.sort();
    times[times.len() / 2]
}

fn echo(stream: &mut TcpStream) -> Duration {
    let asked = Instant::now();
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    asked.elapsed()
}

fn links(world: &World) -> Vec<Value> {
    world.session("prod")["links"].as_array().unwrap().clone()
}

fn is_sealed(world: &World) -> bool {
    links(world).iter().any(|link| link["sealed"] == true)
}

/// Begins a download and reads its first byte only.
fn begin_and_pause(port: u16) -> (TcpStream, Content) {
    let mut paused = connect(port);
    let mut first = [0; 1];
    paused.read_exact(&mut first).unwrap();
    let mut content = Content::new(5);
    assert!(content.matches(&first));
    (paused, content)
}

fn read_to_the_end(paused: &mut TcpStream, content: &mut Content) {
    let mut read = 1;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match paused.read(&mut buffer).unwrap() {
            0 => break,
            n => {
                assert!(content.matches(&buffer[..n]), "damaged behind byte {read}");
                read += n;
            }
        }
    }
    assert_eq!(read, DOWNLOAD);
}

#[test]
fn a_reader_that_takes_nothing_harms_nobody_and_gets_every_byte_when_it_reads_on() {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    std::fs::create_dir_all(world.config_path().parent().unwrap()).unwrap();
    // Quick enough to take a session for dead that does not listen for a few seconds.
    std::fs::write(world.config_path(), "keepalive_interval_seconds = 1\nkeepalive_count = 2\n").unwrap();
    world.start();
    let (echo, source) = (targets::echo(), targets::source(5, DOWNLOAD));
    world.add_active("slow", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    world.add_active("fast", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let alone = round_trip(world.port("fast"));

    let (mut paused, mut content) = begin_and_pause(world.port("slow"));
    wait_for("the session is sealed", || is_sealed(&world).then_some(()));
    let beside = round_trip(world.port("fast"));
    let (mut second, mut second_content) = begin_and_pause(world.port("slow"));
    read_to_the_end(&mut second, &mut second_content);

    assert!(beside < alone * 5 + Duration::from_millis(20), "{beside:?} beside it, {alone:?} without");
    // Longer than the keepalive allows for.
    std::thread::sleep(Duration::from_secs(5));
    assert!(is_sealed(&world), "{:?}", links(&world));
    let resident = resident_bytes(world.daemon_pid());
    assert!(resident < 150 << 20, "{resident} bytes are resident");
    read_to_the_end(&mut paused, &mut content);
    wait_for("nothing is sealed any more", || (!is_sealed(&world)).then_some(()));
    assert_eq!(world.session("prod")["state"], "active");
    assert_eq!(sshd.logins(), 2, "one session beside the sealed one is enough");
}

#[test]
fn a_question_that_waited_behind_a_slow_reader_is_no_round_trip() {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    world.configure("keepalive_interval_seconds = 2\nkeepalive_count = 3\n");
    world.start();
    let source = targets::source(5, DOWNLOAD);
    world.add_active("slow", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    let round_trip_ms = || world.session("prod")["round_trip_ms"].as_f64();
    wait_for("the round trip is measured", round_trip_ms);

    let (mut paused, mut content) = begin_and_pause(world.port("slow"));
    wait_for("the session is sealed", || is_sealed(&world).then_some(()));
    // Long enough for a question to be asked and to wait.
    std::thread::sleep(Duration::from_secs(4));
    read_to_the_end(&mut paused, &mut content);

    // Until the next question is answered.
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        let measured = round_trip_ms().expect("what was measured before stays");
        assert!(measured < 1000.0, "{measured} ms to a server on this machine");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn where_there_may_be_one_session_only_a_slow_reader_is_read_on_for_the_next_connection() {
    const LENGTH: usize = 40 << 20;
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    std::fs::create_dir_all(world.config_path().parent().unwrap()).unwrap();
    std::fs::write(world.config_path(), "max_sessions_per_destination = 1\n").unwrap();
    world.start();
    let (echo_target, source) = (targets::echo(), targets::source(5, LENGTH));
    world.add_active("slow", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    world.add_active("fast", &["-L", &format!("0:127.0.0.1:{}", echo_target.port()), "prod"]);

    let (mut paused, mut content) = begin_and_pause(world.port("slow"));
    wait_for("the session is sealed", || is_sealed(&world).then_some(()));
    echo(&mut connect(world.port("fast")));

    let mut rest = Vec::new();
    paused.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1, LENGTH);
    assert!(content.matches(&rest));
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn who_is_on_the_session_already_waits_half_a_minute_at_most() {
    let world = World::new();
    let _sshd = Sshd::start(&world, "prod");
    world.configure("max_sessions_per_destination = 1\n");
    world.start();
    let (echo_target, source) = (targets::echo(), targets::source(5, DOWNLOAD));
    world.add_active("slow", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    world.add_active("fast", &["-L", &format!("0:127.0.0.1:{}", echo_target.port()), "prod"]);
    let mut early = connect(world.port("fast"));
    echo(&mut early);

    let (mut paused, _) = begin_and_pause(world.port("slow"));
    let given_up = || world.daemon_log().contains("its program took nothing").then_some(());
    wait_within(Duration::from_secs(60), "the paused connection is given up", given_up);

    echo(&mut early);
    let ended = paused.read_to_end(&mut Vec::new());
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "what is missing does not look whole");
}

#[test]
fn a_new_connection_beside_bulk_gets_a_session_of_its_own() {
    let (world, sshd) = real_world();
    let (echo_target, sink) = (targets::echo(), targets::sink());
    world.add_active("bulk", &["-L", &format!("0:127.0.0.1:{}", sink.port()), "prod"]);
    world.add_active("shell", &["-L", &format!("0:127.0.0.1:{}", echo_target.port()), "prod"]);
    let upload = connect(world.port("bulk"));
    let mut writing = upload.try_clone().unwrap();
    let uploading = std::thread::spawn(move || while writing.write_all(&[7; 65536]).is_ok() {});

    let (shell, links) = wait_for("a connection finds the session busy", || {
        let mut shell = connect(world.port("shell"));
        echo(&mut shell);
        let links = links(&world);
        (links.len() == 2).then_some((shell, links))
    });

    assert_eq!((links[0]["role"].as_str(), links[1]["role"].as_str()), (Some("first"), Some("further")));
    assert_eq!((&links[0]["channels"], &links[1]["channels"]), (&1.into(), &1.into()), "{links:?}");
    assert_eq!(sshd.logins(), 2);
    drop(shell);
    upload.shutdown(std::net::Shutdown::Both).unwrap();
    uploading.join().unwrap();
}

#[test]
fn a_session_is_replaced_and_no_connection_breaks() {
    let (world, sshd) = real_world();
    let echo_target = targets::echo();
    let to = format!("0:127.0.0.1:{}", echo_target.port());
    world.add_active("here", &["-L", &to, "prod"]);
    let back = world.add_active("back", &["-R", &to, "prod"]);
    let mut watch = world.watch();
    let mut old = (connect(world.port("here")), connect(world.port("back")));
    echo(&mut old.0);
    echo(&mut old.1);

    world.ctl(["restart", "--seamless", "prod"]).ok();

    let number = |link: &Value| link["number"].as_u64().unwrap();
    let both = links(&world);
    assert_eq!(both.len(), 2, "{both:?}");
    let retiring = both.iter().find(|link| link["role"] == "retiring").expect("the old one goes on");
    let first = both.iter().find(|link| link["role"] == "first").expect("the fresh one is there");
    assert!(number(retiring) < number(first));
    echo(&mut old.0);
    echo(&mut old.1);
    wait_for("the server listens for the fresh session", || {
        (world.forward("back")["bind_port"] == back["bind_port"]).then_some(())
    });
    assert_echo(world.port("here"));
    let mut moved = wait_for("the remote forward has moved", || {
        let mut stream = TcpStream::connect(("127.0.0.1", world.port("back"))).ok()?;
        stream.write_all(b"ping").ok()?;
        stream.read_exact(&mut [0; 4]).ok()?;
        Some(stream)
    });
    echo(&mut old.0);
    echo(&mut old.1);
    drop(old);
    wait_for("the old session ends with its last connection", || (links(&world).len() == 1).then_some(()));
    echo(&mut moved);
    assert_eq!(sshd.logins(), 2);
    // The first change that a watcher hears of is one that comes after all of that.
    world.ctl(["stop", "here"]).ok();
    let first = watch.until("a change", |event| event["event"] == "forward_status");
    assert_eq!((first.event["name"].as_str(), first.event["to"].as_str()), (Some("here"), Some("stopped")));
}

#[test]
fn a_session_whose_key_has_encrypted_enough_is_replaced() {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    std::fs::create_dir_all(world.config_path().parent().unwrap()).unwrap();
    std::fs::write(world.config_path(), format!("renew_after_bytes = {}\n", 4 << 20)).unwrap();
    world.start();
    let source = targets::source(5, 20 << 20);
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);

    let (mut stream, mut content) = begin_and_pause(world.port("web"));
    wait_for("a fresh session is there", || (2 <= sshd.logins()).then_some(()));

    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1, 20 << 20);
    assert!(content.matches(&rest), "the transfer went on over the old session");
    assert_eq!(world.session("prod")["state"], "active");
}

#[test]
fn a_rule_that_others_keep_company_gets_a_session_of_its_own() {
    let (world, sshd) = real_world();
    let target = targets::echo();
    let to = format!("0:127.0.0.1:{}", target.port());
    world.add_active("shell", &["-L", &to, "prod"]);
    world.add_active("web", &["-L", &to, "prod"]);
    let mut shell = connect(world.port("shell"));
    echo(&mut shell);

    let (_web, links) = wait_for("the other rule is apart", || {
        let mut web = connect(world.port("web"));
        echo(&mut web);
        let links = links(&world);
        (links.len() == 2 && links[1]["channels"] == 1).then_some((web, links))
    });

    assert_eq!(links[0]["channels"], 1, "{links:?}");
    assert_echo(world.port("web"));
    assert_echo(world.port("shell"));
    assert_eq!(sshd.logins(), 2, "two are enough for two rules");
}

#[test]
fn a_slow_program_does_not_hold_up_what_the_server_listens_for() {
    let world = World::new();
    let _sshd = Sshd::start(&world, "prod");
    world.configure("max_sessions_per_destination = 1\n");
    world.start();
    let (target, source) = (targets::echo(), targets::source(5, DOWNLOAD));
    world.add_active("slow", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    let (_paused, _) = begin_and_pause(world.port("slow"));
    wait_for("the session is sealed", || is_sealed(&world).then_some(()));

    // Of the bytes that nobody takes, 64 MiB are read on; after that the program has half a minute.
    world.ctl(["add", "prod", "--name", "back", "--wait=60", "-R", &format!("0:127.0.0.1:{}", target.port())]).ok();

    assert_echo(world.port("back"));
}
