//! A live, authenticated session, as the data plane sees it.

use std::sync::Arc;
use std::time::Duration;

use alknet_core::Epoch;
use alknet_proto::status::LinkStatus;
use alknet_proto::{Bind, Code, ForwardId, Reason, Stage, Target};
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::counters::SessionCounters;
use crate::lanes::Lane;

use super::channel::Channel;
use super::failure;
use super::handler::Handler;
use super::load::Claim;
use super::pool::Room;
use super::reclaim::ServerProcess;
use super::remote::{AlreadyAsked, Arrival, Place, RemoteListener};
use super::session::Session;

/// How long the server may take to open a channel, which is mostly its own connecting to the target.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the server may take to answer that it listens, or that it stopped.
pub const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

/// A live, authenticated session.
pub struct Link {
    epoch: Epoch,
    lane: Lane,
    login_took: Duration,
    counters: Arc<SessionCounters>,
    over: CancellationToken,
    pub(super) session: Arc<Session>,
    handle: Arc<russh::client::Handle<Handler>>,
    /// Asked for at most once.
    pub(super) server_process: OnceCell<Result<ServerProcess, String>>,
}

impl Link {
    pub(super) fn new(
        epoch: Epoch,
        lane: Lane,
        login_took: Duration,
        counters: Arc<SessionCounters>,
        session: Arc<Session>,
        handle: Arc<russh::client::Handle<Handler>>,
    ) -> Link {
        Link {
            epoch,
            lane,
            login_took,
            counters,
            over: session.over.clone(),
            session,
            handle,
            server_process: OnceCell::new(),
        }
    }

