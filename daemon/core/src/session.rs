//! One destination's session: its phase, and when it tries again.

use std::collections::VecDeque;

use alknet_proto::history::{SessionChange, SessionDetail};
use alknet_proto::status::LinkRole;
use alknet_proto::{Code, Destination, Reason, SessionState, SessionStatus, Stage};

use crate::backoff;
use crate::cause::may_cure_itself;
use crate::event::{Epoch, Peer};
use crate::extra::{Extras, Live, link_status};
use crate::limits::{AT_ONCE, FREE_LOSSES, LOSS_WINDOW, REMEMBERED_CHANGES, STABLE_AFTER};
use crate::moment::Moment;

/// Where a session is in its life. A deadline lives in the phase it ends; leaving the phase cancels it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Nothing is under way. `by_person`: somebody disconnected it, so only somebody brings it back.
    Idle { by_person: bool },
    /// An attempt is under way. `after` is why there had to be one, so that the status does not flicker.
    Connecting { epoch: Epoch, deadline: Moment, after: Option<Reason> },
    /// Logged in.
    Active { epoch: Epoch, live: Live },
    /// Logged in, and nobody wants it since `since`. It ends at `until`, or not by itself.
    Unwanted { epoch: Epoch, live: Live, since: Moment, until: Option<Moment> },
    /// Tries again by itself.
    Suspended { cause: Reason, retry_at: Moment },
    /// Tries again when a person asks.
    Failed { cause: Reason },
}

/// One destination's session, across its reconnects.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) phase: Phase,
    /// Tries that failed since the last login.
    pub(crate) failures: u32,
    /// The place in the backoff: it goes back to the start only when a session proved stable.
    place: u32,
    /// When the last losses were, within [`LOSS_WINDOW`].
    losses: VecDeque<Moment>,
    /// Links beside the one of the phase.
    pub(crate) extras: Extras,
    /// What watchers were last told.
    pub(crate) shown: Shown,
    /// Connections were told that it does not come back by itself.
    told_failed: bool,
    /// Its next try waits for the destination's budget.
    pub(crate) is_held: bool,
    /// What they were told lately, the oldest first.
    pub(crate) history: VecDeque<SessionChange>,
}

/// A session as watchers know it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) state: SessionState,
    pub(crate) reason: Option<Reason>,
    pub(crate) since: Moment,
}

impl Session {
    pub(crate) fn new(now: Moment) -> Self {
        Session {
            phase: Phase::Idle { by_person: false },
            failures: 0,
            place: 0,
            losses: VecDeque::new(),
            extras: Extras::default(),
            shown: Shown { state: SessionState::Idle, reason: None, since: now },
            told_failed: false,
            is_held: false,
            history: VecDeque::new(),
        }
    }

    /// The attempt that is logged in, also where nobody wants it.
    pub(crate) fn active_epoch(&self) -> Option<Epoch> {
        match &self.phase {
            Phase::Active { epoch, .. } | Phase::Unwanted { epoch, .. } => Some(*epoch),
            Phase::Idle { .. } | Phase::Connecting { .. } | Phase::Suspended { .. } | Phase::Failed { .. } => None,
        }
    }

    /// How many links it has, those that are not logged in and those on their way out included.
    pub(crate) fn n_links(&self) -> usize {
        self.extras.n_links() + usize::from(self.open_epoch().is_some())
    }

    /// Whether it comes back only when a person acts, if that is news to connections.
    pub(crate) fn failure_news(&mut self) -> Option<bool> {
        let has_failed = matches!(self.phase, Phase::Failed { .. });
        let is_news = has_failed != self.told_failed;
        self.told_failed = has_failed;
        is_news.then_some(has_failed)
    }

    /// The attempt that is under way or logged in.
    pub(crate) fn open_epoch(&self) -> Option<Epoch> {
        match &self.phase {
            Phase::Connecting { epoch, .. } | Phase::Active { epoch, .. } | Phase::Unwanted { epoch, .. } => {
                Some(*epoch)
            }
            Phase::Idle { .. } | Phase::Suspended { .. } | Phase::Failed { .. } => None,
        }
    }

    /// Whether this attempt is under way for it and not logged in.
    pub(crate) fn is_trying(&self, epoch: Epoch) -> bool {
        matches!(&self.phase, Phase::Connecting { epoch: current, .. } if *current == epoch)
            || self.extras.is_attempt(epoch)
    }

