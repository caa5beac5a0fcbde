//! The control plane with a test in the place of the daemon's loop, and clients of it.

use std::path::PathBuf;
use std::time::Duration;

use alknet_core::{Call, Event};
use alknet_proto::connection::{MessageReader, MessageWriter, greet};
use alknet_proto::envelope::Request;
use alknet_proto::event::{Heartbeat, Lagged};
use alknet_proto::hello::Hello;
use alknet_proto::pending::{Caller, Subscription};
use alknet_proto::{Body, Code, Envelope, Operation, RequestId, StatusEvent, endpoint};
use alknetd::control::{Clients, Dispatcher, Explainer, Questions, serve};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The control plane without a daemon around it.
pub(crate) struct Control {
    pub(crate) clients: Clients,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) questions: Option<Questions>,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) socket: PathBuf,
    pub(crate) place: TempDir,
}

impl Control {
    pub(crate) fn start() -> Self {
        let place = TempDir::new().unwrap();
        let socket = place.path().join("alknetd.sock");
        let listener = endpoint::listen(&socket).unwrap();
        let clients = Clients::default();
        let (inbox, events) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let (explainer, questions) = Explainer::new();
        let dispatcher = Dispatcher::new(clients.clone(), inbox, explainer);
        let serving = tokio::spawn(serve(listener, dispatcher, stop.clone()));
        Control { clients, events, questions: Some(questions), stop, serving, socket, place }
    }

    pub(crate) async fn caller(&self) -> Caller {
        let stream = endpoint::connect(&self.socket).await.unwrap();
        Caller::open(stream, "alknetctl", "0.1.0").await.unwrap()
    }

    pub(crate) async fn event(&mut self) -> Event {
        timeout(LIMIT, self.events.recv()).await.expect("an event comes in time").expect("control is there")
    }

    pub(crate) async fn requested(&mut self) -> (Call, Operation) {
        match self.event().await {
            Event::Requested { call, operation, .. } => (call, operation),
            other => panic!("no request: {other:?}"),
        }
    }

    pub(crate) async fn watching(&mut self, caller: &Caller) -> (Subscription, Call) {
        let watch = caller.subscribe(watch_all()).await.unwrap();
        (watch, self.requested().await.0)
    }
}

/// A client that says exactly what the test wants, over any stream.
pub(crate) struct Raw<S> {
    pub(crate) reader: MessageReader<ReadHalf<S>>,
    pub(crate) writer: MessageWriter<WriteHalf<S>>,
}

impl Raw<endpoint::Stream> {
    pub(crate) async fn connect(control: &Control) -> Self {
        let mut raw = Raw::over(endpoint::connect(&control.socket).await.unwrap());
        greet(&mut raw.reader, &mut raw.writer, &Hello::new("raw", "1")).await.unwrap();
        raw
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite> Raw<S> {
    pub(crate) fn over(stream: S) -> Self {
        let (read_half, write_half) = tokio::io::split(stream);
        Raw { reader: MessageReader::new(read_half), writer: MessageWriter::new(write_half) }
    }

    pub(crate) async fn ask(&mut self, id: u64, operation: Operation) {
        let body = Body::Requested(Request { operation, timeout_ms: None });
        self.writer.send(&Envelope { id: RequestId(id), body }).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Option<Envelope> {
        timeout(LIMIT, self.reader.next()).await.expect("the daemon says something in time").unwrap()
    }

    pub(crate) async fn fault(&mut self) -> (u64, Code) {
        match self.next().await {
            Some(Envelope { id, body: Body::Error(fault) }) => (id.0, fault.code),
            other => panic!("no error: {other:?}"),
        }
    }
}

pub(crate) fn watch_all() -> Operation {
    Operation::Watch { selectors: Vec::new(), since: None, stats_ms: None }
}

pub(crate) fn heartbeat(seq: u64) -> StatusEvent {
    StatusEvent::Heartbeat(Heartbeat { seq, at: Timestamp::UNIX_EPOCH })
}

pub(crate) fn lagged(seq: u64) -> StatusEvent {
    StatusEvent::Lagged(Lagged { seq, at: Timestamp::UNIX_EPOCH })
}