    /// Which attempt it came from.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Where it lives, and where the connections on it do best.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    pub(super) fn session_counters(&self) -> &Arc<SessionCounters> {
        &self.counters
    }

    /// How long the attempt took until it was logged in.
    pub(super) fn login_took(&self) -> Duration {
        self.login_took
    }

    /// Counts a connection of this rule as one that uses the link, until the claim is dropped.
    pub fn claim(&self, forward: ForwardId) -> Claim {
        Claim::new(&self.session, forward)
    }

    pub(super) fn retire(&self) {
        self.session.load.retire();
    }

    pub(super) fn is_retired(&self) -> bool {
        self.session.load.is_retired()
    }

    /// Whether a program reads so slowly that a new connection might wait for it.
    pub(super) fn is_sealed(&self) -> bool {
        self.session.load.is_sealed()
    }

    /// What waits in it for slow programs.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.session.load.buffered_bytes()
    }

    pub(super) fn room_for(&self, forward: ForwardId) -> Room {
        let room = self.session.load.room_for(forward);
        Room { is_used_by_others: room.is_used_by_others || self.session.remotes.are_there(), ..room }
    }

    /// Fills in what it carries now.
    pub(super) fn count(&self, status: &mut LinkStatus) {
        let load = &self.session.load;
        status.channels = u64::try_from(load.n_connections()).unwrap_or(u64::MAX);
        status.buffered_bytes = u64::try_from(load.buffered_bytes()).unwrap_or(u64::MAX);
        status.sealed = load.is_sealed();
        (status.bytes_sent, status.bytes_received) = load.bytes();
    }

    /// Is cancelled as soon as the session is over, for whatever reason. Relays on it end by reset.
    pub fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// Opens a channel to `target`, as the server sees it. `originator` is told to the server.
    ///
    /// Waits at most [`OPEN_TIMEOUT`] (15 s) and never delays another caller. A channel that the server opens
    /// after that is closed again.
    ///
    /// # Errors
    /// A [`Reason`] of stage `target` when the server could not or would not connect (`connection_refused`,
    /// `permission_denied`, `timed_out`, `unreachable`); the session stays usable. Stage `tcp` with
    /// `connection_lost` when the session is over.
    pub async fn open(&self, target: &Target, originator: (String, u16)) -> Result<Channel, Reason> {
        let (answer, answered) = oneshot::channel();
        // Ends with the server's answer or with the session. It outlives a caller who stops waiting, because
        // the answer may be a channel that somebody has to close.
        tokio::spawn(open_one(
            self.handle.clone(),
            self.session.clone(),
            self.counters.clone(),
            target.clone(),
            originator,
            answer,
        ));
        match tokio::time::timeout(OPEN_TIMEOUT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.lost()),
            Err(_) => Err(failure::target_timed_out(target)),
        }
    }

    /// Asks the server to listen. Connections come out of the [`RemoteListener`].
    ///
    /// Waits at most [`FORWARD_TIMEOUT`] (10 s). When the caller stops waiting, the server is told to stop too.
    ///
    /// # Errors
    /// A [`Reason`] of stage `forward` with `remote_port_in_use`, `remote_forward_refused` or `timed_out`;
    /// stage `tcp` with `connection_lost` when the session is over.
    pub async fn listen(self: &Arc<Self>, bind: &Bind) -> Result<RemoteListener, Reason> {
        let (answer, answered) = oneshot::channel();
        // Ends like the task of `open`, and for the same reason outlives its caller: a listener that
        // nobody takes is dropped, which tells the server.
        tokio::spawn(listen_one(self.clone(), bind.clone(), answer));
        match tokio::time::timeout(FORWARD_TIMEOUT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.lost()),
            Err(_) => Err(failure::listen_timed_out(bind)),
        }
    }

    fn lost(&self) -> Reason {
        let why = self.session.end().map_or_else(|| "the session is over".to_owned(), |reason| reason.message);
        Reason::new(Stage::Tcp, Code::ConnectionLost, why)
    }

    /// Tells the server to stop listening and waits for its answer, at most [`FORWARD_TIMEOUT`].
    pub(super) async fn stop_listening(self: Arc<Self>, place: Place) {
        let stopping = async {
            match &place {
                Place::Tcp(address, port) => self.handle.cancel_tcpip_forward(address.clone(), u32::from(*port)).await,
                Place::Unix(path) => self.handle.cancel_streamlocal_forward(path.clone()).await,
            }
        };
        tokio::select! {
            answer = tokio::time::timeout(FORWARD_TIMEOUT, stopping) => if !matches!(answer, Ok(Ok(()))) {
                tracing::debug!(?place, "the server did not confirm that it stopped listening");
            },
            () = self.over.cancelled() => {}
        }
        self.session.remotes.forget(&place);
    }

    /// A channel for a command.
    pub(super) async fn open_session_channel(&self) -> Result<russh::Channel<russh::client::Msg>, russh::Error> {
        self.handle.channel_open_session().await
    }

    /// How long the server takes to answer. `None` when the session ended meanwhile.
    pub(super) async fn ping(&self) -> Option<Duration> {
        let asked = std::time::Instant::now();
        let answered = self.handle.send_ping().await.is_ok() && !self.handle.is_closed();
        answered.then(|| asked.elapsed())
    }

    /// Tells the server goodbye. Does not wait for an answer, but for the session to take the message.
    pub(super) async fn say_goodbye(&self) {
        // An error means that there is nobody left to tell.
        let _ = self.handle.disconnect(russh::Disconnect::ByApplication, "", "").await;
    }
}

async fn open_one(
    handle: Arc<russh::client::Handle<Handler>>,
    session: Arc<Session>,
    counters: Arc<SessionCounters>,
    target: Target,
    (originator, originator_port): (String, u16),
    answer: oneshot::Sender<Result<Channel, Reason>>,
) {
    session.openings.begin(&target);
    let opening = async {
        match &target {
            Target::Tcp(host, port) => {
                let (port, originator_port) = (u32::from(*port), u32::from(originator_port));
                handle.channel_open_direct_tcpip(host.clone(), port, originator, originator_port).await
            }
            Target::Unix(path) => handle.channel_open_direct_streamlocal(path.clone()).await,
        }
    };
    let opened = tokio::select! {
        biased;
        opened = opening => opened,
        () = session.over.cancelled() => Err(russh::Error::Disconnect),
    };
    let result = match opened {
        Ok(channel) => Ok(Channel::new(channel, &session, &counters)),
        Err(russh::Error::ChannelOpenFailure(why)) => {
            let said = session.openings.description(&target).await;
            Err(failure::target_refused(&target, &why, &said))
        }
        Err(_) => Err(Reason::new(Stage::Tcp, Code::ConnectionLost, "the session is over")),
    };
    session.openings.answered(&target);
    // Nobody waits any more: dropping a channel closes it.
    let _ = answer.send(result);
}

