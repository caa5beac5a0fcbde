//! One accepted connection: what it wants, the session that carries it, the channel, and how it ends.
//!
//! It begins on its rule's lane. Its bytes are carried on the lane of its link, which is another one for further links.

use std::sync::Arc;
use std::time::Duration;

use alknet_core::{Epoch, Listen};
use alknet_proto::{Code, ForwardId, OnSuspend, Reason, Stage, Target};
use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::local::LocalStream;
use super::relay::{End, Listens, Relay};
use super::socks::{Handshake, Progress, Request};
use super::spill::DEFAULT_LIMIT_BYTES;
use crate::counters::ForwardCounters;
use crate::lanes::Lane;
use crate::ssh::{ChannelReader, ChannelWriter, Link, NoLink, Pool, Wish};

/// How long a SOCKS client may take to say what it wants.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of a handshake at once.
const HANDSHAKE_CHUNK_BYTES: usize = 512;
/// Connections of one rule that may wait for its session.
pub const MAX_HELD: usize = 64;
/// The least time that a connection of a lazy rule waits: it is what makes the session connect.
const LAZY_HOLD: Duration = Duration::from_secs(30);

/// What the connections of one rule share.
pub(super) struct Rule {
    pub(super) forward: ForwardId,
    /// What to connect to; `None` where each SOCKS client says it.
    pub(super) target: Option<Target>,
    pub(super) counters: Arc<ForwardCounters>,
    /// Ends every connection by a reset.
    pub(super) cut: CancellationToken,
    pool: Arc<Pool>,
    /// How long a connection waits for a session; `None` is not at all.
    hold: Option<Duration>,
    held: Semaphore,
}

impl Rule {
    pub(super) fn new(
        listen: &Listen,
        pool: Arc<Pool>,
        counters: Arc<ForwardCounters>,
        cut: CancellationToken,
    ) -> Self {
        let is_lazy = listen.tells_use;
        Rule {
            forward: listen.forward,
            target: listen.forwarding.target().cloned(),
            counters,
            cut,
            pool,
            hold: match listen.on_suspend {
                OnSuspend::Hold(limit) if is_lazy => Some(limit.max(LAZY_HOLD)),
                OnSuspend::Hold(limit) => Some(limit),
                OnSuspend::Refuse if is_lazy => Some(LAZY_HOLD),
                OnSuspend::Refuse => None,
            },
            held: Semaphore::new(MAX_HELD),
        }
    }

    /// Says how a connection ended, once, and counts it if it was refused.
    pub(super) fn note(&self, end: &End) {
        let forward = self.forward;
        match end {
            End::Whole => tracing::trace!(%forward, "connection ended"),
            End::TargetLeft => tracing::debug!(%forward, "connection ended by its target alone"),
            End::LocalFailed(error) => tracing::debug!(%forward, %error, "connection ended by the local program"),
            End::Stalled => {
                tracing::warn!(%forward, "connection reset: its program took nothing, and the whole session waited for it");
            }
            End::CutShort => tracing::debug!(%forward, "connection cut short"),
            End::NotUnderstood(why) => tracing::debug!(%forward, why, "SOCKS client sent away"),
            End::Refused { reason, .. } => {
                self.counters.refuse(reason.clone());
                tracing::debug!(%forward, %reason, "connection refused");
            }
        }
    }
}

/// Carries one connection from its acceptance to its end.
pub(super) async fn serve(local: LocalStream, rule: Arc<Rule>) {
    let _open = rule.counters.connection();
    let opened = tokio::select! {
        biased;
        () = rule.cut.cancelled() => Err(End::CutShort),
        opened = open_wanted(&local, &rule) => opened,
    };
    match opened {
        Ok((far, early)) => Relayed { local, far, early, listens: Listens::Here }.carry(rule).await,
        Err(end) => {
            rule.note(&end);
            end.pass_on(local);
        }
    }
}

/// The other end of a connection: a channel, and the link that carries it.
pub(super) struct FarEnd {
    pub(super) reader: ChannelReader,
    pub(super) writer: ChannelWriter,
    /// When the link is over.
    pub(super) over: CancellationToken,
    /// Where the link lives.
    pub(super) lane: Lane,
}

/// A connection whose two ends are there.
pub(super) struct Relayed {
    pub(super) local: LocalStream,
    pub(super) far: FarEnd,
    /// What the side that listens has sent behind its SOCKS request.
    pub(super) early: Bytes,
    pub(super) listens: Listens,
}

impl Relayed {
    /// Carries its bytes until it ends, on the lane of its link. Dropping the future ends it.
    pub(super) async fn carry(mut self, rule: Arc<Rule>) {
        if self.far.lane.number() == rule.pool.home.number() {
            return self.carry_here(&rule).await;
        }
        let lane = self.far.lane.clone();
        let carried = lane.spawn(async move {
            match self.local.moved_here() {
                Ok(local) => {
                    self.local = local;
                    self.carry_here(&rule).await;
                }
                Err(error) => rule.note(&End::LocalFailed(error)),
            }
        });
        if let Err(error) = AbortOnDropHandle::new(carried).await
            && let Ok(panic) = error.try_into_panic()
        {
            // Who owns this task tells of it.
            std::panic::resume_unwind(panic);
        }
    }

