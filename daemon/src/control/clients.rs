//! Who is connected, what each is waiting for, and what each still has to be told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alknet_core::limits::REMEMBERED_EVENTS;
use alknet_core::{Call, ClientId};
use alknet_proto::operation::OperationKind;
use alknet_proto::pending::CONNECTION_ID;
use alknet_proto::{Body, Code, Envelope, Fault, ForwardId, ForwardStats, Output, RequestId, StatusEvent};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::meter::Meter;

/// The most clients at a time.
pub const MAX_CLIENTS: usize = 64;
/// The most requests that one client may have open.
pub const MAX_PENDING: usize = 64;
/// How many replies wait for one client. One more means that it does not read, and it is cut off.
pub const OUTBOX: usize = 256;
/// How many status events wait for one client: all that the daemon remembers, for a watch that goes on behind an
/// old one, and what happens while it reads them. One more is dropped and its subscription marked as lagging.
const EVENTS: usize = REMEMBERED_EVENTS + 2_000;
/// How long clients have to take what is left for them when the daemon ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Every client that is connected. Clones are the same list; none of its calls waits, except
/// [`Clients::close_all`].
#[derive(Clone, Debug)]
pub struct Clients {
    registry: Arc<Mutex<Registry>>,
    n_open: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Registry {
    last_id: u64,
    clients: HashMap<ClientId, Client>,
    ending: Option<Fault>,
}

#[derive(Debug)]
struct Client {
    /// `None` from the moment on at which nothing more is said: what is queued is still sent.
    outbox: Option<mpsc::Sender<Envelope>>,
    /// How many messages in the outbox are no events.
    n_replies: Arc<AtomicUsize>,
    pending: HashMap<RequestId, Pending>,
    /// Of the subscriptions that are told rates.
    meters: HashMap<RequestId, Meter>,
    cut_off: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    Call,
    Subscription(Flow),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// It gets every event.
    Flowing,
    /// An event was dropped; what follows would hide the gap, so it is dropped too.
    Lagging,
    /// The client has taken everything that was queued, and the model was told.
    /// The `Lagged` event that it answers with lets the events flow again.
    CaughtUp,
}

/// What became of a request that a client wants to open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// It is open.
    Open,
    /// It is not, for this reason.
    Refused(Fault),
    /// The id is in use: neither of the two is open any more.
    Doubled(Fault),
}

impl Default for Clients {
    fn default() -> Self {
        Clients { registry: Arc::default(), n_open: watch::Sender::new(0) }
    }
}

impl Clients {
    /// Makes room for one more client, whatever its transport.
    ///
    /// # Errors
    /// [`Code::SessionLimit`] beyond [`MAX_CLIENTS`], and why the daemon ends.
    pub fn register(&self) -> Result<Outbox, Fault> {
        let mut registry = self.registry();
        if let Some(fault) = &registry.ending {
            return Err(fault.clone());
        }
        if MAX_CLIENTS <= registry.clients.len() {
            let fault = Fault::new(Code::SessionLimit, format!("{MAX_CLIENTS} clients are connected, no more may be"));
            return Err(fault.with_hint("end one of them, for instance an `alknetctl watch`"));
        }
        registry.last_id += 1;
        let client = ClientId(registry.last_id);
        let (outbox, queue) = mpsc::channel(OUTBOX + EVENTS);
        let (cut_off, n_replies) = (CancellationToken::new(), Arc::<AtomicUsize>::default());
        let entry = Client {
            outbox: Some(outbox),
            n_replies: n_replies.clone(),
            pending: HashMap::new(),
            meters: HashMap::new(),
            cut_off: cut_off.clone(),
        };
        registry.clients.insert(client, entry);
        self.n_open.send_replace(registry.clients.len());
        Ok(Outbox { client, queue, n_replies, cut_off, clients: self.clone() })
    }

    /// Answers a request. An output leaves a subscription open; an error ends everything.
    ///
    /// A request that is not open is not answered: its client took it back or went away.
    pub fn reply(&self, call: Call, result: Result<Output, Fault>) {
        let mut registry = self.registry();
        let Some(client) = registry.clients.get_mut(&call.client) else { return };
        let Some(&pending) = client.pending.get(&call.request) else { return };
        let body = match result {
            Ok(output) => {
                if pending == Pending::Call {
                    client.close(call.request);
                }
                Body::Responded(output)
            }
            Err(fault) => {
                client.close(call.request);
                Body::Error(fault)
            }
        };
        client.say(call.request, body);
    }