async fn listen_one(link: Arc<Link>, bind: Bind, answer: oneshot::Sender<Result<RemoteListener, Reason>>) {
    let over = link.over.clone();
    let listening = async {
        match &bind {
            Bind::Tcp(address, 0) => listen_at_a_free_port(&link, wire_address(address.as_str()), &bind).await,
            Bind::Tcp(address, port) => {
                listen_at(&link, Place::Tcp(wire_address(address.as_str()).to_owned(), *port), &bind).await
            }
            Bind::Unix(path) => listen_at(&link, Place::Unix(path.clone()), &bind).await,
        }
    };
    let result = tokio::select! {
        biased;
        result = listening => result,
        () = over.cancelled() => return,
    };
    let result = result.map(|(place, arrivals)| RemoteListener::new(link, place, arrivals));
    let _ = answer.send(result);
}

/// OpenSSH's word for «all addresses» in a request is the empty one.
fn wire_address(address: &str) -> &str {
    if address == "*" { "" } else { address }
}

type Standing = (Place, mpsc::Receiver<Arrival>);

/// Reserves the place before the server is asked, so that its first connection finds a listener.
async fn listen_at(link: &Arc<Link>, place: Place, bind: &Bind) -> Result<Standing, Reason> {
    let remotes = &link.session.remotes;
    let arrivals = match remotes.reserve(&place).await {
        Ok(arrivals) => arrivals,
        Err(AlreadyAsked) => return Err(failure::remote_port_in_use(bind)),
    };
    link.session.load.is_to_listen();
    let answer = match &place {
        // A port that was named is not repeated in the answer: russh says 0.
        Place::Tcp(address, port) => link.handle.tcpip_forward(address.clone(), u32::from(*port)).await.map(|_| ()),
        Place::Unix(path) => link.handle.streamlocal_forward(path.clone()).await,
    };
    match answer {
        Ok(()) => Ok((place, arrivals)),
        Err(error) => {
            let is_taken = matches!(error, russh::Error::RequestDenied) && is_port_taken(link, &place).await;
            remotes.forget(&place);
            Err(if is_taken { failure::remote_port_taken(bind) } else { failure::listen_refused(bind, &error) })
        }
    }
}

/// A server never says why it refuses to listen. One that would listen at any free port does not mind
/// listening, so it is this port that it cannot have. Ports below 1024 may also need rights there.
async fn is_port_taken(link: &Link, place: &Place) -> bool {
    let Place::Tcp(address, 1024..) = place else { return false };
    let Ok(free) = link.handle.tcpip_forward(address.clone(), 0).await else { return false };
    // Nobody was told of the free port; whoever finds it in this moment is refused.
    let _ = link.handle.cancel_tcpip_forward(address.clone(), free).await;
    free != 0
}

async fn listen_at_a_free_port(link: &Arc<Link>, address: &str, bind: &Bind) -> Result<Standing, Reason> {
    let remotes = &link.session.remotes;
    remotes.asks_for_a_free_port(address);
    link.session.load.is_to_listen();
    let answer = link.handle.tcpip_forward(address, 0).await;
    let port = answer.as_ref().ok().and_then(|port| u16::try_from(*port).ok()).filter(|port| *port != 0);
    match (remotes.got_a_free_port(address, port), port, answer) {
        (Some(arrivals), Some(port), _) => Ok((Place::Tcp(address.to_owned(), port), arrivals)),
        (_, _, Err(error)) => Err(failure::listen_refused(bind, &error)),
        (_, _, Ok(_)) => Err(Reason::new(
            Stage::Forward,
            Code::RemoteForwardRefused,
            "the server listens at a free port and does not say which",
        )),
    }
}
