//! What the server listens for on our behalf, and the connections that come of it.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use alknet_proto::{Code, ForwardId, Reason, Stage};
use futures_util::FutureExt;
use russh::ChannelOpenFailure;
use russh::client::{ChannelOpenHandle, Msg};
use tokio::sync::{Notify, mpsc};

use super::channel::Channel;
use super::link::Link;
use super::load::Claim;
use super::opens::Opens;
use super::session::locked;
use crate::lanes::Lane;

/// Connections that wait for `next`. A full queue refuses with «resource shortage», so that a listener that
/// nobody serves cannot fill the memory; a thousand at once is what a busy web page does.
const QUEUE: usize = 1024;

/// Connections held while the answer about a free port is still on its way to the one who asked.
const EARLY: usize = 64;

/// What the server was asked to listen at, in the words that were sent to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Tcp(String, u16),
    Unix(String),
}

/// Every place that the server listens at for us.
#[derive(Debug, Default)]
pub(super) struct RemoteListeners {
    state: Mutex<State>,
    /// Something was taken away.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    places: HashMap<Place, Entry>,
    /// How many requests for a free port have no answer yet, by address.
    n_asking: HashMap<String, usize>,
    /// Connections to a port that no listener has yet, while somebody asks for a free one.
    early: VecDeque<(Place, Arrival)>,
}

#[derive(Debug)]
enum Entry {
    /// Connections are taken.
    Stands(mpsc::Sender<Arrival>),
    /// No connection is taken any more; the server was not heard about it yet.
    Closing,
}

/// A connection as the callback hands it over.
pub(super) struct Arrival {
    pub(super) channel: russh::Channel<Msg>,
    pub(super) originator: (String, u16),
    pub(super) reply: ChannelOpenHandle,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrival").field("originator", &self.originator).finish_non_exhaustive()
    }
}

/// The place is ours already.
pub(super) struct AlreadyAsked;

impl RemoteListeners {
    /// Whether the server listens for anybody, or was asked to.
    pub(super) fn are_there(&self) -> bool {
        let state = locked(&self.state);
        !state.places.is_empty() || state.n_asking.values().any(|n_asking| 0 < *n_asking)
    }

    /// Takes connections for `place` from now on, before the server is asked. Waits while the server has not
    /// yet answered that it stopped listening there.
    pub(super) async fn reserve(&self, place: &Place) -> Result<mpsc::Receiver<Arrival>, AlreadyAsked> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut state = locked(&self.state);
                match state.places.get(place) {
                    None => {
                        let (sender, receiver) = mpsc::channel(QUEUE);
                        state.places.insert(place.clone(), Entry::Stands(sender));
                        return Ok(receiver);
                    }
                    Some(Entry::Stands(_)) => return Err(AlreadyAsked),
                    Some(Entry::Closing) => {}
                }
            }
            freed.await;
        }
    }

    /// Somebody asks for a free port at `address`: connections to a port that nobody knows are held.
    pub(super) fn asks_for_a_free_port(&self, address: &str) {
        *locked(&self.state).n_asking.entry(address.to_owned()).or_default() += 1;
    }

    /// The answer to `asks_for_a_free_port`: the port, or `None` when there is none. What was held for the
    /// port comes first out of the queue.
    pub(super) fn got_a_free_port(&self, address: &str, port: Option<u16>) -> Option<mpsc::Receiver<Arrival>> {
        let mut state = locked(&self.state);
        let receiver = port.map(|port| {
            let place = Place::Tcp(address.to_owned(), port);
            let (sender, receiver) = mpsc::channel(QUEUE);
            let (ours, others) = state.early.drain(..).partition(|(at, _)| at.includes(&place));
            state.early = others;
            let ours: VecDeque<(Place, Arrival)> = ours;
            for (_, arrival) in ours {
                // The queue is longer than what can be held.
                let _ = sender.try_send(arrival);
            }
            state.places.insert(place, Entry::Stands(sender));
            receiver
        });
        if let Some(n_asking) = state.n_asking.get_mut(address) {
            *n_asking -= 1;
            if *n_asking == 0 {
                state.n_asking.remove(address);
            }
        }
        if state.n_asking.is_empty() {
            // Nobody can be meant by them: dropping refuses.
            state.early.clear();
        }
        receiver
    }

    /// Takes no further connection for `place`, at once.
    fn stop(&self, place: &Place) {
        if let Some(entry) = locked(&self.state).places.get_mut(place) {
            *entry = Entry::Closing;
        }
    }

    /// The server does not listen at `place` any more, or never did.
    pub(super) fn forget(&self, place: &Place) {
        locked(&self.state).places.remove(place);
        self.freed.notify_waiters();
    }

    /// Hands a connection over, or refuses it. Never waits.
    pub(super) fn arrived(&self, at: Place, arrival: Arrival) {
        let mut state = locked(&self.state);
        let asked = match state.places.get(&at) {
            Some(entry) => Some(entry),
            None => state.places.iter().find(|(place, _)| at.includes(place)).map(|(_, entry)| entry),
        };
        let refused = match asked {
            Some(Entry::Stands(queue)) => match queue.try_send(arrival) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(arrival)) => (arrival, ChannelOpenFailure::ResourceShortage),
                Err(mpsc::error::TrySendError::Closed(arrival)) => {
                    (arrival, ChannelOpenFailure::AdministrativelyProhibited)
                }
            },
            Some(Entry::Closing) => (arrival, ChannelOpenFailure::AdministrativelyProhibited),
            None if at.is_asked_for(&state.n_asking) && state.early.len() < EARLY => {
                state.early.push_back((at, arrival));
                return;
            }
            None => (arrival, ChannelOpenFailure::AdministrativelyProhibited),
        };
        drop(state);
        let (arrival, why) = refused;
        tracing::debug!(originator = %alknet_proto::fault::one_line(&arrival.originator.0), ?why, "refused a connection from the server");
        reject(arrival.reply, why);
    }
}

