//! The model: everything the daemon knows and decides by, and the one way to change it.

use std::collections::BTreeMap;
use std::time::Instant;

use alknet_proto::operation::ForwardRef;
use alknet_proto::{Code, Destination, Fault, ForwardId, ForwardStatus, Selector, SessionStatus};

use crate::action::Action;
use crate::calls::{Answer, PendingCall, Work, late};
use crate::event::{Call, Epoch, Event, Options};
use crate::forward::{Forward, Life, Listener, Usage};
use crate::moment::Moment;
use crate::remedy::Remedies;
use crate::renewal::Renewal;
use crate::rules::{SavedRule, SavedRules};
use crate::session::{Phase, Session};
use crate::supervise::{News, Supervision};
use crate::watch::Watches;

/// Everything the daemon knows and decides by.
#[derive(Debug, Default)]
pub struct Model {
    pub(crate) forwards: BTreeMap<ForwardId, Forward>,
    pub(crate) sessions: BTreeMap<Destination, Session>,
    pub(crate) calls: Vec<PendingCall>,
    pub(crate) deferred: Vec<Deferred>,
    pub(crate) renewals: Vec<Renewal>,
    pub(crate) options: Options,
    pub(crate) watches: Watches,
    pub(crate) next_id: u32,
    pub(crate) last_epoch: Epoch,
    pub(crate) revision: u64,
    pub(crate) saved_revision: u64,
    /// The disk may not have what is true now; it is tried again then.
    pub(crate) save_again_at: Option<Moment>,
    pub(crate) stopping: bool,
    pub(crate) supervision: Supervision,
    pub(crate) remedies: Remedies,
}

/// A request for forwards that another request still works on.
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) call: Call,
    pub(crate) work: Work,
    pub(crate) selectors: Vec<Selector>,
    pub(crate) deadline: Moment,
}

/// What one step has at hand and brings forth.
pub(crate) struct Turn {
    pub(crate) now: Moment,
    pub(crate) jitter: f64,
    pub(crate) actions: Vec<Action>,
    /// Requests that ended; answered last, so that the answer shows how everything is then.
    pub(crate) answers: Vec<(Call, Answer)>,
}

impl Turn {
    /// Starts an attempt.
    pub(crate) fn connect(&mut self, destination: &Destination, epoch: Epoch, accept_new: bool) {
        self.actions.push(Action::Connect { destination: destination.clone(), epoch, accept_new });
    }

    /// Ends attempts and links.
    pub(crate) fn disconnect(&mut self, destination: &Destination, epochs: impl IntoIterator<Item = Epoch>) {
        let end = |epoch| Action::Disconnect { destination: destination.clone(), epoch };
        self.actions.extend(epochs.into_iter().map(end));
    }
}

/// All forwards and sessions as clients see them.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// By id.
    pub forwards: Vec<ForwardStatus>,
    /// By destination.
    pub sessions: Vec<SessionStatus>,
}

impl Model {
    /// A model that knows nothing yet; its first event is [`Event::Loaded`].
    pub fn new() -> Self {
        Model { next_id: 1, ..Model::default() }
    }

    /// Takes one event in and says what to do about it. `jitter` is 0.0 ..= 1.0.
    pub fn step(&mut self, event: Event, now: Moment, jitter: f64) -> Vec<Action> {
        let mut turn = Turn { now, jitter, actions: Vec::new(), answers: Vec::new() };
        self.take(event, &mut turn);
        if self.save_again_at.is_some_and(|at| at.steady <= now.steady) {
            self.save(&mut turn);
        }
        loop {
            self.settle_listeners(&mut turn);
            let moved = self.advance_calls(&mut turn);
            let resumed = self.resume_deferred(&mut turn);
            if !moved && !resumed {
                break;
            }
        }
        self.settle_sessions(&mut turn);
        self.settle_attempts(&mut turn);
        self.settle_remedies(&mut turn);
        self.settle_renewals(&mut turn);
        self.settle_hopes(&mut turn);
        // What an attempt or its end means for listeners on the server is known only now.
        self.settle_listeners(&mut turn);
        self.publish_changes(&mut turn);
        self.publish_figures(&mut turn);
        self.watches.beat(now, &mut turn.actions);
        self.answer(&mut turn);
        turn.actions
    }

