//! One attempt: brings a session up, holds it, and says when it is over.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use alknet_core::{Epoch, Event, Peer};
use alknet_proto::{Code, Destination, Reason, Stage};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::config::Server;
use super::door::Door;
use super::link::Link;
use super::lookout::Evidence;
use super::pool::Pool;
use super::reach::{Carrier, reach, unblocked};
use super::session::{Keepalive, Session};
use super::settings::Settings;
use crate::lanes::Lane;

/// How long a goodbye may take before the connection is cut.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a server may take to show that it is there after the machine slept or its addresses changed.
pub const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// The same where this machine lost the address that the server answers to. It may come back, as when it is renewed.
const NO_ADDRESS_LIMIT: Duration = Duration::from_secs(2);

/// How often it is told at most whether connections use a link.
const USE_INTERVAL: Duration = Duration::from_millis(200);

/// How long it takes until a link that should have been replaced says so again.
const RENEW_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// One try to connect, and the session that comes of it.
pub struct Attempt {
    /// Where it runs.
    pub lane: Lane,
    /// Where it goes.
    pub destination: Destination,
    /// Its number; its news carries it.
    pub epoch: Epoch,
    /// Store the host key of a server that is not known yet.
    pub accept_new: bool,
    /// How to connect.
    pub settings: Arc<Settings>,
    /// Where the live link is put, and taken away when it is over.
    pub pool: Arc<Pool>,
    /// Where its news goes.
    pub inbox: mpsc::Sender<Event>,
    /// Ends the attempt or the session, in whatever phase it is.
    pub cancel: CancellationToken,
    /// Asks to find out at once whether the server is still there: it has [`PROBE_LIMIT`] (5 s) to answer.
    pub probe: Arc<Notify>,
    /// Lets it go on to the server that it knocked for.
    pub admission: Arc<Notify>,
    /// What it goes by, for whoever looks out for a change of it.
    pub evidence: Arc<Evidence>,
}

impl Attempt {
    /// Connects, logs in, and stays until the session is over or is cancelled.
    ///
    /// Reports `Connected` at most once and then `Lost` exactly once, with code `disconnected` when it was
    /// cancelled. By then the link is taken away and every relay on it was told. A panic counts as a loss.
    pub async fn run(self) {
        let session = Arc::new(Session::new(self.pool.eased.clone()));
        session.load.wear.limit(self.settings.renew_after_bytes);
        session.load.limit_busy(self.settings.busy_channels);
        let cut = CancellationToken::new();
        let (destination, epoch) = (self.destination.clone(), self.epoch);
        let (pool, inbox) = (self.pool.clone(), self.inbox.clone());
        // Its handle is awaited right here, so it ends before this does.
        let living = tokio::spawn(self.live(session.clone(), cut.clone()));
        let reason = living.await.unwrap_or_else(|panic| {
            tracing::error!(session = %destination, epoch = epoch.0, %panic, "session ended by a defect");
            Reason::new(Stage::Tcp, Code::Internal, "the session ended by a defect of alknetd")
        });
        pool.take_away(epoch);
        session.over.cancel();
        cut.cancel();
        // Nobody listens while the daemon ends.
        let _ = inbox.send(Event::Lost { destination, epoch, reason }).await;
    }