    async fn carry_here(self, rule: &Rule) {
        let Relayed { local, far, early, listens } = self;
        let relay = Relay {
            local: &local,
            early,
            listens,
            counters: &rule.counters,
            over: &far.over,
            spill_bytes: DEFAULT_LIMIT_BYTES,
        };
        let end = tokio::select! {
            biased;
            () = rule.cut.cancelled() => End::CutShort,
            end = relay.run(far.reader, far.writer) => end,
        };
        rule.note(&end);
        end.pass_on(local);
    }
}

/// Opens a channel to what the connection wants, and says what came behind its SOCKS request.
async fn open_wanted(local: &LocalStream, rule: &Rule) -> Result<(FarEnd, Bytes), End> {
    match &rule.target {
        Some(target) => Ok((open(local, target, rule).await?, Bytes::new())),
        None => open_asked(local, rule).await,
    }
}

async fn open_asked(local: &LocalStream, rule: &Rule) -> Result<(FarEnd, Bytes), End> {
    let request = match timeout(HANDSHAKE_TIMEOUT, ask(local)).await {
        Ok(asked) => asked?,
        Err(_) => return Err(End::NotUnderstood("its handshake takes too long")),
    };
    match open(local, &request.target, rule).await {
        Ok(far) => {
            local.write_all(request.granted()).await.map_err(End::LocalFailed)?;
            Ok((far, request.early))
        }
        Err(End::Refused { reason, .. }) => {
            local.write_all(request.refused(reason.code)).await.map_err(End::LocalFailed)?;
            Err(End::Refused { reason, is_answered: true })
        }
        Err(end) => Err(end),
    }
}

/// Asks a SOCKS client what it wants.
async fn ask(local: &LocalStream) -> Result<Request, End> {
    let mut handshake = Handshake::default();
    let mut bytes = BytesMut::new();
    loop {
        match handshake.feed(&bytes.split()) {
            Progress::NeedMore => {
                bytes.reserve(HANDSHAKE_CHUNK_BYTES);
                local.readable().await.map_err(End::LocalFailed)?;
                match local.try_read(&mut bytes) {
                    Ok(0) => return Err(End::NotUnderstood("it ended within the handshake")),
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(End::LocalFailed(error)),
                }
            }
            Progress::Reply(reply) => local.write_all(reply).await.map_err(End::LocalFailed)?,
            Progress::Asked(request) => return Ok(request),
            Progress::Refused { reply, why } => {
                local.write_all(reply).await.map_err(End::LocalFailed)?;
                return Err(End::NotUnderstood(why));
            }
        }
    }
}

/// Opens a channel on the session, waiting for one if the rule says so. What the client sends meanwhile stays
/// with the system, so that nothing is lost when the session ends in between and the next one is taken.
async fn open(local: &LocalStream, target: &Target, rule: &Rule) -> Result<FarEnd, End> {
    let hold = rule.hold.map(|limit| Instant::now() + limit);
    let mut lost = Vec::new();
    loop {
        let link = link_for(local, rule, &lost, hold).await?;
        let claim = link.claim(rule.forward);
        match link.open(target, local.originator()).await {
            Ok(channel) => {
                channel.hold(claim);
                let (reader, writer) = channel.split();
                return Ok(FarEnd { reader, writer, over: link.over().clone(), lane: link.lane().clone() });
            }
            Err(reason) if is_lost(&reason) => lost.push(link.epoch()),
            Err(reason) => return Err(End::Refused { reason, is_answered: false }),
        }
    }
}

/// Whether it was not the target but the session.
pub(super) fn is_lost(reason: &Reason) -> bool {
    reason.stage == Stage::Tcp && reason.code == Code::ConnectionLost
}

/// The link to use, or the next one that comes until `hold`. Never one of the `lost` ones.
async fn link_for(local: &LocalStream, rule: &Rule, lost: &[Epoch], hold: Option<Instant>) -> Result<Arc<Link>, End> {
    let wish = Wish { forward: rule.forward, lost, hold, held: &rule.held };
    let none = tokio::select! {
        biased;
        link = rule.pool.link_for(wish) => match link {
            Ok(link) => return Ok(link),
            Err(none) => none,
        },
        () = local.cut_by_program() => {
            return Err(End::LocalFailed(std::io::ErrorKind::ConnectionReset.into()));
        }
    };
    let (code, message) = match none {
        NoLink::Down => (Code::ConnectionLost, "the session is down"),
        NoLink::Failed => (Code::ConnectionLost, "the session failed and does not come back by itself"),
        NoLink::TooManyWait => (Code::ConnectionLost, "too many connections wait for the session"),
        NoLink::NotInTime => (Code::ConnectionLost, "the session did not come in time"),
        NoLink::Ending => (Code::DaemonStopping, "the daemon is ending"),
    };
    Err(End::Refused { reason: Reason::new(Stage::Tcp, code, message), is_answered: false })
}
