//! The caller's side of a connection, against a daemon that the test plays itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end by a panic")]

use std::time::Duration;

use alknet_proto::connection::{GREETING_TIMEOUT, MessageReader, MessageWriter, refuse, welcome};
use alknet_proto::envelope::Request;
use alknet_proto::hello::{Hello, PROTOCOL_VERSION, VersionRange};
use alknet_proto::pending::{Caller, SUBSCRIPTION_QUEUE};
use alknet_proto::{Body, Code, Envelope, Fault, Operation, Output, RequestId, frame};
use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

const LIMIT: Duration = Duration::from_secs(10);

/// The daemon's end of a connection.
struct Daemon {
    reader: MessageReader<ReadHalf<DuplexStream>>,
    writer: MessageWriter<WriteHalf<DuplexStream>>,
}

impl Daemon {
    async fn next(&mut self) -> Envelope {
        let read = tokio::time::timeout(LIMIT, self.reader.next()).await.expect("the client says something in time");
        read.unwrap().expect("the client is there")
    }

    async fn next_request(&mut self) -> (RequestId, Request) {
        match self.next().await {
            Envelope { id, body: Body::Requested(request) } => (id, request),
            other => panic!("no request: {other:?}"),
        }
    }

    async fn say(&mut self, id: RequestId, body: Body) {
        self.writer.send(&Envelope { id, body }).await.unwrap();
    }
}

fn speaking(lowest: u16, highest: u16) -> Hello {
    Hello { versions: VersionRange { lowest, highest }, program: "alknetd".to_owned(), version: "9.9".to_owned() }
}

fn halves(stream: DuplexStream) -> Daemon {
    let (read_half, write_half) = tokio::io::split(stream);
    Daemon { reader: MessageReader::new(read_half), writer: MessageWriter::new(write_half) }
}

async fn connected() -> (Caller, Daemon) {
    let (client, daemon) = tokio::io::duplex(4096);
    let mut daemon = halves(daemon);
    let hello = speaking(PROTOCOL_VERSION, PROTOCOL_VERSION);
    let (caller, welcomed) = tokio::join!(
        Caller::open(client, "alknetctl", "0.1.0"),
        welcome(&mut daemon.reader, &mut daemon.writer, &hello)
    );
    assert_eq!(welcomed.unwrap().peer.program, "alknetctl");
    (caller.unwrap(), daemon)
}

#[tokio::test]
async fn a_call_gets_its_own_answer_when_two_run_side_by_side() {
    let (caller, mut daemon) = connected().await;

    let daemon_side = async {
        let (first, first_request) = daemon.next_request().await;
        let (second, second_request) = daemon.next_request().await;
        assert_eq!((first, second), (RequestId(1), RequestId(3)));
        assert_eq!((first_request.operation, second_request.operation), (Operation::Ping, Operation::ListServices));
        daemon.say(second, Body::Responded(Output::Services(Vec::new()))).await;
        daemon.say(first, Body::Responded(Output::Done)).await;
    };
    let (ping, list, ()) =
        tokio::join!(caller.call(Operation::Ping, LIMIT), caller.call(Operation::ListServices, LIMIT), daemon_side);

    assert_eq!(ping, Ok(Output::Done));
    assert_eq!(list, Ok(Output::Services(Vec::new())));
}

#[tokio::test]
async fn a_call_says_how_long_it_waits_and_is_aborted_when_the_time_is_over() {
    let (caller, mut daemon) = connected().await;

    let called = caller.call(Operation::Ping, Duration::from_millis(50)).await;

    let (id, request) = daemon.next_request().await;
    assert_eq!(request.timeout_ms, Some(50));
    assert_eq!(called.unwrap_err().code, Code::TimedOut);
    assert_eq!(daemon.next().await, Envelope { id, body: Body::Aborted });
}

#[tokio::test]
async fn a_call_that_is_dropped_is_aborted() {
    let (caller, mut daemon) = connected().await;

    let id = tokio::select! {
        _ = caller.call(Operation::Ping, LIMIT) => panic!("nobody answered"),
        (id, _) = daemon.next_request() => id,
    };

    assert_eq!(daemon.next().await, Envelope { id, body: Body::Aborted });
}

