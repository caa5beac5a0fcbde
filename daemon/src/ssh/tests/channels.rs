//! Channels of a live session, against a server in this process.

use std::time::Duration;

use alknet_proto::{Bind, BindAddress, Code, Stage};
use russh::{ChannelOpenFailure, Error};
use tokio::time::timeout;

use super::server::{Login, port};
use super::world::{LIMIT, World, open};
use crate::ssh::Received;

#[tokio::test]
async fn channels_that_nobody_asked_for_are_refused() {
    let world = World::new();
    let mut server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;
    let session = server.session().await;
    let refused = |opened: Result<russh::Channel<russh::server::Msg>, Error>, kind: &str| match opened {
        Err(Error::ChannelOpenFailure(why)) => {
            assert!(matches!(why, ChannelOpenFailure::AdministrativelyProhibited), "{kind}: {why:?}");
        }
        other => panic!("{kind}: {other:?}"),
    };

    refused(session.channel_open_session().await, "session");
    refused(session.channel_open_agent().await, "agent");
    refused(session.channel_open_x11("127.0.0.1", 6000).await, "x11");
    refused(session.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1).await, "direct-tcpip");
    refused(session.channel_open_direct_streamlocal("/socket").await, "direct-streamlocal");
    refused(session.channel_open_forwarded_tcpip("localhost", 80, "127.0.0.1", 1).await, "forwarded-tcpip");
    refused(session.channel_open_forwarded_tcpip("localhost", 70_000, "127.0.0.1", 1).await, "an impossible port");
    refused(session.channel_open_forwarded_streamlocal("/socket").await, "forwarded-streamlocal");

    open(&link, port::ECHO).await.expect("the session is as good as before");
}

#[tokio::test]
async fn only_connections_to_the_port_that_was_asked_for_are_taken() {
    let world = World::new();
    let mut server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;
    let session = server.session().await;
    let free = Bind::Tcp(BindAddress::default(), 0);
    let mut listener = link.listen(&free).await.unwrap();
    let port = u32::from(listener.port().unwrap());

    let (opened, incoming) =
        tokio::join!(session.channel_open_forwarded_tcpip("localhost", port, "10.0.0.1", 7), async {
            let incoming = listener.next().await.unwrap();
            let originator = incoming.originator();
            (incoming.accept().await, originator)
        });
    let wrong_port = session.channel_open_forwarded_tcpip("localhost", port + 1, "10.0.0.1", 7).await;
    let wrong_address = session.channel_open_forwarded_tcpip("10.9.9.9", port, "10.0.0.1", 7).await;
    listener.cancel().await;
    let after_the_end = session.channel_open_forwarded_tcpip("localhost", port, "10.0.0.1", 7).await;

    assert!(opened.is_ok() && incoming.0.is_ok());
    assert_eq!(incoming.1, ("10.0.0.1".to_owned(), 7));
    for refused in [wrong_port, wrong_address, after_the_end] {
        let why = refused.expect_err("it was not asked for");
        assert!(matches!(why, Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited)), "{why:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_target_leaves_the_session() {
    let world = World::new();
    let server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;

    let reason = open(&link, port::REFUSES).await.err().unwrap();

    assert_eq!((reason.stage, reason.code), (Stage::Target, Code::ConnectionRefused), "{reason}");
    open(&link, port::ECHO).await.unwrap();
}

#[tokio::test]
async fn an_open_without_an_answer_delays_no_other() {
    let world = World::new();
    let server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;
    let waiting = tokio::spawn({
        let link = link.clone();
        async move { open(&link, port::IGNORES).await.err() }
    });

    timeout(Duration::from_secs(2), open(&link, port::ECHO)).await.unwrap().unwrap();
    running.cancel.cancel();

    let reason = timeout(Duration::from_secs(2), waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(reason.code, Code::ConnectionLost);
}

#[tokio::test]
async fn a_close_without_an_end_is_no_end() {
    let world = World::new();
    let server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;

    let (mut reader, _writer) = open(&link, port::CLOSES).await.unwrap().split();

    assert_eq!(reader.next().await, Received::Data("some".into()));
    assert_eq!(reader.next().await, Received::Closed);
    assert_eq!(reader.next().await, Received::Closed);
}

#[tokio::test]
async fn an_end_comes_before_the_close() {
    let world = World::new();
    let server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;
    let (mut reader, mut writer) = open(&link, port::ECHO).await.unwrap().split();

    writer.write("last".into()).await.unwrap();
    writer.finish().await.unwrap();

    assert_eq!(reader.next().await, Received::Data("last".into()));
    assert_eq!(reader.next().await, Received::Eof);
    assert_eq!(reader.next().await, Received::Closed);
}

#[tokio::test]
async fn a_write_that_waits_for_the_window_fails_when_the_server_closes() {
    let world = World::new();
    let server = world.server_with_window(Login::Accept, 1).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;
    let (_reader, mut writer) = open(&link, port::CLOSES_LATER).await.unwrap().split();

    let written = timeout(LIMIT, writer.write("more than one byte".into())).await;

    assert!(written.expect("it does not wait for ever").is_err());
}

#[tokio::test]
async fn a_write_that_waits_for_the_window_fails_when_the_line_is_cut() {
    let world = World::new();
    let server = world.server_with_window(Login::Accept, 1).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;
    let (mut reader, mut writer) = open(&link, port::ECHO).await.unwrap().split();
    let writing = tokio::spawn(async move { writer.write("more than one byte".into()).await });
    assert_eq!(timeout(LIMIT, reader.next()).await.unwrap(), Received::Data("m".into()));

    server.cut.cancel();

    assert!(timeout(LIMIT, writing).await.unwrap().unwrap().is_err());
    assert_eq!(timeout(LIMIT, reader.next()).await.unwrap(), Received::Closed);
    assert_eq!(running.lost().await.code, Code::ConnectionLost);
}

#[tokio::test]
async fn nothing_is_kept_of_channels_that_are_gone() {
    let world = World::new();
    let server = world.server(Login::Accept).await;
    let mut running = world.attempt(server.port);
    let link = running.link().await;

    for n in 0..60 {
        let target = [port::ECHO, port::CLOSES, port::REFUSES][n % 3];
        let Ok(channel) = open(&link, target).await else { continue };
        let (mut reader, mut writer) = channel.split();
        if n % 2 == 0 {
            let _ = writer.finish().await;
            while timeout(LIMIT, reader.next()).await.unwrap() != Received::Closed {}
        }
    }

    assert_eq!(running.counters.channels(), 0);
    let kept = format!("{:?}", link.session);
    assert!(kept.contains("closings: Mutex { data: {},"), "{kept}");
    assert!(kept.contains("under_way: {}, descriptions: []"), "{kept}");
}