impl Place {
    /// Whether a connection that the server says came in here can be one to `asked`.
    ///
    /// OpenSSH says the address as it was asked for; others say the address that was connected to.
    fn includes(&self, asked: &Place) -> bool {
        match (self, asked) {
            (Place::Unix(said), Place::Unix(asked)) => said == asked,
            (Place::Tcp(said, said_port), Place::Tcp(asked, port)) => said_port == port && is_same_address(said, asked),
            (Place::Unix(_), Place::Tcp(..)) | (Place::Tcp(..), Place::Unix(_)) => false,
        }
    }

    fn is_asked_for(&self, n_asking: &HashMap<String, usize>) -> bool {
        match self {
            Place::Tcp(said, _) => n_asking.keys().any(|asked| is_same_address(said, asked)),
            Place::Unix(_) => false,
        }
    }
}

fn is_same_address(said: &str, asked: &str) -> bool {
    if said.eq_ignore_ascii_case(asked) {
        return true;
    }
    let is_every = |text: &str| text.is_empty() || text.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    let is_here =
        |text: &str| text.eq_ignore_ascii_case("localhost") || text.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match (said.parse::<IpAddr>(), asked.parse::<IpAddr>()) {
        (Ok(said_ip), Ok(asked_ip)) if said_ip == asked_ip => true,
        // A server that overrides the address (OpenSSH's GatewayPorts) may name the one it took instead.
        (Ok(_), _) if is_every(asked) => true,
        (_, _) if is_every(said) && is_every(asked) => true,
        (_, _) => is_here(said) && is_here(asked),
    }
}

/// russh declares it to wait, but it only puts the answer into a queue.
fn reject(reply: ChannelOpenHandle, why: ChannelOpenFailure) {
    let _ = reply.reject(why).now_or_never();
}

/// The server listens for us. Dropping it refuses every further connection at once.
pub struct RemoteListener {
    link: Arc<Link>,
    place: Place,
    arrivals: mpsc::Receiver<Arrival>,
    is_cancelled: bool,
}

impl RemoteListener {
    pub(super) fn new(link: Arc<Link>, place: Place, arrivals: mpsc::Receiver<Arrival>) -> Self {
        RemoteListener { link, place, arrivals, is_cancelled: false }
    }

    /// The port that the server listens on; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        match &self.place {
            Place::Tcp(_, port) => Some(*port),
            Place::Unix(_) => None,
        }
    }

    /// Where the link lives.
    pub fn lane(&self) -> &Lane {
        self.link.lane()
    }

    /// Counts a connection of this rule as one that uses the link.
    pub fn claim(&self, forward: ForwardId) -> Claim {
        self.link.claim(forward)
    }

    /// The next connection that the server accepted; `None` when the session is over. Cancel-safe.
    pub async fn next(&mut self) -> Option<Incoming> {
        let arrival = tokio::select! {
            biased;
            () = self.link.over().cancelled() => return None,
            arrival = self.arrivals.recv() => arrival?,
        };
        Some(Incoming { link: self.link.clone(), arrival })
    }

    /// Asks the server to stop listening. Waits at most `FORWARD_TIMEOUT` (10 s).
    ///
    /// No connection is taken from the call on, whatever the server answers.
    pub async fn cancel(mut self) {
        self.is_cancelled = true;
        self.link.session.remotes.stop(&self.place);
        // A task of its own, so that the place becomes free although the caller may stop waiting; it ends like
        // the one of the drop. A panic in it is russh's, and means that the session is over.
        let _ = tokio::spawn(self.link.clone().stop_listening(self.place.clone())).await;
    }
}

impl Drop for RemoteListener {
    fn drop(&mut self) {
        if self.is_cancelled {
            return;
        }
        let remotes = &self.link.session.remotes;
        remotes.stop(&self.place);
        match tokio::runtime::Handle::try_current() {
            // Ends with the server's answer, after FORWARD_TIMEOUT, or with the session.
            Ok(runtime) => drop(runtime.spawn(self.link.clone().stop_listening(self.place.clone()))),
            Err(_) => remotes.forget(&self.place),
        }
    }
}

/// A connection that the server accepted for us and that waits for our answer. Dropping it refuses it.
pub struct Incoming {
    link: Arc<Link>,
    arrival: Arrival,
}

impl Incoming {
    /// Who connected, as the server says.
    pub fn originator(&self) -> (String, u16) {
        self.arrival.originator.clone()
    }

    /// What may be asked for by whoever is behind it.
    pub fn opens(&self) -> Opens {
        self.link.session.opens()
    }

    /// Takes the connection.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn accept(self) -> Result<Channel, Reason> {
        let Arrival { channel, originator: _, reply } = self.arrival;
        if self.link.over().is_cancelled() {
            return Err(Reason::new(Stage::Tcp, Code::ConnectionLost, "the session is over"));
        }
        let channel = Channel::new(channel, &self.link.session, self.link.session_counters());
        reply.accept().await;
        Ok(channel)
    }

    /// Tells the server that the target could not be reached.
    pub fn refuse(self) {
        reject(self.arrival.reply, ChannelOpenFailure::ConnectFailed);
    }
}
