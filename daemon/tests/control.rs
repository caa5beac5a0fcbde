//! Clients of the control socket, with a test in the place of the daemon's loop.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end by a panic")]

use std::path::PathBuf;
use std::time::Duration;

use alknet_core::{Call, ClientId, Event};
use alknet_proto::connection::{MessageReader, MessageWriter, greet};
use alknet_proto::envelope::Request;
use alknet_proto::event::{Heartbeat, Lagged};
use alknet_proto::hello::{Hello, Verdict, VersionRange};
use alknet_proto::pending::{Caller, Subscription};
use alknet_proto::{Body, Code, Envelope, Fault, Operation, Output, RequestId, StatusEvent, endpoint, frame};
use alknetd::control::{
    Clients, Dispatcher, Identity, MAX_CLIENTS, MAX_PENDING, OUTBOX, Peer, Scope, serve, serve_stream,
};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(20);

/// The control plane without a daemon around it.
struct Control {
    clients: Clients,
    events: mpsc::Receiver<Event>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    socket: PathBuf,
    place: TempDir,
}

impl Control {
    fn start() -> Self {
        let place = TempDir::new().unwrap();
        let socket = place.path().join("alknetd.sock");
        let listener = endpoint::listen(&socket).unwrap();
        let clients = Clients::default();
        let (inbox, events) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, clients.clone(), inbox, stop.clone()));
        Control { clients, events, stop, serving, socket, place }
    }

    async fn caller(&self) -> Caller {
        let stream = endpoint::connect(&self.socket).await.unwrap();
        Caller::open(stream, "alknetctl", "0.1.0").await.unwrap()
    }

    async fn event(&mut self) -> Event {
        timeout(LIMIT, self.events.recv()).await.expect("an event comes in time").expect("control is there")
    }

    async fn requested(&mut self) -> (Call, Operation) {
        match self.event().await {
            Event::Requested { call, operation, .. } => (call, operation),
            other => panic!("no request: {other:?}"),
        }
    }

    async fn watching(&mut self, caller: &Caller) -> (Subscription, Call) {
        let watch = caller.subscribe(watch_all()).await.unwrap();
        (watch, self.requested().await.0)
    }
}

/// A client that says exactly what the test wants, over any stream.
struct Raw<S> {
    reader: MessageReader<ReadHalf<S>>,
    writer: MessageWriter<WriteHalf<S>>,
}

