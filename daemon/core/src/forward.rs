//! One forward: what was asked for, its listener, and the status that follows from both and its session.

use std::collections::VecDeque;
use std::time::Duration;

use alknet_proto::status::{Change, Ends};
use alknet_proto::{Bind, ForwardId, ForwardName, ForwardSpec, ForwardStats, ForwardStatus, Reason, Status};

use crate::event::Epoch;
use crate::moment::Moment;
use crate::select::Subject;
use crate::session::{self, Phase, Session};

/// How far a forward is on its way into the rules, or out of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Its `add-forward` waits for the listener. Nobody sees it yet.
    New,
    /// Its `add-forward` waits for the disk. Nobody sees it yet.
    Entering,
    /// A rule.
    Kept,
    /// Its `remove-forward` waits for the disk. It still works.
    Leaving,
    /// A rule that was removed and waits for its listener to close. It is in no list; watchers hear of it then.
    Ending,
    /// Its `add-forward` failed, and it waits for its listener to close. Nobody ever saw it.
    Failed,
}

/// What is open, or should be, for one forward.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Listener {
    Closed,
    Opening {
        epoch: Epoch,
        on_session: Option<Epoch>,
        deadline: Moment,
    },
    Open {
        epoch: Epoch,
        on_session: Option<Epoch>,
    },
    Closing {
        epoch: Epoch,
        on_session: Option<Epoch>,
        deadline: Moment,
    },
    /// Tries again at `retry_at`, or when a person asks.
    Refused {
        reason: Reason,
        on_session: Option<Epoch>,
        retry_at: Option<Moment>,
    },
}

/// Whether connections come, for a forward whose session is there on demand only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Usage {
    /// No connection has come since it started.
    Unused,
    /// Connections are open or held.
    InUse,
    /// The last connection ended then.
    QuietSince(Moment),
}

/// One forward.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) id: ForwardId,
    pub(crate) name: ForwardName,
    pub(crate) spec: ForwardSpec,
    pub(crate) life: Life,
    /// A person stopped it.
    pub(crate) stopped: bool,
    /// What the rules on disk say, or are about to say.
    pub(crate) stopped_on_disk: bool,
    /// A restart waits for its listener to close.
    pub(crate) pausing: bool,
    pub(crate) listener: Listener,
    /// Why its listener takes no connections for the time being, though it listens.
    pub(crate) hampered: Option<Reason>,
    /// Its listener on the server goes over to another link: it is closed there and opened here.
    pub(crate) moves: bool,
    /// Connections may be left on a link that its listener moved away from.
    pub(crate) has_left_some: bool,
    /// The port that was bound last.
    pub(crate) port: Option<u16>,
    /// Refusals of the listener in a row.
    pub(crate) refusals: u32,
    pub(crate) usage: Usage,
    pub(crate) shown: Shown,
    pub(crate) history: VecDeque<Change>,
}

/// A forward as watchers know it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) status: Status,
    pub(crate) reason: Option<Reason>,
    pub(crate) since: Moment,
}

/// The status that follows from a forward's listener and its session's phase.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Derived {
    pub(crate) status: Status,
    pub(crate) reason: Option<Reason>,
    pub(crate) attempt: u32,
    pub(crate) retry_at: Option<Moment>,
}

impl Derived {
    fn plain(status: Status) -> Self {
        Derived { status, reason: None, attempt: 0, retry_at: None }
    }
}

impl Forward {
    pub(crate) fn new(id: ForwardId, name: ForwardName, spec: ForwardSpec, now: Moment) -> Self {
        let stopped = spec.stopped;
        let usage = if spec.lazy { Usage::Unused } else { Usage::QuietSince(now) };
        Forward {
            id,
            name,
            spec,
            life: Life::New,
            stopped,
            stopped_on_disk: stopped,
            pausing: false,
            listener: Listener::Closed,
            hampered: None,
            moves: false,
            has_left_some: false,
            port: None,
            refusals: 0,
            usage,
            shown: Shown { status: Status::Starting, reason: None, since: now },
            history: VecDeque::new(),
        }
    }

