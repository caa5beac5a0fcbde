//! Requests that wait for an answer: the caller's side of a connection.

mod map;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connection::{self, Greeted, MessageReader, MessageWriter};
use crate::envelope::{Body, Envelope, Request};
use crate::fault::{Code, Fault};
use crate::frame;
use crate::hello::Hello;
use crate::ids::RequestId;
use crate::operation::{Operation, Output};

pub use map::{Delivery, PendingMap};

/// How many outputs of one subscription wait for whoever reads it.
///
/// Full means that nothing more is read from the connection, for any request of it, until some of
/// them are taken: the daemon notices, and says `lagged` instead of losing something silently.
pub const SUBSCRIPTION_QUEUE: usize = 256;
/// Messages on their way out. Every open request keeps one place for its abort, and the daemon
/// takes at most 64 open requests from one client.
const OUTGOING_QUEUE: usize = 256;
/// The id of what is said about the connection itself.
pub const CONNECTION_ID: RequestId = RequestId(0);
const FIRST_CLIENT_ID: u64 = 1;
const ID_STEP: u64 = 2;

/// Calls operations of the daemon over one connection.
///
/// Clones share the connection; it closes when the last one and the last [`Subscription`] are gone.
#[derive(Clone, Debug)]
pub struct Caller {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pending: Arc<Mutex<PendingMap>>,
    outgoing: mpsc::Sender<Bytes>,
    next_id: AtomicU64,
    daemon: Greeted,
    /// Ends the reading task. The writing one ends when `outgoing` is dropped, after what is in it.
    _reading: DropGuard,
}

impl Caller {
    /// Greets the daemon at the other end of `stream` in the name of `program`.
    ///
    /// Waits at most 5 s. Two tasks serve the connection until the last caller is dropped.
    ///
    /// # Errors
    /// The daemon's refusal, among them [`Code::VersionMismatch`]; [`Code::NoDaemon`] when nobody answers.
    pub async fn open<S>(stream: S, program: &str, version: &str) -> Result<Caller, Fault>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (read_half, write_half) = tokio::io::split(stream);
        let mut reader = MessageReader::new(read_half);
        let mut writer = MessageWriter::new(write_half);
        let daemon = connection::greet(&mut reader, &mut writer, &Hello::new(program, version)).await?;

        let pending = Arc::new(Mutex::new(PendingMap::default()));
        let (outgoing, to_send) = mpsc::channel(OUTGOING_QUEUE);
        let stop = CancellationToken::new();
        tokio::spawn(write_messages(writer, to_send));
        tokio::spawn(read_messages(reader, pending.clone(), outgoing.downgrade(), stop.clone()));
        let next_id = AtomicU64::new(FIRST_CLIENT_ID);
        Ok(Caller { shared: Arc::new(Shared { pending, outgoing, next_id, daemon, _reading: stop.drop_guard() }) })
    }

    /// Who answers, and the version of the protocol that was agreed on.
    pub fn daemon(&self) -> &Greeted {
        &self.shared.daemon
    }

    /// Calls an operation and waits for its answer, at most `timeout`.
    ///
    /// Dropping the future takes the request back: the daemon is told to abort it. While a
    /// subscription of the same connection is not read, its full queue holds up the answer too.
    ///
    /// # Errors
    /// The daemon's fault, [`Code::TimedOut`], and [`Code::NoDaemon`] when the connection ended.
    pub async fn call(&self, operation: Operation, timeout: Duration) -> Result<Output, Fault> {
        let name = operation.name();
        let answered = async {
            let open = self.reserve().await?;
            let answer = self.shared.pending().expect_answer(open.id)?;
            self.send(&open, operation, Some(timeout)).await?;
            answer.await.unwrap_or_else(|_| Err(connection_ended()))
        };
        match tokio::time::timeout(timeout, answered).await {
            Ok(result) => result,
            Err(_) => {
                let limit = timeout.as_secs_f64();
                Err(Fault::new(Code::TimedOut, format!("the daemon did not answer {name} within {limit} s")))
            }
        }
    }

    /// Starts a subscription. The daemon's refusal, if any, is the first thing that comes out of it.
    ///
    /// # Errors
    /// [`Code::NoDaemon`] when the connection ended.
    pub async fn subscribe(&self, operation: Operation) -> Result<Subscription, Fault> {
        let open = self.reserve().await?;
        let (outputs, end) = self.shared.pending().expect_outputs(open.id)?;
        self.send(&open, operation, None).await?;
        Ok(Subscription { outputs, end, _open: open })
    }

    async fn reserve(&self) -> Result<OpenRequest, Fault> {
        let id = RequestId(self.shared.next_id.fetch_add(ID_STEP, Ordering::Relaxed));
        let abort = self.shared.outgoing.clone().reserve_owned().await.map_err(|_| self.shared.end())?;
        Ok(OpenRequest { id, abort: Some(abort), shared: self.shared.clone() })
    }

    async fn send(&self, open: &OpenRequest, operation: Operation, timeout: Option<Duration>) -> Result<(), Fault> {
        let timeout_ms = timeout.map(|limit| u32::try_from(limit.as_millis()).unwrap_or(u32::MAX));
        let message = Envelope { id: open.id, body: Body::Requested(Request { operation, timeout_ms }) };
        let framed =
            frame::encode(&message).map_err(|error| Fault::new(Code::InvalidSpec, format!("cannot send: {error}")))?;
        self.shared.outgoing.send(framed).await.map_err(|_| self.shared.end())
    }
}

