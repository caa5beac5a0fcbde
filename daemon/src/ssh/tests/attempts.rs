//! Attempts from their beginning to their end, against a server in this process.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use alknet_proto::{Code, Stage};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::server::{Line, Login, port};
use super::world::{LIMIT, World, open};
use crate::ssh::Received;

/// What «at once» means on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_session_is_connected_once_and_lost_once() {
    let world = World::new();
    let server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);

    let link = running.link().await;
    let (mut reader, mut writer) = open(&link, port::ECHO).await.unwrap().split();
    writer.write("hello".into()).await.unwrap();
    let echoed = reader.next().await;
    running.cancel.cancel();
    let after = timeout(AT_ONCE, reader.next()).await;

    assert_eq!((echoed, after), (Received::Data("hello".into()), Ok(Received::Closed)));
    assert!(link.over().is_cancelled());
    assert!(writer.write("more".into()).await.is_err());
    assert_eq!(running.lost().await.code, Code::Disconnected);
    assert_eq!(server.n_logins.load(Relaxed), 1);
}

#[tokio::test]
async fn an_attempt_at_a_silent_port_is_cancelled_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = World::new().attempt(listener.local_addr().unwrap().port());
    let (_taken, _) = listener.accept().await.unwrap();

    running.cancel.cancel();

    assert_eq!(timeout(AT_ONCE, running.lost()).await.unwrap().code, Code::Disconnected);
}

#[tokio::test]
async fn a_login_without_an_answer_is_cancelled_at_once() {
    let world = World::new();
    let server = world.server(Login::Ignore).await;
    let running = world.attempt(server.port);
    wait_until(|| server.n_logins.load(Relaxed) == 1).await;

    running.cancel.cancel();

    assert_eq!(timeout(AT_ONCE, running.lost()).await.unwrap().code, Code::Disconnected);
}

#[tokio::test]
async fn a_cancelled_attempt_does_not_even_begin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = World::new().attempt(listener.local_addr().unwrap().port());

    running.cancel.cancel();

    assert_eq!(timeout(AT_ONCE, running.lost()).await.unwrap().code, Code::Disconnected);
}

#[tokio::test]
async fn a_refused_key_is_offered_once_and_the_refusal_is_final() {
    let world = World::new();
    let server = world.server(Login::Refuse).await;

    let reason = world.attempt(server.port).lost().await;

    assert_eq!((reason.stage, reason.code), (Stage::Auth, Code::AuthRefused), "{reason}");
    assert!(reason.message.contains("id_ed25519"), "{reason}");
    assert_eq!(server.n_logins.load(Relaxed), 1);
}

#[tokio::test]
async fn a_connection_cut_within_the_login_is_no_refusal() {
    let world = World::new();
    let server = world.server(Login::Cut).await;

    let reason = world.attempt(server.port).lost().await;

    assert_eq!((reason.stage, reason.code), (Stage::Auth, Code::ConnectionLost), "{reason}");
}

#[tokio::test]
async fn a_server_that_is_not_known_hears_no_login() {
    let world = World::new();
    let server = world.server(Login::Accept).await;
    std::fs::write(world.settings.home.join(".ssh/known_hosts"), "").unwrap();

    let reason = world.attempt(server.port).lost().await;

    assert_eq!((reason.stage, reason.code), (Stage::HostKey, Code::HostKeyUnknown), "{reason}");
    assert_eq!(server.n_logins.load(Relaxed), 0);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_in_time() {
    let mut world = World::new();
    (world.settings.keepalive_interval, world.settings.keepalive_count) = (Duration::from_secs(1), 2);
    let server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;
    let (mut reader, _writer) = open(&link, port::ECHO).await.unwrap().split();

    server.line.send_replace(Line { is_frozen: true, ..Line::default() });
    let since = Instant::now();
    let heard = timeout(LIMIT, reader.next()).await;
    let reason = running.lost().await;

    assert_eq!(heard, Ok(Received::Closed));
    assert_eq!(reason.code, Code::KeepaliveLost, "{reason}");
    assert!(since.elapsed() < Duration::from_secs(2) + AT_ONCE, "{:?}", since.elapsed());
}

async fn wait_until(is_reached: impl Fn() -> bool) {
    let waiting = async {
        while !is_reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, waiting).await.expect("it is reached in time");
}

#[tokio::test]
async fn a_session_whose_server_is_never_asked_stays() {
    let mut world = World::new();
    world.settings.keepalive_interval = Duration::ZERO;
    let server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);

    let link = running.link().await;
    let is_over = timeout(Duration::from_secs(1), link.over().cancelled()).await.is_ok();

    assert!(!is_over, "{:?}", running.events.try_recv());
}

#[tokio::test]
async fn a_server_on_a_slow_line_is_not_silent() {
    let mut world = World::new();
    (world.settings.keepalive_interval, world.settings.keepalive_count) = (Duration::from_secs(1), 2);
    let server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;
    // What is on its way takes several times as long as an answer may.
    server.line.send_replace(Line { bytes_per_second: Some(40_000), ..Line::default() });
    let (mut reader, _writer) = open(&link, port::SENDS).await.unwrap().split();

    let until = Instant::now() + Duration::from_secs(8);
    let mut heard = Received::Eof;
    while Instant::now() < until && heard != Received::Closed {
        heard = timeout(LIMIT, reader.next()).await.unwrap();
    }

    assert!(matches!(heard, Received::Data(_)), "{heard:?} {:?}", running.events.try_recv());
}