    /// Whether a wanted session has to start an attempt now.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        match &self.phase {
            Phase::Idle { by_person } => !by_person,
            Phase::Suspended { retry_at, .. } => retry_at.steady <= now.steady,
            Phase::Connecting { .. } | Phase::Active { .. } | Phase::Unwanted { .. } | Phase::Failed { .. } => false,
        }
    }

    /// When something has to happen if nothing else does.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let phase = match &self.phase {
            Phase::Connecting { deadline, .. } => Some(*deadline),
            Phase::Suspended { retry_at, .. } => Some(*retry_at),
            Phase::Unwanted { until, .. } => *until,
            Phase::Idle { .. } | Phase::Active { .. } | Phase::Failed { .. } => None,
        };
        self.extras.deadlines().chain(phase).min_by_key(|at| at.steady)
    }

    pub(crate) fn start_attempt(&mut self, epoch: Epoch, deadline: Moment) {
        self.phase = Phase::Connecting { epoch, deadline, after: self.cause().cloned() };
        self.is_held = false;
    }

    pub(crate) fn connected(&mut self, epoch: Epoch, peer: Peer, now: Moment) {
        if matches!(&self.phase, Phase::Connecting { epoch: current, .. } if *current == epoch) {
            self.failures = 0;
            self.phase = Phase::Active { epoch, live: Live::new(peer, now) };
        }
    }

    /// Whether connections may get a further link: it needs a first one, and a login that asks nobody.
    pub(crate) fn may_have_more(&self) -> bool {
        matches!(&self.phase, Phase::Active { live, .. } if !live.peer.needs_person)
    }

    pub(crate) fn note_use(&mut self, used: Epoch, in_use: bool, now: Moment) {
        match &mut self.phase {
            Phase::Active { epoch, live } | Phase::Unwanted { epoch, live, .. } if *epoch == used => {
                live.note_use(in_use, now);
            }
            Phase::Idle { .. }
            | Phase::Connecting { .. }
            | Phase::Active { .. }
            | Phase::Unwanted { .. }
            | Phase::Suspended { .. }
            | Phase::Failed { .. } => self.extras.note_use(used, in_use, now),
        }
    }

    /// An attempt failed or the first link ended; a further one takes its place. News of another attempt changes nothing.
    pub(crate) fn lost(&mut self, epoch: Epoch, cause: Reason, now: Moment, jitter: f64) {
        if self.open_epoch() != Some(epoch) {
            return;
        }
        let at_once = match &self.phase {
            Phase::Active { live, .. } => {
                let since = live.since;
                if let Some((epoch, live)) = self.extras.take_open() {
                    self.phase = Phase::Active { epoch, live };
                    return;
                }
                self.note_loss(since, now)
            }
            // Nobody misses it.
            Phase::Unwanted { .. } => {
                self.rest(now);
                return;
            }
            Phase::Idle { .. } | Phase::Connecting { .. } | Phase::Suspended { .. } | Phase::Failed { .. } => {
                self.failures = self.failures.saturating_add(1);
                false
            }
        };
        self.phase = if !may_cure_itself(cause.code) {
            Phase::Failed { cause }
        } else if at_once {
            Phase::Suspended { cause, retry_at: now + AT_ONCE }
        } else {
            let delay = backoff::delay(cause.code, self.place, jitter);
            self.place = self.place.saturating_add(1);
            Phase::Suspended { cause, retry_at: now + delay }
        };
    }

    /// A session that proved stable starts the backoff anew, however it ended. Tells whether it did.
    fn note_life(&mut self, since: Moment, now: Moment) -> bool {
        let was_stable = STABLE_AFTER <= now.since(since);
        if was_stable {
            self.place = 0;
        }
        was_stable
    }

    /// Counts a loss of a live session; tells whether the next try comes at once.
    fn note_loss(&mut self, since: Moment, now: Moment) -> bool {
        while self.losses.front().is_some_and(|loss| LOSS_WINDOW < now.since(*loss)) {
            self.losses.pop_front();
        }
        self.losses.push_back(now);
        let was_stable = self.note_life(since, now);
        let is_free = self.losses.len() <= FREE_LOSSES;
        // The newest ones are enough to know whether there were more than the free ones.
        while FREE_LOSSES < self.losses.len() {
            self.losses.pop_front();
        }
        was_stable || is_free
    }

    /// It is not to be there now. Tells what has to be ended.
    pub(crate) fn rest(&mut self, now: Moment) -> Vec<Epoch> {
        let mut open = self.extras.end_all();
        open.extend(self.open_epoch());
        if let Phase::Active { live, .. } | Phase::Unwanted { live, .. } = &self.phase {
            let since = live.since;
            self.note_life(since, now);
        }
        if !matches!(self.phase, Phase::Idle { .. }) {
            self.phase = Phase::Idle { by_person: false };
            self.failures = 0;
            self.is_held = false;
        }
        open
    }

    /// A person wants it to be down. Tells what has to be ended.
    pub(crate) fn disconnect(&mut self, now: Moment) -> Vec<Epoch> {
        let open = self.rest(now);
        self.phase = Phase::Idle { by_person: true };
        open
    }

    /// A person wants it now: whatever it was waiting for, it is due. Tells whether it was waiting.
    pub(crate) fn retry(&mut self, now: Moment) -> bool {
        match &mut self.phase {
            Phase::Suspended { retry_at, .. } => *retry_at = now,
            Phase::Failed { cause } => self.phase = Phase::Suspended { cause: cause.clone(), retry_at: now },
            Phase::Idle { by_person } if *by_person => *by_person = false,
            Phase::Idle { .. } | Phase::Connecting { .. } | Phase::Active { .. } | Phase::Unwanted { .. } => {
                return false;
            }
        }
        true
    }

    /// Why it is not active, also while a try to cure it is under way.
    pub(crate) fn cause(&self) -> Option<&Reason> {
        match &self.phase {
            Phase::Suspended { cause, .. } | Phase::Failed { cause } => Some(cause),
            Phase::Connecting { after, .. } => after.as_ref(),
            Phase::Idle { .. } | Phase::Active { .. } | Phase::Unwanted { .. } => None,
        }
    }

    pub(crate) fn retry_at(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Suspended { retry_at, .. } => Some(*retry_at),
            Phase::Idle { .. }
            | Phase::Connecting { .. }
            | Phase::Active { .. }
            | Phase::Unwanted { .. }
            | Phase::Failed { .. } => None,
        }
    }

    /// The state and the reason that people see.
    pub(crate) fn state(&self) -> (SessionState, Option<Reason>) {
        match &self.phase {
            Phase::Idle { by_person: false } | Phase::Unwanted { .. } => (SessionState::Idle, None),
            Phase::Idle { by_person: true } => (SessionState::Idle, Some(disconnected())),
            Phase::Connecting { after, .. } => (SessionState::Connecting, after.as_ref().map(|cause| self.told(cause))),
            Phase::Active { .. } => (SessionState::Active, None),
            Phase::Suspended { cause, .. } => (SessionState::Suspended, Some(self.told(cause))),
            Phase::Failed { cause } if cause.code == Code::NeedsInput => {
                (SessionState::NeedsInput, Some(cause.clone()))
            }
            Phase::Failed { cause } => (SessionState::Failed, Some(cause.clone())),
        }
    }

    /// Keeps a change for `show`; the oldest one goes.
    pub(crate) fn remember(&mut self, change: SessionChange) {
        self.history.push_back(change);
        if REMEMBERED_CHANGES < self.history.len() {
            self.history.pop_front();
        }
    }

    /// As it is, with its last changes.
    pub(crate) fn detail(&self, destination: &Destination) -> SessionDetail {
        SessionDetail { session: self.status(destination), history: self.history.iter().cloned().collect() }
    }

    /// What clients see; the counters are filled in by whoever counts.
    pub(crate) fn status(&self, destination: &Destination) -> SessionStatus {
        let (state, reason) = self.state();
        let first = match &self.phase {
            Phase::Active { epoch, live } | Phase::Unwanted { epoch, live, .. } => Some((*epoch, live)),
            Phase::Idle { .. } | Phase::Connecting { .. } | Phase::Suspended { .. } | Phase::Failed { .. } => None,
        };
        let peer = first.map(|(_, live)| &live.peer);
        let first = first.map(|(epoch, live)| link_status(epoch, LinkRole::First, live.since));
        SessionStatus {
            destination: destination.clone(),
            state,
            reason,
            since: self.shown.since.wall,
            attempt: self.failures,
            retry_at: self.retry_at().map(|moment| moment.wall),
            peer: peer.map(|peer| peer.address.clone()),
            user: peer.map(|peer| peer.user.clone()),
            server_version: peer.map(|peer| peer.server_version.clone()),
            algorithms: peer.map(|peer| peer.algorithms.clone()),
            round_trip_ms: None,
            channels: 0,
            bytes_sent: 0,
            bytes_received: 0,
            waiting: 0,
            links: first.into_iter().chain(self.extras.status()).collect(),
            idle_until: self.idle_until().map(|moment| moment.wall),
        }
    }
}

/// Why the rules of a session that a person disconnected are not active.
pub(crate) fn disconnected() -> Reason {
    Reason::new(Stage::Tcp, Code::Disconnected, "the session was disconnected by `alknetctl disconnect`")
        .with_hint("alknetctl retry brings it back")
}