    /// When the daemon must send `Event::Tick` if nothing else happens first, and why.
    pub fn next_deadline(&self) -> Option<(Instant, &'static str)> {
        if self.stopping {
            return None;
        }
        let sessions = self.sessions.values().filter_map(Session::deadline).map(|at| (at, "session"));
        let listeners = self.forwards.values().filter_map(Forward::deadline).map(|at| (at, "listener"));
        let quiet = self.forwards.values().filter(|forward| self.may_go_idle(forward));
        let quiet = quiet.filter_map(Forward::quiet_until).map(|at| (at, "idle"));
        let calls = self.calls.iter().filter_map(PendingCall::deadline);
        let waiting = self.deferred.iter().map(|deferred| deferred.deadline);
        let waiting = waiting.chain(self.renewals.iter().map(|renewal| renewal.deadline));
        let calls = calls.chain(waiting).map(|at| (at, "request"));
        let heartbeat = self.watches.heartbeat_at().map(|at| (at, "heartbeat"));
        let save = self.save_again_at.map(|at| (at, "save"));
        let figures = self.watches.figures_at().map(|at| (at, "figures"));
        let watches = heartbeat.into_iter().chain(figures);
        let all = sessions.chain(save).chain(listeners).chain(quiet).chain(calls).chain(watches);
        all.map(|(at, why)| (at.steady, why)).min_by_key(|(at, _)| *at)
    }

    /// All forwards and sessions as clients see them; the counters are zero.
    pub fn snapshot(&self) -> Snapshot {
        let visible = self.forwards.values().filter(|forward| forward.is_visible());
        Snapshot {
            forwards: visible.map(|forward| self.status_of(forward)).collect(),
            sessions: self.sessions.iter().map(|(destination, session)| session.status(destination)).collect(),
        }
    }

    fn may_go_idle(&self, forward: &Forward) -> bool {
        forward.is_visible()
            && !forward.stopped
            && self.sessions.get(&forward.spec.destination).is_some_and(|session| session.open_epoch().is_some())
    }

    fn take(&mut self, event: Event, turn: &mut Turn) {
        match event {
            Event::Loaded(rules) => self.load(rules, turn),
            Event::Requested { call, operation, timeout } => {
                self.requested(call, operation, turn.now + timeout, turn);
            }
            Event::Aborted(call) => self.abort(|other| other == call, turn),
            Event::ClientGone(client) => self.abort(|other| other.client == client, turn),
            Event::CaughtUp(call) => {
                turn.actions.extend(self.watches.catch_up(call, turn.now, |selectors| self.everything(selectors)));
            }
            Event::ListenerBound { forward, epoch, port, notices } => self.bound(forward, epoch, port, notices, turn),
            Event::ListenerRefused { forward, epoch, reason } => self.refused(forward, epoch, reason, turn),
            Event::ListenerClosed { forward, epoch } => {
                if let Some(forward) = self.forwards.get_mut(&forward)
                    && matches!(forward.listener, Listener::Closing { epoch: current, .. } if current == epoch)
                {
                    forward.listener = Listener::Closed;
                }
            }
            Event::ListenerHampered { forward, epoch, reason } => {
                if let Some(forward) = self.forwards.get_mut(&forward)
                    && matches!(forward.listener, Listener::Open { epoch: current, .. } if current == epoch)
                {
                    forward.hampered = reason;
                }
            }
            Event::InUse { forward, in_use } => {
                if let Some(forward) = self.forwards.get_mut(&forward) {
                    forward.usage = if in_use { Usage::InUse } else { Usage::QuietSince(turn.now) };
                }
            }
            Event::Connected { destination, epoch, peer } => {
                self.connected(&destination, epoch, peer, turn);
                self.supervise_login(&destination, epoch, turn.now);
            }
            Event::Lost { destination, epoch, reason } => {
                let news = News::of(self.sessions.get(&destination), epoch);
                self.lost(&destination, epoch, reason.clone(), turn);
                self.supervise_loss(&destination, epoch, &reason, news, turn);
            }
            Event::Mended { destination, epoch } => self.mended(&destination, epoch, turn),
            Event::Knocks { destination, epoch, host } => self.supervision.knocks(destination, epoch, host),
            Event::Crowded { destination } => {
                if let Some(session) = self.sessions.get_mut(&destination).filter(|session| session.may_have_more()) {
                    session.extras.ask();
                }
            }
            Event::LinkInUse { destination, epoch, in_use } => {
                if let Some(session) = self.sessions.get_mut(&destination) {
                    session.note_use(epoch, in_use, turn.now);
                }
            }
            Event::Worn { destination, epoch } => self.worn(&destination, epoch, turn),
            Event::Saved { revision } => self.saved_revision = self.saved_revision.max(revision),
            Event::NotSaved { revision, reason } => self.not_saved(revision, &reason, turn),
            Event::Tick => {}
            Event::Roused => self.rouse(turn),
            Event::RetryAll => {
                self.supervision.excuse_all();
                for session in self.sessions.values_mut() {
                    if matches!(session.phase, Phase::Suspended { .. }) {
                        session.retry(turn.now);
                    }
                }
            }
            Event::ShutdownAsked => self.stop(turn),
            Event::Configured(options) => self.options = options,
        }
    }