impl Raw<endpoint::Stream> {
    async fn connect(control: &Control) -> Self {
        let mut raw = Raw::over(endpoint::connect(&control.socket).await.unwrap());
        greet(&mut raw.reader, &mut raw.writer, &Hello::new("raw", "1")).await.unwrap();
        raw
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite> Raw<S> {
    fn over(stream: S) -> Self {
        let (read_half, write_half) = tokio::io::split(stream);
        Raw { reader: MessageReader::new(read_half), writer: MessageWriter::new(write_half) }
    }

    async fn ask(&mut self, id: u64, operation: Operation) {
        let body = Body::Requested(Request { operation, timeout_ms: None });
        self.writer.send(&Envelope { id: RequestId(id), body }).await.unwrap();
    }

    async fn next(&mut self) -> Option<Envelope> {
        timeout(LIMIT, self.reader.next()).await.expect("the daemon says something in time").unwrap()
    }

    async fn fault(&mut self) -> (u64, Code) {
        match self.next().await {
            Some(Envelope { id, body: Body::Error(fault) }) => (id.0, fault.code),
            other => panic!("no error: {other:?}"),
        }
    }
}

fn watch_all() -> Operation {
    Operation::Watch { selectors: Vec::new(), since: None }
}

fn heartbeat(seq: u64) -> StatusEvent {
    StatusEvent::Heartbeat(Heartbeat { seq, at: Timestamp::UNIX_EPOCH })
}

fn lagged(seq: u64) -> StatusEvent {
    StatusEvent::Lagged(Lagged { seq, at: Timestamp::UNIX_EPOCH })
}

#[tokio::test]
async fn a_ping_is_answered_without_the_loop() {
    let control = Control::start();
    assert_eq!(control.caller().await.call(Operation::Ping, LIMIT).await, Ok(Output::Done));
}

#[tokio::test]
async fn a_request_reaches_the_loop_and_its_reply_the_client() {
    let mut control = Control::start();
    let caller = control.caller().await;

    let clients = control.clients.clone();
    let daemon_side = async {
        let (call, operation) = control.requested().await;
        assert_eq!(operation, Operation::RetrySessions(Vec::new()));
        clients.reply(call, Ok(Output::Destinations(Vec::new())));
        clients.reply(call, Ok(Output::Done));
    };
    let (called, ()) = tokio::join!(caller.call(Operation::RetrySessions(Vec::new()), LIMIT), daemon_side);

    assert_eq!(called, Ok(Output::Destinations(Vec::new())));
    assert_eq!(caller.call(Operation::Ping, LIMIT).await, Ok(Output::Done));
}

#[tokio::test]
async fn two_requests_run_side_by_side_and_an_abort_is_read_meanwhile() {
    let mut control = Control::start();
    let caller = control.caller().await;

    let first = tokio::spawn({
        let caller = caller.clone();
        async move { caller.call(Operation::Shutdown, LIMIT).await }
    });
    let (first_call, _) = control.requested().await;
    assert!(caller.call(Operation::DaemonStatus, Duration::from_millis(50)).await.is_err());
    let (second_call, _) = control.requested().await;
    assert_eq!(control.event().await, Event::Aborted(second_call));
    control.clients.reply(second_call, Ok(Output::Done));
    control.clients.reply(first_call, Ok(Output::Done));

    assert_eq!(first.await.unwrap(), Ok(Output::Done));
}

#[tokio::test]
async fn an_aborted_subscription_is_told_to_the_loop_and_gets_nothing_more() {
    let mut control = Control::start();
    let caller = control.caller().await;
    let (mut watch, call) = control.watching(&caller).await;
    control.clients.publish(call, heartbeat(1));
    assert_eq!(watch.next().await, Some(Ok(Output::Event(heartbeat(1)))));

    drop(watch);

    assert_eq!(control.event().await, Event::Aborted(call));
    control.clients.publish(call, heartbeat(2));
    assert_eq!(caller.call(Operation::Ping, LIMIT).await, Ok(Output::Done));
}

#[tokio::test]
async fn a_completed_subscription_ends() {
    let mut control = Control::start();
    let caller = control.caller().await;
    let (mut watch, call) = control.watching(&caller).await;

    control.clients.publish(call, heartbeat(1));
    control.clients.complete(call);

    assert_eq!(watch.next().await, Some(Ok(Output::Event(heartbeat(1)))));
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_client_that_goes_away_is_gone_once() {
    let mut control = Control::start();
    let caller = control.caller().await;
    let (watch, call) = control.watching(&caller).await;

    drop((watch, caller));

    assert_eq!(control.event().await, Event::Aborted(call));
    assert_eq!(control.event().await, Event::ClientGone(call.client));
}

#[tokio::test]
async fn a_slow_watcher_is_marked_as_lagging_and_others_are_not() {
    let mut control = Control::start();
    let mut slow = Raw::connect(&control).await;
    slow.ask(1, watch_all()).await;
    let (slow_call, _) = control.requested().await;
    let brisk_caller = control.caller().await;
    let (mut brisk, brisk_call) = control.watching(&brisk_caller).await;

    // Far more than the outbox and the socket can hold.
    let n_events: u64 = 40_000;
    for seq in 1..=n_events {
        control.clients.publish(slow_call, heartbeat(seq));
        control.clients.publish(brisk_call, heartbeat(seq));
        assert_eq!(brisk.next().await, Some(Ok(Output::Event(heartbeat(seq)))));
    }

    let reading = tokio::spawn(async move {
        let mut seqs = Vec::new();
        loop {
            match slow.next().await.unwrap().body {
                Body::Responded(Output::Event(StatusEvent::Heartbeat(beat))) => seqs.push(beat.seq),
                Body::Responded(Output::Event(StatusEvent::Lagged(_))) => break,
                other => panic!("neither a heartbeat nor lagged: {other:?}"),
            }
        }
        (seqs, slow.next().await.unwrap().body)
    });
    assert_eq!(control.event().await, Event::CaughtUp(slow_call));
    control.clients.publish(slow_call, heartbeat(n_events + 1));
    control.clients.publish(slow_call, lagged(n_events + 1));
    control.clients.publish(slow_call, heartbeat(n_events + 2));

    let (seqs, behind) = reading.await.unwrap();
    let without_gap: Vec<u64> = (1..=seqs.len() as u64).collect();
    assert_eq!(seqs, without_gap);
    assert!(OUTBOX <= seqs.len() && seqs.len() < n_events as usize, "{} events were taken", seqs.len());
    assert_eq!(behind, Body::Responded(Output::Event(heartbeat(n_events + 2))));
}

#[tokio::test]
async fn a_client_that_does_not_read_its_replies_is_cut_off() {
    let mut control = Control::start();
    let mut slow = Raw::connect(&control).await;
    slow.ask(1, watch_all()).await;
    let (call, _) = control.requested().await;
    for seq in 1..=40_000 {
        control.clients.publish(call, heartbeat(seq));
        tokio::task::yield_now().await;
    }

    slow.ask(3, Operation::DaemonStatus).await;
    let (status, _) = control.requested().await;
    control.clients.reply(status, Ok(Output::Done));

    assert_eq!(control.event().await, Event::ClientGone(call.client));
}

/// A client over a stream in memory, so that time can be paused.
fn serve_in_memory(buffer_bytes: usize) -> (Raw<DuplexStream>, Clients, mpsc::Receiver<Event>, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(buffer_bytes);
    let clients = Clients::default();
    let (inbox, events) = mpsc::channel(64);
    let owner = Identity::new("owner", &[Scope::Read, Scope::Control, Scope::Admin]);
    let outbox = clients.register().unwrap();
    let serving = tokio::spawn(serve_stream(theirs, owner, outbox, clients.clone(), inbox));
    (Raw::over(ours), clients, events, serving)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_for_ten_seconds_is_cut_off() {
    let (mut raw, clients, mut events, serving) = serve_in_memory(512);
    greet(&mut raw.reader, &mut raw.writer, &Hello::new("raw", "1")).await.unwrap();
    raw.ask(1, watch_all()).await;
    let Some(Event::Requested { call, .. }) = events.recv().await else { panic!("no request") };

    let start = Instant::now();
    for seq in 0..100 {
        clients.publish(call, heartbeat(seq));
    }
    serving.await.unwrap();

    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn a_client_of_another_version_is_told_so() {
    let control = Control::start();
    let stream = endpoint::connect(&control.socket).await.unwrap();
    let (read_half, mut write_half) = tokio::io::split(stream);
    let mut reader = MessageReader::new(read_half);
    let newer = Hello {
        versions: VersionRange { lowest: 7, highest: 9 },
        program: "alknetctl".to_owned(),
        version: "8.0".to_owned(),
    };
    write_half.write_all(&frame::frame(&newer.encode()).unwrap()).await.unwrap();

    let hello = Hello::decode(&reader.next_body().await.unwrap().unwrap()).unwrap();
    let verdict = Verdict::decode(&reader.next_body().await.unwrap().unwrap()).unwrap();

    assert_eq!((hello.program.as_str(), hello.versions), ("alknetd", VersionRange { lowest: 1, highest: 1 }));
    let fault = verdict.into_result().unwrap_err();
    assert_eq!(fault.code, Code::VersionMismatch);
    assert!(fault.message.starts_with("alknetctl 8.0 speaks version 7 to 9"), "{}", fault.message);
    assert!(fault.message.ends_with("upgrade alknetd"), "{}", fault.message);
    assert!(reader.next_body().await.unwrap().is_none());
}

/// A user that is on every Unix and owns nothing.
#[cfg(unix)]
const NOBODY: u32 = 65534;
#[cfg(unix)]
const SOCKET_OF_THE_TEST: &str = "SOCKET_OF_THE_TEST";

#[cfg(unix)]
#[tokio::test]
async fn another_user_is_refused_before_a_byte_is_read() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !nix::unistd::geteuid().is_root() {
        // Only root can become another user.
        return;
    }
    let control = Control::start();
    let program = control.place.path().join("other");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for (path, wide_mode) in [(control.place.path(), 0o755), (&program, 0o755), (&control.socket, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(wide_mode)).unwrap();
    }

    let other = tokio::task::spawn_blocking({
        let socket = control.socket.clone();
        move || {
            std::process::Command::new(program)
                .args(["--ignored", "--exact", "what_another_user_does"])
                .env(SOCKET_OF_THE_TEST, socket)
                .uid(NOBODY)
                .gid(NOBODY)
                .output()
        }
    });

    let output = timeout(LIMIT, other).await.unwrap().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "is run as another user by the test above"]
async fn what_another_user_does() {
    let socket = PathBuf::from(std::env::var_os(SOCKET_OF_THE_TEST).unwrap());
    let mut reader = MessageReader::new(tokio::net::UnixStream::connect(&socket).await.unwrap());

    reader.next_body().await.unwrap().unwrap();
    let verdict = Verdict::decode(&reader.next_body().await.unwrap().unwrap()).unwrap();

    assert_eq!(verdict.into_result().unwrap_err().code, Code::Forbidden);
    assert!(reader.next_body().await.unwrap().is_none());
    // And a client that is careful does not talk to somebody else's daemon either.
    assert_eq!(endpoint::connect(&socket).await.unwrap_err().code, Code::PermissionDenied);
}

#[tokio::test]
async fn broken_frames_end_the_connection_with_a_reason() {
    let no_request = Envelope { id: RequestId(2), body: Body::Completed };
    let broken: [(&str, Vec<u8>, &str); 5] = [
        ("length 0", vec![0, 0, 0, 0], "a frame of length 0 came"),
        ("length 1 MiB + 1", vec![0, 0x10, 0, 1], "a frame of 1048577 bytes came"),
        ("the longest length", vec![0xff; 4], "a frame of 4294967295 bytes came"),
        ("no message", vec![0, 0, 0, 2, 0xff, 0xff], "a frame came that is not a message"),
        ("an answer", frame::encode(&no_request).unwrap().to_vec(), "call.completed came for 2"),
    ];
    for (name, bytes, reason) in broken {
        let mut control = Control::start();
        let mut raw = Raw::connect(&control).await;

        raw.writer.send_frame(&bytes).await.unwrap();

        let Some(Envelope { id: RequestId(0), body: Body::Error(fault) }) = raw.next().await else {
            panic!("{name}: no reason")
        };
        assert_eq!(fault.code, Code::InvalidRequest, "{name}");
        assert!(fault.message.starts_with(reason), "{name}: {}", fault.message);
        assert_eq!(raw.next().await, None, "{name}");
        assert!(matches!(control.event().await, Event::ClientGone(_)), "{name}");
    }
}

#[tokio::test]
async fn an_id_that_is_used_twice_ends_both_requests() {
    let mut control = Control::start();
    let mut raw = Raw::connect(&control).await;
    raw.ask(1, watch_all()).await;
    let (call, _) = control.requested().await;

    raw.ask(1, Operation::DaemonStatus).await;

    assert_eq!(raw.fault().await, (1, Code::InvalidRequest));
    assert_eq!(control.event().await, Event::Aborted(call));
    control.clients.publish(call, heartbeat(1));
    raw.ask(1, Operation::Ping).await;
    assert_eq!(raw.next().await, Some(Envelope { id: RequestId(1), body: Body::Responded(Output::Done) }));
}

#[tokio::test]
async fn an_id_of_the_daemon_is_refused() {
    let control = Control::start();
    let mut raw = Raw::connect(&control).await;
    for id in [0, 2] {
        raw.ask(id, Operation::Ping).await;
        assert_eq!(raw.fault().await, (id, Code::InvalidRequest));
    }
}

#[tokio::test]
async fn one_request_too_many_is_refused_and_the_others_go_on() {
    let mut control = Control::start();
    let mut raw = Raw::connect(&control).await;
    for n in 0..MAX_PENDING as u64 {
        raw.ask(2 * n + 1, Operation::DaemonStatus).await;
    }
    let (first, _) = control.requested().await;
    let one_more = 2 * MAX_PENDING as u64 + 1;

    raw.ask(one_more, Operation::DaemonStatus).await;

    assert_eq!(raw.fault().await, (one_more, Code::SessionLimit));
    control.clients.reply(first, Ok(Output::Done));
    assert_eq!(raw.next().await.unwrap().id, first.request);
    raw.ask(one_more, Operation::Ping).await;
    assert_eq!(raw.next().await.unwrap().body, Body::Responded(Output::Done));
}

#[tokio::test]
async fn one_client_too_many_is_refused_until_another_leaves() {
    let mut control = Control::start();
    let mut callers = Vec::new();
    for _ in 0..MAX_CLIENTS {
        callers.push(control.caller().await);
    }

    let stream = endpoint::connect(&control.socket).await.unwrap();
    let fault = Caller::open(stream, "alknetctl", "0.1.0").await.unwrap_err();
    assert_eq!(fault.code, Code::SessionLimit);
    callers.pop();
    assert!(matches!(control.event().await, Event::ClientGone(_)));

    assert_eq!(control.caller().await.call(Operation::Ping, LIMIT).await, Ok(Output::Done));
}

#[tokio::test]
async fn the_end_of_the_daemon_is_told_to_everything_that_is_open() {
    let mut control = Control::start();
    let caller = control.caller().await;
    let (mut watch, _) = control.watching(&caller).await;
    let call = tokio::spawn({
        let caller = caller.clone();
        async move { caller.call(Operation::DaemonStatus, LIMIT).await }
    });
    control.requested().await;
    let ending = Fault::new(Code::DaemonStopping, "the daemon is ending");

    control.stop.cancel();
    control.clients.close_all(ending.clone()).await;

    assert_eq!(watch.next().await, Some(Err(ending.clone())));
    assert_eq!(call.await.unwrap(), Err(ending.clone()));
    timeout(LIMIT, control.serving).await.unwrap().unwrap();
    assert!(!control.socket.exists());
    assert_eq!(control.clients.register().unwrap_err(), ending);
}

#[tokio::test]
async fn a_client_that_does_not_listen_does_not_hold_up_the_end() {
    let mut control = Control::start();
    let mut slow = Raw::connect(&control).await;
    slow.ask(1, watch_all()).await;
    let (call, _) = control.requested().await;
    for seq in 1..=40_000 {
        control.clients.publish(call, heartbeat(seq));
        tokio::task::yield_now().await;
    }
    let start = Instant::now();

    control.stop.cancel();
    control.clients.close_all(Fault::new(Code::DaemonStopping, "the daemon is ending")).await;
    timeout(LIMIT, control.serving).await.unwrap().unwrap();

    assert!(start.elapsed() < Duration::from_secs(3), "it took {:?}", start.elapsed());
}

#[tokio::test]
async fn the_dispatcher_needs_no_socket() {
    let clients = Clients::default();
    let (inbox, mut events) = mpsc::channel(8);
    let dispatcher = Dispatcher::new(clients.clone(), inbox);
    let mut outbox = clients.register().unwrap();
    let reader = Peer { client: outbox.client(), identity: Identity::new("reader", &[Scope::Read]) };
    let request = |operation| Request { operation, timeout_ms: Some(1500) };
    let call = Call { client: outbox.client(), request: RequestId(3) };

    dispatcher.dispatch_requested(&reader, RequestId(1), request(Operation::Shutdown)).await;
    dispatcher.dispatch_requested(&reader, RequestId(3), request(watch_all())).await;
    dispatcher.handle_abort(call).await;
    dispatcher.handle_abort(call).await;

    match outbox.try_next() {
        Some(Envelope { id: RequestId(1), body: Body::Error(fault) }) => assert_eq!(fault.code, Code::Forbidden),
        other => panic!("not refused: {other:?}"),
    }
    let timeout = Duration::from_millis(1500);
    assert_eq!(events.try_recv(), Ok(Event::Requested { call, operation: watch_all(), timeout }));
    assert_eq!(events.try_recv(), Ok(Event::Aborted(call)));
    assert!(events.try_recv().is_err());
    assert_eq!(outbox.client(), ClientId(1));
}

#[tokio::test]
async fn a_client_sees_the_operations_that_it_may_call() {
    let control = Control::start();
    let caller = control.caller().await;

    let Ok(Output::Services(services)) = caller.call(Operation::ListServices, LIMIT).await else {
        panic!("services/list was not answered")
    };
    for service in &services {
        let schema = caller.call(Operation::ServiceSchema(service.name.clone()), LIMIT).await;
        assert!(matches!(schema, Ok(Output::Schema(_))), "{}: {schema:?}", service.name);
    }

    assert_eq!(services.len(), 16);
    let unknown = caller.call(Operation::ServiceSchema("forwards/fly".to_owned()), LIMIT).await;
    assert_eq!(unknown.unwrap_err().code, Code::NotFound);
}