    /// Tells a subscriber something; one that is too slow misses it and is told so later.
    ///
    /// Figures of traffic are no news: they are left out while earlier ones wait for the client, and the rates of the
    /// next ones are of the whole time.
    pub fn publish(&self, call: Call, mut event: StatusEvent) {
        let mut registry = self.registry();
        let Some(client) = registry.clients.get_mut(&call.client) else { return };
        let Some(Pending::Subscription(flow)) = client.pending.get_mut(&call.request) else { return };
        let says_lagged = matches!(event, StatusEvent::Lagged(_));
        match flow {
            Flow::Flowing => {}
            Flow::CaughtUp if says_lagged => {}
            Flow::CaughtUp | Flow::Lagging => return,
        }
        let Some(outbox) = &client.outbox else { return };
        if let StatusEvent::Stats(stats) = &mut event {
            let Some(meter) = client.meters.get_mut(&call.request) else { return };
            if meter.is_awaited || outbox.capacity() <= OUTBOX {
                return;
            }
            meter.measure(stats, Instant::now());
            meter.is_awaited = true;
        }
        let envelope = Envelope { id: call.request, body: Body::Responded(Output::Event(event)) };
        // The last places are for replies.
        let is_full = outbox.capacity() <= OUTBOX;
        if is_full {
            tracing::debug!(client = call.client.0, request = call.request.0, "subscription lags");
        }
        *flow = if is_full { Flow::Lagging } else { Flow::Flowing };
        // One that cannot be sent is over; its end is on the way to the model.
        if !is_full && outbox.try_send(envelope).is_err() {
            tracing::trace!(client = call.client.0, "an event comes after the end of the connection");
        }
    }

    /// From now on, rates can be told to this subscriber; the first ones begin with these figures.
    pub fn begin_rates(&self, call: Call, figures: HashMap<ForwardId, ForwardStats>) {
        let mut registry = self.registry();
        let Some(client) = registry.clients.get_mut(&call.client) else { return };
        if client.pending.contains_key(&call.request) {
            client.meters.insert(call.request, Meter::begin(figures, Instant::now()));
        }
    }

    /// Fails everything that is open for this reason, and ends every connection.
    ///
    /// Waits until the clients have taken what was left for them, at most 1 s. From now on
    /// nobody is let in.
    pub async fn close_all(&self, fault: Fault) {
        let mut n_open = self.n_open.subscribe();
        {
            let mut registry = self.registry();
            for client in registry.clients.values_mut() {
                client.end(&fault);
            }
            registry.ending = Some(fault);
        }
        let all_gone = n_open.wait_for(|n| *n == 0);
        // The sender cannot be gone: it is part of `self`.
        if tokio::time::timeout(FLUSH_TIMEOUT, all_gone).await.is_err() {
            self.registry().clients.values().for_each(|client| client.cut_off.cancel());
        }
    }

    /// Opens a request of a client.
    pub(super) fn open(&self, call: Call, kind: OperationKind) -> Opened {
        let mut registry = self.registry();
        let Some(client) = registry.clients.get_mut(&call.client) else {
            return Opened::Refused(Fault::new(Code::Aborted, "the connection is over"));
        };
        if client.close(call.request) {
            let message = format!("request {} was opened twice; both are ended", call.request);
            return Opened::Doubled(Fault::new(Code::InvalidRequest, message));
        }
        if MAX_PENDING <= client.pending.len() {
            let message = format!("{MAX_PENDING} requests of this client are open, no more may be");
            return Opened::Refused(Fault::new(Code::SessionLimit, message));
        }
        let pending = match kind {
            OperationKind::Query | OperationKind::Mutation => Pending::Call,
            OperationKind::Subscription => Pending::Subscription(Flow::Flowing),
        };
        client.pending.insert(call.request, pending);
        Opened::Open
    }

