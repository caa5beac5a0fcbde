//! The peers themselves, checked with OpenSSH's client: what they do wrong later is done on purpose.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpStream};

use alknet_tests::content::{Checksum, Content};
use alknet_tests::load::{assert_echo, channels, connect, crowd, echoes_whole};
use alknet_tests::ports::free_port;
use alknet_tests::proxy::{Proxy, Weather};
use alknet_tests::socks::{Wanted, through};
use alknet_tests::wait::{wait_for, wait_until};
use alknet_tests::{Peer, Sshd, World, openssh, targets};

fn is_open(port: u16) -> impl FnMut() -> bool {
    move || TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn the_pretended_server_carries_local_remote_and_dynamic_forwards() {
    let world = World::new();
    let peer = Peer::start(&world, "peer");
    let echo = targets::echo();
    let (local, remote, dynamic) = (free_port(), free_port(), free_port());
    let options = [
        format!("-L{local}:localhost:{}", echo.port()),
        format!("-R{remote}:127.0.0.1:{}", echo.port()),
        format!("-D{dynamic}"),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();

    let _ssh = openssh::forward(&world, "peer", &options, is_open(remote));

    for port in [local, remote] {
        echoes_whole(connect(port), &Content::bytes(1, 300_000)).unwrap();
    }
    let stream = through(dynamic, &Wanted::Name("localhost"), echo.port());
    echoes_whole(stream, &Content::bytes(2, 300_000)).unwrap();
    assert_eq!(peer.counts().logins, 1);
    assert_eq!(peer.counts().forwards, 1);
    assert!(peer.counts().targets.contains(&format!("localhost:{}", echo.port())));
}

#[test]
fn the_pretended_server_keeps_half_close() {
    let world = World::new();
    let _peer = Peer::start(&world, "peer");
    let target = targets::answers_at_the_end(100_000);
    let local = free_port();
    let _ssh = openssh::forward(&world, "peer", &[&format!("-L{local}:127.0.0.1:{}", target.port())], is_open(local));
    let request = Content::bytes(3, 500_000);

    let mut stream = connect(local);
    std::io::Write::write_all(&mut stream, &request).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();

    let head = format!("500000 {}\n", Checksum::of(&request));
    assert_eq!(String::from_utf8_lossy(&answer[..head.len()]), head);
    assert!(answer[head.len()..] == Content::bytes(7, 100_000));
}

#[test]
fn a_cut_of_the_pretended_server_is_a_reset() {
    let world = World::new();
    let peer = Peer::start(&world, "peer");
    let mut stream = connect(peer.port());
    let mut banner = [0; 8];
    stream.read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"SSH-2.0-");

    peer.cut();

    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_frozen_server_answers_nothing_until_it_goes_on() {
    let world = World::new();
    let peer = Peer::start(&world, "peer");
    let echo = targets::echo();
    let local = free_port();
    let _ssh = openssh::forward(&world, "peer", &[&format!("-L{local}:127.0.0.1:{}", echo.port())], is_open(local));
    let before = peer.counts().channels;

    peer.freeze(true);
    let stream = connect(local);
    stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    assert!((&stream).read(&mut [0]).is_err(), "nothing comes while it is frozen");
    assert_eq!(peer.counts().channels, before, "nothing is read while it is frozen");

    peer.freeze(false);
    wait_until("the channel is asked for", || before < peer.counts().channels);
}

#[test]
fn the_pretended_server_closes_and_opens_its_port() {
    let world = World::new();
    let peer = Peer::start(&world, "peer");

    peer.stop_listening();
    assert!(TcpStream::connect(("127.0.0.1", peer.port())).is_err());
    peer.listen();

    connect(peer.port());
}

#[test]
fn the_real_server_can_be_killed_session_by_session() {
    let world = World::new();
    let sshd = Sshd::start_with(&world, "real", "RekeyLimit 1M");
    let echo = targets::echo();
    let local = free_port();
    let mut ssh = openssh::forward(&world, "real", &[&format!("-L{local}:127.0.0.1:{}", echo.port())], is_open(local));
    assert_echo(local);
    channels(local, 3, 3 << 20).unwrap();
    assert_eq!(sshd.logins(), 1);

    assert!(0 < sshd.kill_sessions());

    wait_for("ssh notices", || ssh.ended());
    connect(sshd.port());
}

#[test]
fn the_network_between_can_hold_back_and_cut() {
    let echo = targets::echo();
    let proxy = Proxy::before(echo.port());
    assert_echo(proxy.port());

    proxy.set(Weather::BlackHole);
    let mut stream = connect(proxy.port());
    std::io::Write::write_all(&mut stream, b"hello").unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    assert!(stream.read(&mut [0; 5]).is_err(), "nothing passes");
    proxy.set(Weather::Fine);
    stream.set_read_timeout(Some(alknet_tests::wait::LIMIT)).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    proxy.cut();

    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_target_takes_a_thousand_connections_at_once() {
    let echo = targets::echo();

    let crowd = crowd(echo.port(), 1000, 16 << 10);

    assert_eq!((crowd.whole, crowd.errors), (1000, Vec::new()), "what is lost later is lost by the forward");
}