    /// What looked alive is asked, what waits tries at once.
    fn rouse(&mut self, turn: &mut Turn) {
        self.supervision.excuse_all();
        for (destination, session) in &mut self.sessions {
            let logged_in: Vec<Epoch> = session.active_epoch().into_iter().chain(session.extras.logged_in()).collect();
            for epoch in logged_in {
                turn.actions.push(Action::Probe { destination: destination.clone(), epoch });
            }
            if matches!(session.phase, Phase::Suspended { .. }) || session.has_despaired() {
                session.retry(turn.now);
            }
        }
        for forward in self.forwards.values_mut().filter(|forward| forward.is_visible()) {
            if let Listener::Refused { retry_at: Some(at), .. } = &mut forward.listener {
                *at = turn.now;
            }
        }
    }

    /// How many links there are in all, those that are not logged in and those on their way out included.
    pub(crate) fn n_links(&self) -> usize {
        self.sessions.values().map(Session::n_links).sum()
    }

    fn load(&mut self, rules: SavedRules, turn: &Turn) {
        self.watches.begin(turn.now);
        self.next_id = rules.next_id.max(1);
        for rule in rules.rules {
            let mut forward = Forward::new(rule.id, rule.name.clone(), rule.spec(), turn.now);
            forward.life = Life::Kept;
            forward.port = rule.earlier_port;
            self.next_id = self.next_id.max(rule.id.0.saturating_add(1));
            self.supervision.begin(&rule.destination, turn.now);
            self.forwards.insert(rule.id, forward);
        }
    }

    pub(crate) fn stop(&mut self, turn: &mut Turn) {
        if !self.stopping {
            self.stopping = true;
            turn.actions.push(Action::Stop);
        }
    }

    fn abort(&mut self, is_meant: impl Fn(Call) -> bool, turn: &mut Turn) {
        let mut calls = std::mem::take(&mut self.calls);
        for pending in &mut calls {
            if pending.call.is_some_and(&is_meant) {
                pending.call = None;
                let fault = Fault::new(Code::Aborted, "the client took the request back");
                self.give_up(pending, turn, fault);
            }
        }
        self.calls = calls;
        self.deferred.retain(|deferred| !is_meant(deferred.call));
        self.renewals.retain(|renewal| !is_meant(renewal.call));
        self.watches.end(is_meant);
    }

    pub(crate) fn status_of(&self, forward: &Forward) -> ForwardStatus {
        forward.status(self.sessions.get(&forward.spec.destination))
    }

    pub(crate) fn each(&mut self, ids: &[ForwardId], mut change: impl FnMut(&mut Forward)) {
        for id in ids {
            if let Some(forward) = self.forwards.get_mut(id) {
                change(forward);
            }
        }
    }

    pub(crate) fn references(&self, ids: &[ForwardId]) -> Vec<ForwardRef> {
        let forwards = ids.iter().filter_map(|id| self.forwards.get(id));
        forwards.map(|forward| ForwardRef { id: forward.id, name: forward.name.clone(), left_stopped: false }).collect()
    }

    pub(crate) fn is_busy(&self, id: ForwardId) -> bool {
        self.calls.iter().any(|pending| pending.forwards.contains(&id))
    }

    /// Requests that waited for another one to end get their turn, or hear that it took too long.
    fn resume_deferred(&mut self, turn: &mut Turn) -> bool {
        let mut resumed = false;
        for deferred in std::mem::take(&mut self.deferred) {
            let n_deferred = self.deferred.len();
            if deferred.deadline.steady <= turn.now.steady {
                turn.answers.push((deferred.call, Answer::Ready(Err(late()))));
                resumed = true;
            } else {
                let Deferred { call, work, selectors, deadline } = deferred;
                if let Some(answer) = self.alter(call, work, selectors, deadline, turn) {
                    turn.answers.push((call, Answer::Ready(answer)));
                }
                resumed |= self.deferred.len() == n_deferred;
            }
        }
        resumed
    }

    /// Sends the rules to the disk as they should be there; tells the revision to wait for.
    pub(crate) fn save(&mut self, turn: &mut Turn) -> u64 {
        self.revision += 1;
        self.save_again_at = None;
        let kept = self
            .forwards
            .values()
            .filter(|forward| matches!(forward.life, Life::Entering | Life::Kept) && !forward.spec.ephemeral);
        let rules = kept
            .map(|forward| SavedRule {
                id: forward.id,
                name: forward.name.clone(),
                destination: forward.spec.destination.clone(),
                forwarding: forward.spec.forwarding.clone(),
                description: forward.spec.description.clone(),
                tags: forward.spec.tags.clone(),
                on_suspend: forward.spec.on_suspend,
                lazy: forward.spec.lazy,
                stopped: forward.stopped_on_disk,
                accept_new: forward.spec.accept_new,
                idle_timeout_seconds: forward.spec.idle_timeout_seconds,
                reclaim: forward.spec.reclaim,
                earlier_port: forward.port,
            })
            .collect();
        let saved = SavedRules { revision: self.revision, next_id: self.next_id, rules };
        turn.actions.retain(|action| !matches!(action, Action::Save(_)));
        turn.actions.push(Action::Save(saved));
        self.revision
    }
}