    async fn live(self, session: Arc<Session>, cut: CancellationToken) -> Reason {
        let connected = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return cancelled(),
            connected = self.connect(&session, &cut) => connected,
        };
        let (link, peer, carrier) = match connected {
            Ok(connected) => connected,
            Err(reason) => return reason,
        };
        self.pool.add(link.clone());
        let event = Event::Connected { destination: self.destination.clone(), epoch: self.epoch, peer };
        let _ = self.inbox.send(event).await;

        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {
                self.pool.take_away(self.epoch);
                session.over.cancel();
                // The server may be gone: then there is nobody to be polite to.
                let _ = timeout(GOODBYE_TIMEOUT, link.say_goodbye()).await;
                cancelled()
            }
            () = session.over.cancelled() => carrier.cause(session.end().unwrap_or_else(lost)).await,
            () = carrier.ended() => {
                self.pool.take_away(self.epoch);
                session.over.cancel();
                carrier.cause(lost()).await
            }
            reason = self.keep_asking(&link) => reason,
            never = self.tell_use(&session) => match never {},
            never = self.tell_wear(&session) => match never {},
        }
    }

    async fn connect(
        &self,
        session: &Arc<Session>,
        cut: &CancellationToken,
    ) -> Result<(Arc<Link>, Peer, Carrier), Reason> {
        let began = Instant::now();
        let server = self.resolve().await?;
        let reached = reach(&server, self.accept_new, session, &self.door(), cut).await;
        if let Some(keys) = session.agent() {
            self.evidence.note_agent(keys);
        }
        let reached = reached?;
        let (counters, handle) = (self.pool.counters.clone(), Arc::new(reached.handle));
        let link = Link::new(self.epoch, self.lane.clone(), began.elapsed(), counters, session.clone(), handle);
        Ok((Arc::new(link), peer(session, reached.address, server.user), reached.carrier))
    }

    /// Tells whether connections use the link, each time that changes, and the latest in any case.
    async fn tell_use(&self, session: &Session) -> Infallible {
        let mut told = false;
        loop {
            let in_use = 0 < session.load.n_connections();
            if in_use == told {
                session.load.use_changed.notified().await;
                continue;
            }
            told = in_use;
            let event = Event::LinkInUse { destination: self.destination.clone(), epoch: self.epoch, in_use };
            let _ = self.inbox.send(event).await;
            tokio::time::sleep(USE_INTERVAL).await;
        }
    }

    /// Tells that the link should be replaced, until it was.
    async fn tell_wear(&self, session: &Session) -> Infallible {
        loop {
            session.load.wear.is_over(self.settings.renew_after).await;
            if !session.load.is_retired() {
                self.tell_worn("it has used one key for long enough").await;
            }
            // The one that was to replace it may have failed.
            tokio::time::sleep(RENEW_AGAIN_AFTER).await;
        }
    }

    async fn tell_worn(&self, why: &str) {
        tracing::info!(session = %self.destination, epoch = self.epoch.0, why, "session is to be replaced");
        let event = Event::Worn { destination: self.destination.clone(), epoch: self.epoch };
        let _ = self.inbox.send(event).await;
    }

    fn door(&self) -> Door {
        Door {
            destination: self.destination.clone(),
            epoch: self.epoch,
            inbox: self.inbox.clone(),
            admission: self.admission.clone(),
        }
    }

    async fn resolve(&self) -> Result<Server, Reason> {
        let (destination, settings, evidence) =
            (self.destination.clone(), self.settings.clone(), self.evidence.clone());
        unblocked(move || evidence.resolve(&destination, &settings)).await
    }

    /// Measures the round trip now and then. Returns when the server stopped answering: russh's own keepalive
    /// does not notice that while its loop is busy with a channel that nobody reads or a socket that is full.
    async fn keep_asking(&self, link: &Link) -> Reason {
        let Keepalive { interval, count } = link.session.keepalive();
        if interval.is_zero() {
            return std::future::pending().await;
        }
        // From the last sign of life on, at most interval × count passes until the end of the session.
        let usual = interval * count.saturating_sub(1).max(1);
        let mut is_probe = false;
        loop {
            let mut asked = Instant::now();
            // A question that waits here says nothing about the way to the server.
            let (is_held_up, n_hold_ups) = (link.session.is_held_up(), link.session.n_hold_ups());
            let mut answer = pin!(link.ping());
            let answered = loop {
                let patience = match is_probe {
                    true if link.session.has_no_address() => NO_ADDRESS_LIMIT.min(usual),
                    true => PROBE_LIMIT.min(usual),
                    false => usual,
                };
                // The answer stands behind everything that is on its way: a slow line is not a dead one.
                let deadline = asked.max(link.session.last_heard.at()) + patience;
                tokio::select! {
                    biased;
                    answered = &mut answer => break answered,
                    () = self.probe.notified() => (is_probe, asked) = (true, Instant::now()),
                    () = sleep_until(deadline) => {
                        let was_heard = deadline < link.session.last_heard.at() + patience;
                        if link.session.is_held_up() {
                            // russh stands still, so nothing can be heard. Whoever holds up others has a limit of its own.
                            link.session.last_heard.is_now();
                        } else if !was_heard {
                            let silence = if is_probe { patience } else { interval * count };
                            let message = format!("the server has not answered for {} s", silence.as_secs_f64());
                            return Reason::new(Stage::Tcp, Code::KeepaliveLost, message)
                                .with_hint("the network between here and the server broke it; it is connected to again");
                        }
                    }
                }
            };
            match answered {
                Some(round_trip) => {
                    if !is_held_up && link.session.n_hold_ups() == n_hold_ups {
                        self.pool.counters.set_round_trip(round_trip);
                    }
                    if is_probe && link.session.leaves_elsewhere() {
                        self.tell_worn("this machine would reach its server from another address").await;
                    }
                }
                // The session is over, and its own end says why.
                None => std::future::pending().await,
            }
            is_probe = tokio::time::timeout(interval, self.probe.notified()).await.is_ok();
        }
    }
}

fn peer(session: &Session, address: String, user: String) -> Peer {
    let learned = session.learned();
    let (server_version, algorithms) = match learned {
        Some(learned) => (learned.server_version, learned.algorithms),
        None => Default::default(),
    };
    let needs_person = session.needed_person.load(Relaxed);
    Peer { address, user, server_version, algorithms, needs_person }
}

fn lost() -> Reason {
    Reason::new(Stage::Tcp, Code::ConnectionLost, "the connection to the server was lost")
}

fn cancelled() -> Reason {
    Reason::new(Stage::Tcp, Code::Disconnected, "the session was ended here")
}