    /// What it can be selected by.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject { id: self.id, name: &self.name, tags: &self.spec.tags, destination: &self.spec.destination }
    }

    /// Whether clients see it.
    pub(crate) fn is_visible(&self) -> bool {
        matches!(self.life, Life::Kept | Life::Leaving)
    }

    /// Whether whoever watches it knows of it: also while its removal is not told.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self.life, Life::Kept | Life::Leaving | Life::Ending)
    }

    pub(crate) fn is_remote(&self) -> bool {
        self.spec.forwarding.kind().listens_remotely()
    }

    /// Whether its session is there only while connections want it.
    pub(crate) fn is_on_demand(&self) -> bool {
        self.spec.lazy || self.spec.idle_timeout_seconds != 0
    }

    /// Whether it needs its session now.
    pub(crate) fn wants_session(&self, now: Moment) -> bool {
        if !self.is_visible() || self.stopped {
            return false;
        }
        match self.usage {
            _ if !self.is_on_demand() => true,
            Usage::Unused => false,
            Usage::InUse => true,
            Usage::QuietSince(_) => self.quiet_until().is_none_or(|end| now.steady < end.steady),
        }
    }

    /// When its session is wanted no more, if no connection comes.
    pub(crate) fn quiet_until(&self) -> Option<Moment> {
        match (self.usage, self.spec.idle_timeout_seconds) {
            (Usage::QuietSince(start), seconds @ 1..) => Some(start + Duration::from_secs(seconds.into())),
            (Usage::QuietSince(_), 0) | (Usage::Unused | Usage::InUse, _) => None,
        }
    }

    /// Whether it may have connections at all: it is not stopped, nor about to be.
    pub(crate) fn may_carry(&self) -> bool {
        !self.stopped && !self.pausing && !matches!(self.life, Life::Ending | Life::Failed)
    }

    /// Whether it should listen, and for a remote forward on which session.
    pub(crate) fn should_listen(&self, session: Option<&Session>) -> Option<Option<Epoch>> {
        if !self.may_carry() {
            return None;
        }
        if !self.is_remote() {
            return Some(None);
        }
        session.and_then(Session::active_epoch).map(Some)
    }

    /// When its listener needs attention if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        match &self.listener {
            Listener::Opening { deadline, .. } | Listener::Closing { deadline, .. } => Some(*deadline),
            Listener::Refused { retry_at, .. } => retry_at.filter(|_| self.is_visible()),
            Listener::Closed | Listener::Open { .. } => None,
        }
    }

    /// Whether a listener that was refused may try again. That of an `add-forward` may not: its refusal is the answer.
    pub(crate) fn is_due_again(&self, now: Moment) -> bool {
        matches!(self.listener, Listener::Refused { .. }) && self.deadline().is_some_and(|at| at.steady <= now.steady)
    }

    /// The port that people see; 0 for a Unix socket.
    pub(crate) fn bind_port(&self) -> u16 {
        match self.spec.forwarding.bind() {
            Bind::Tcp(_, port) => self.shown_port(*port),
            Bind::Unix(_) => 0,
        }
    }

    /// Where it listens, or listened last, with the port that it got.
    pub(crate) fn bind_now(&self) -> Bind {
        match self.spec.forwarding.bind() {
            Bind::Tcp(address, port) => Bind::Tcp(address.clone(), self.shown_port(*port)),
            unix @ Bind::Unix(_) => unix.clone(),
        }
    }

    /// The port to show: the one that is or was bound, else the one that was asked for.
    fn shown_port(&self, asked: u16) -> u16 {
        if asked == 0 { self.port.unwrap_or(0) } else { asked }
    }

    /// Derives the status; `session` is missing while nothing ever wanted it.
    pub(crate) fn derive(&self, session: Option<&Session>) -> Derived {
        if self.stopped {
            return Derived::plain(Status::Stopped);
        }
        if let Listener::Refused { reason, retry_at, .. } = &self.listener {
            let status = if retry_at.is_some() { Status::Suspended } else { Status::Error };
            let attempt = self.refusals;
            return Derived { status, reason: Some(reason.clone()), attempt, retry_at: *retry_at };
        }
        let is_open = matches!(self.listener, Listener::Open { .. });
        // Open, and its session is there when a connection comes.
        let is_ready = is_open && self.is_on_demand() && self.usage == Usage::Unused;
        let active = || Derived { reason: self.hampered.clone(), ..Derived::plain(Status::Active) };
        let Some(session) = session else {
            return if is_ready { active() } else { Derived::plain(Status::Starting) };
        };
        let suspended = |reason: &Reason| Derived {
            status: Status::Suspended,
            reason: Some(session.told(reason)),
            attempt: session.failures,
            retry_at: session.retry_at(),
        };
        match &session.phase {
            Phase::Idle { by_person: true } => suspended(&session::disconnected()),
            Phase::Idle { by_person: false } if is_ready => active(),
            Phase::Idle { by_person: false } => Derived::plain(Status::Starting),
            Phase::Connecting { after: Some(cause), .. } => suspended(cause),
            Phase::Connecting { after: None, .. } => Derived::plain(Status::Starting),
            Phase::Suspended { cause, .. } => suspended(cause),
            Phase::Failed { cause } => {
                Derived { status: Status::Error, reason: Some(cause.clone()), ..suspended(cause) }
            }
            // Where it is not wanted, this may be about to want it.
            Phase::Active { .. } | Phase::Unwanted { .. } if is_open || self.moves => active(),
            // The session is back and the server has not answered yet: the status goes on until it has.
            Phase::Active { .. } | Phase::Unwanted { .. } if self.shown.status == Status::Suspended => Derived {
                status: Status::Suspended,
                reason: self.shown.reason.clone(),
                attempt: self.refusals,
                retry_at: None,
            },
            Phase::Active { .. } | Phase::Unwanted { .. } => Derived::plain(Status::Starting),
        }
    }

    /// What clients see; the counters are filled in by whoever counts.
    pub(crate) fn status(&self, session: Option<&Session>) -> ForwardStatus {
        let derived = self.derive(session);
        let ends = Ends::from(&self.spec.forwarding);
        ForwardStatus {
            id: self.id,
            name: self.name.clone(),
            kind: self.spec.forwarding.kind(),
            destination: self.spec.destination.clone(),
            bind_address: ends.bind_address,
            bind_port: self.bind_port(),
            bind_path: ends.bind_path,
            target_host: ends.target_host,
            target_port: ends.target_port,
            target_path: ends.target_path,
            status: derived.status,
            reason: derived.reason,
            since: self.shown.since.wall,
            attempt: derived.attempt,
            retry_at: derived.retry_at.map(|moment| moment.wall),
            description: self.spec.description.clone(),
            tags: self.spec.tags.clone(),
            lazy: self.spec.lazy,
            ephemeral: self.spec.ephemeral,
            on_suspend: self.spec.on_suspend,
            stats: ForwardStats::default(),
            reclaim: self.spec.reclaim,
        }
    }
}