    /// Forgets a request without a word; whether it was open.
    pub(super) fn forget(&self, call: Call) -> bool {
        let mut registry = self.registry();
        registry.clients.get_mut(&call.client).is_some_and(|client| client.close(call.request))
    }

    /// Says an error about an id that is not open.
    pub(super) fn reject(&self, call: Call, fault: Fault) {
        if let Some(client) = self.registry().clients.get_mut(&call.client) {
            client.say(call.request, Body::Error(fault));
        }
    }

    /// Says why the connection ends, and ends it when that is sent.
    pub(super) fn end(&self, client: ClientId, fault: Fault) {
        if let Some(client) = self.registry().clients.get_mut(&client) {
            client.say(CONNECTION_ID, Body::Error(fault));
            client.outbox = None;
        }
    }

    /// Nobody holds this for longer than a look into a map, and never over an await.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Forgets a request; whether it was open.
    fn close(&mut self, request: RequestId) -> bool {
        self.meters.remove(&request);
        self.pending.remove(&request).is_some()
    }

    fn say(&mut self, id: RequestId, body: Body) {
        let Some(outbox) = &self.outbox else { return };
        let has_room = self.n_replies.fetch_add(1, Relaxed) < OUTBOX;
        let is_full = !has_room || matches!(outbox.try_send(Envelope { id, body }), Err(TrySendError::Full(_)));
        if is_full {
            tracing::debug!("client does not read its replies and is cut off");
            self.cut_off.cancel();
        }
    }

    fn end(&mut self, fault: &Fault) {
        let open: Vec<RequestId> = self.pending.drain().map(|(id, _)| id).collect();
        for id in open {
            self.say(id, Body::Error(fault.clone()));
        }
        self.say(CONNECTION_ID, Body::Error(fault.clone()));
        self.outbox = None;
    }
}

/// What one client still has to be told. Dropping it takes the client off the list.
#[derive(Debug)]
pub struct Outbox {
    client: ClientId,
    queue: mpsc::Receiver<Envelope>,
    n_replies: Arc<AtomicUsize>,
    cut_off: CancellationToken,
    clients: Clients,
}

impl Outbox {
    /// Whose outbox it is.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// Is cancelled when the client is to be cut off at once.
    pub fn cut_off(&self) -> &CancellationToken {
        &self.cut_off
    }

    /// The next message, if one waits.
    pub fn try_next(&mut self) -> Option<Envelope> {
        let envelope = self.queue.try_recv().ok()?;
        self.note_taken(&envelope);
        Some(envelope)
    }

    /// Waits for the next message; `None` when nothing more will come. Cancel-safe.
    pub async fn next(&mut self) -> Option<Envelope> {
        let envelope = self.queue.recv().await?;
        self.note_taken(&envelope);
        Some(envelope)
    }

    fn note_taken(&self, envelope: &Envelope) {
        match &envelope.body {
            Body::Responded(Output::Event(StatusEvent::Stats(_))) => {
                let mut registry = self.clients.registry();
                let client = registry.clients.get_mut(&self.client);
                if let Some(meter) = client.and_then(|client| client.meters.get_mut(&envelope.id)) {
                    meter.is_awaited = false;
                }
            }
            Body::Responded(Output::Event(_)) => {}
            Body::Requested(_) | Body::Responded(_) | Body::Completed | Body::Aborted | Body::Error(_) => {
                self.n_replies.fetch_sub(1, Relaxed);
            }
        }
    }

    /// The subscriptions that lagged and whose client has now taken everything: the model is to be
    /// told of each, once.
    pub fn caught_up(&mut self) -> Vec<Call> {
        let mut registry = self.clients.registry();
        let Some(client) = registry.clients.get_mut(&self.client) else { return Vec::new() };
        let lagging = client.pending.iter_mut().filter(|(_, p)| **p == Pending::Subscription(Flow::Lagging));
        lagging
            .map(|(&request, pending)| {
                *pending = Pending::Subscription(Flow::CaughtUp);
                Call { client: self.client, request }
            })
            .collect()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut registry = self.clients.registry();
        registry.clients.remove(&self.client);
        self.clients.n_open.send_replace(registry.clients.len());
    }
}