#[tokio::test]
async fn a_call_that_was_answered_is_not_aborted() {
    let (caller, mut daemon) = connected().await;
    for _ in 0..2 {
        let daemon_side = async {
            let (id, _) = daemon.next_request().await;
            daemon.say(id, Body::Responded(Output::Done)).await;
        };
        let (called, ()) = tokio::join!(caller.call(Operation::Ping, LIMIT), daemon_side);
        assert_eq!(called, Ok(Output::Done));
    }
}

#[tokio::test]
async fn a_subscription_ends_when_the_daemon_completes_it() {
    let (caller, mut daemon) = connected().await;
    let mut watch = caller.subscribe(watch_all()).await.unwrap();

    let (id, request) = daemon.next_request().await;
    assert_eq!(request.timeout_ms, None);
    daemon.say(id, Body::Responded(Output::Done)).await;
    daemon.say(id, Body::Completed).await;

    assert_eq!(watch.next().await, Some(Ok(Output::Done)));
    assert_eq!(watch.next().await, None);
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_subscription_that_is_dropped_is_aborted() {
    let (caller, mut daemon) = connected().await;
    let watch = caller.subscribe(watch_all()).await.unwrap();
    let (id, _) = daemon.next_request().await;

    drop(watch);

    assert_eq!(daemon.next().await, Envelope { id, body: Body::Aborted });
}

#[tokio::test]
async fn a_refused_subscription_says_why() {
    let (caller, mut daemon) = connected().await;
    let mut watch = caller.subscribe(watch_all()).await.unwrap();
    let (id, _) = daemon.next_request().await;
    let fault = Fault::new(Code::SessionLimit, "too many requests are open");

    daemon.say(id, Body::Error(fault.clone())).await;

    assert_eq!(watch.next().await, Some(Err(fault)));
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_slows_the_daemon_and_loses_nothing() {
    let (caller, mut daemon) = connected().await;
    let mut watch = caller.subscribe(watch_all()).await.unwrap();
    let (id, _) = daemon.next_request().await;
    let n_outputs = 4 * SUBSCRIPTION_QUEUE;

    let saying = async {
        for n in 0..n_outputs {
            daemon.say(id, Body::Responded(Output::Destinations(vec![format!("host-{n}").parse().unwrap()]))).await;
        }
    };
    tokio::pin!(saying);
    let stuck = tokio::time::timeout(Duration::from_millis(200), &mut saying).await;
    assert!(stuck.is_err(), "the daemon could say everything to a subscriber that does not read");
    let reading = async {
        for n in 0..n_outputs {
            let expected = Output::Destinations(vec![format!("host-{n}").parse().unwrap()]);
            assert_eq!(watch.next().await, Some(Ok(expected)));
        }
    };

    tokio::time::timeout(LIMIT, async { tokio::join!(saying, reading) }).await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_connection_fails_what_waits_and_what_comes() {
    let (caller, mut daemon) = connected().await;
    let mut watch = caller.subscribe(watch_all()).await.unwrap();
    daemon.next_request().await;

    let leaving = async {
        daemon.next_request().await;
        drop(daemon);
    };
    let (called, ()) = tokio::join!(caller.call(Operation::Ping, LIMIT), leaving);

    assert_eq!(called.unwrap_err().code, Code::NoDaemon);
    assert_eq!(watch.next().await.unwrap().unwrap_err().message, "the daemon ended the connection");
    assert_eq!(caller.call(Operation::Ping, LIMIT).await.unwrap_err().code, Code::NoDaemon);
}

#[tokio::test]
async fn a_message_that_is_cut_off_is_told_from_a_clean_end() {
    let (client, daemon) = tokio::io::duplex(4096);
    let (_read_half, mut write_half) = tokio::io::split(daemon);
    let whole = frame::encode(&Envelope { id: RequestId(1), body: Body::Completed }).unwrap();
    write_half.write_all(&whole).await.unwrap();
    write_half.write_all(&whole[..whole.len() - 1]).await.unwrap();
    write_half.shutdown().await.unwrap();

    let mut reader = MessageReader::new(client);

    assert!(matches!(reader.next::<Envelope>().await, Ok(Some(_))));
    let error = reader.next::<Envelope>().await.unwrap_err();
    assert_eq!(error.to_string(), "the connection ended inside a message");
}

#[tokio::test]
async fn the_reason_of_the_daemon_is_what_a_waiting_call_gets() {
    let (caller, mut daemon) = connected().await;

    let daemon_side = async {
        daemon.next_request().await;
        daemon.say(RequestId(0), Body::Error(Fault::new(Code::DaemonStopping, "the daemon is ending"))).await;
    };
    let (called, ()) = tokio::join!(caller.call(Operation::Ping, LIMIT), daemon_side);

    assert_eq!(called.unwrap_err().code, Code::DaemonStopping);
}

#[tokio::test]
async fn a_call_of_the_daemon_is_refused() {
    let (_caller, mut daemon) = connected().await;

    daemon.say(RequestId(2), Body::Requested(Request { operation: Operation::Ping, timeout_ms: None })).await;

    match daemon.next().await {
        Envelope { id: RequestId(2), body: Body::Error(fault) } => assert_eq!(fault.code, Code::InvalidRequest),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn the_connection_closes_with_the_last_caller_and_subscription() {
    let (caller, mut daemon) = connected().await;
    let watch = caller.subscribe(watch_all()).await.unwrap();
    let (id, _) = daemon.next_request().await;

    drop(caller);
    daemon.say(id, Body::Responded(Output::Done)).await;
    drop(watch);

    assert_eq!(daemon.next().await.body, Body::Aborted);
    let end = tokio::time::timeout(LIMIT, daemon.reader.next::<Envelope>()).await.unwrap();
    assert!(matches!(end, Ok(None)), "{end:?}");
}

#[tokio::test]
async fn a_daemon_of_another_version_is_named() {
    let (client, daemon) = tokio::io::duplex(4096);
    let mut daemon = halves(daemon);

    let hello = speaking(7, 8);
    let (opened, welcomed) = tokio::join!(
        Caller::open(client, "alknetctl", "0.1.0"),
        welcome(&mut daemon.reader, &mut daemon.writer, &hello)
    );

    let fault = opened.unwrap_err();
    assert_eq!(fault.code, Code::VersionMismatch);
    assert!(fault.message.contains("alknetd 9.9 speaks version 7 to 8"), "{}", fault.message);
    assert!(fault.message.ends_with("upgrade alknetctl"), "{}", fault.message);
    assert_eq!(welcomed.unwrap_err().code, Code::VersionMismatch);
}

#[tokio::test]
async fn a_refusal_is_heard_from_a_daemon_that_did_not_read() {
    let (client, daemon) = tokio::io::duplex(4096);
    let mut daemon = halves(daemon);
    refuse(
        &mut daemon.writer,
        &speaking(PROTOCOL_VERSION, PROTOCOL_VERSION),
        &Fault::new(Code::Forbidden, "not yours"),
    )
    .await
    .unwrap();
    drop(daemon);

    let fault = Caller::open(client, "alknetctl", "0.1.0").await.unwrap_err();

    assert_eq!((fault.code, fault.message.as_str()), (Code::Forbidden, "not yours"));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_says_nothing_is_waited_for_five_seconds() {
    let (client, _daemon) = tokio::io::duplex(4096);
    let start = tokio::time::Instant::now();

    let fault = Caller::open(client, "alknetctl", "0.1.0").await.unwrap_err();

    assert_eq!(fault.code, Code::NoDaemon);
    assert_eq!(start.elapsed(), GREETING_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_waited_for_five_seconds() {
    let (_client, daemon) = tokio::io::duplex(4096);
    let mut daemon = halves(daemon);
    let start = tokio::time::Instant::now();

    let fault = welcome(&mut daemon.reader, &mut daemon.writer, &speaking(PROTOCOL_VERSION, PROTOCOL_VERSION))
        .await
        .unwrap_err();

    assert_eq!(fault.code, Code::TimedOut);
    assert_eq!(start.elapsed(), GREETING_TIMEOUT);
}

#[tokio::test]
async fn a_client_of_another_kind_is_refused() {
    let (mut client, daemon) = tokio::io::duplex(4096);
    let mut daemon = halves(daemon);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();

    let fault = welcome(&mut daemon.reader, &mut daemon.writer, &speaking(PROTOCOL_VERSION, PROTOCOL_VERSION))
        .await
        .unwrap_err();

    assert_eq!(fault.code, Code::InvalidRequest);
}

fn watch_all() -> Operation {
    Operation::Watch { selectors: Vec::new(), since: None, stats_ms: None }
}