impl Shared {
    /// Nobody holds this for longer than a look into a map, and never over an await.
    fn pending(&self) -> MutexGuard<'_, PendingMap> {
        locked(&self.pending)
    }

    fn end(&self) -> Fault {
        self.pending().over().cloned().unwrap_or_else(connection_ended)
    }
}

fn locked(pending: &Mutex<PendingMap>) -> MutexGuard<'_, PendingMap> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connection_ended() -> Fault {
    Fault::new(Code::NoDaemon, "the daemon ended the connection")
}

/// A request on its way. Dropping it before its end tells the daemon to abort it.
#[derive(Debug)]
struct OpenRequest {
    id: RequestId,
    /// A place in the queue, so that an abort never has to wait.
    abort: Option<OwnedPermit<Bytes>>,
    shared: Arc<Shared>,
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let is_open = self.shared.pending().forget(self.id);
        let aborted = frame::encode(&Envelope { id: self.id, body: Body::Aborted });
        if let (true, Some(permit), Ok(framed)) = (is_open, self.abort.take(), aborted) {
            permit.send(framed);
        }
    }
}

/// What a subscription answers. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    outputs: mpsc::Receiver<Output>,
    end: oneshot::Receiver<Fault>,
    _open: OpenRequest,
}

impl Subscription {
    /// Waits for the next output; `None` after the daemon completed the subscription. Cancel-safe.
    ///
    /// An error is the last thing that comes.
    pub async fn next(&mut self) -> Option<Result<Output, Fault>> {
        match self.outputs.recv().await {
            Some(output) => Some(Ok(output)),
            None => self.end.try_recv().ok().map(Err),
        }
    }
}

/// Ends when every [`Shared`] is gone and what it left is sent, or when the stream breaks. The
/// reader sees a broken stream too and tells everybody who waits.
async fn write_messages<S: AsyncWrite>(mut writer: MessageWriter<WriteHalf<S>>, mut to_send: mpsc::Receiver<Bytes>) {
    while let Some(framed) = to_send.recv().await {
        if writer.send_frame(&framed).await.is_err() {
            return;
        }
    }
}

/// Ends when the stream does, or when `stop` is cancelled because nobody can wait any more.
async fn read_messages<S: AsyncRead>(
    mut reader: MessageReader<ReadHalf<S>>,
    pending: Arc<Mutex<PendingMap>>,
    outgoing: mpsc::WeakSender<Bytes>,
    stop: CancellationToken,
) {
    // Whatever ends this task, a panic included, nobody waits for ever.
    let _fails_the_rest = FailAll(pending.clone());
    let reading = async {
        loop {
            let envelope = match reader.next::<Envelope>().await {
                Ok(Some(envelope)) => envelope,
                Ok(None) => return connection_ended(),
                Err(error) => return Fault::new(Code::NoDaemon, format!("the daemon ended the connection: {error}")),
            };
            let id = envelope.id;
            let delivery = locked(&pending).take_in(envelope);
            match delivery {
                Delivery::Done | Delivery::Unknown => {}
                // Waiting here is what slows the daemon down to the pace of the subscriber; a
                // subscriber that went away fails it, and its abort is on the way.
                Delivery::Push(subscriber, output) => drop(subscriber.send(*output).await),
                Delivery::Asked(_) => answer_nothing(id, &outgoing).await,
                Delivery::Over(fault) => return fault,
            }
        }
    };
    tokio::select! {
        fault = reading => locked(&pending).fail_all(&fault),
        () = stop.cancelled() => {}
    }
}

/// This side offers no operations of its own.
async fn answer_nothing(id: RequestId, outgoing: &mpsc::WeakSender<Bytes>) {
    let fault = Fault::new(Code::InvalidRequest, "this client answers no calls");
    if let (Ok(framed), Some(outgoing)) =
        (frame::encode(&Envelope { id, body: Body::Error(fault) }), outgoing.upgrade())
    {
        // When the writer is gone, the stream is broken and the reader is about to see it.
        let _ = outgoing.send(framed).await;
    }
}

struct FailAll(Arc<Mutex<PendingMap>>);

impl Drop for FailAll {
    fn drop(&mut self) {
        let mut pending = locked(&self.0);
        let fault = pending.over().cloned().unwrap_or_else(connection_ended);
        pending.fail_all(&fault);
    }
}
