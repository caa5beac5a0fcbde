//! Subscriptions: who is told what, in order, and from where on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use alknet_proto::event::{Heartbeat, Lagged, Snapshot};
use alknet_proto::operation::PAGE;
use alknet_proto::{
    Destination, ForwardId, ForwardName, ForwardStatus, Selector, Seq, SessionStatus, StatusEvent, Tag,
};

use crate::action::Action;
use crate::event::Call;
use crate::forward::Forward;
use crate::limits::{HEARTBEAT, REMEMBERED_EVENTS};
use crate::moment::Moment;
use crate::select::{self, Subject};

/// What a remembered event is about, so that a subscription can tell whether it is meant, also after the forward is gone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum About {
    /// A forward, as it could be selected when the event happened.
    Forward { id: ForwardId, name: ForwardName, tags: Vec<Tag>, destination: Destination },
    /// A session: whoever is shown one of its forwards is shown it too.
    Session(Destination),
}

/// Who watches what, and what happened lately.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    subscriptions: BTreeMap<Call, Subscription>,
    remembered: VecDeque<(Seq, About, StatusEvent)>,
    last_seq: Seq,
    heartbeat_at: Option<Moment>,
}

/// What somebody watches.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Which forwards; none means all.
    pub(crate) selectors: Vec<Selector>,
    /// Wants to know what they carry, so often.
    pub(crate) figures: Option<Figures>,
}

/// When somebody is told what forwards carry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    period: Duration,
    due: Moment,
}

impl Figures {
    /// For the first time after one `period`.
    pub(crate) fn every(period: Duration, now: Moment) -> Self {
        Figures { period, due: now + period }
    }

    /// The next time is a whole period after this one was due; after a delay at least half a one from now, since rates
    /// of a moment say nothing.
    fn next(self, now: Moment) -> Self {
        let (in_step, soonest) = (self.due + self.period, now + self.period / 2);
        Figures { due: if soonest.steady < in_step.steady { in_step } else { soonest }, ..self }
    }
}

/// Everything there is, for a snapshot.
pub(crate) struct Everything {
    pub(crate) forwards: Vec<ForwardStatus>,
    pub(crate) sessions: Vec<SessionStatus>,
}

impl Watches {
    /// Numbers begin with the wall clock in milliseconds, so that those of an earlier run of the daemon are never
    /// taken for those of this one.
    pub(crate) fn begin(&mut self, now: Moment) {
        self.last_seq = Seq::try_from(now.wall.as_millisecond()).unwrap_or(0);
    }

    pub(crate) fn next_seq(&mut self) -> Seq {
        self.last_seq += 1;
        self.last_seq
    }

    /// Whether everything behind this change is remembered.
    pub(crate) fn remembers(&self, seq: Seq) -> bool {
        let first_remembered = self.remembered.front().map_or(self.last_seq + 1, |(seq, ..)| *seq);
        first_remembered <= seq.saturating_add(1) && seq <= self.last_seq
    }

    /// Whether something is remembered of a forward that this selector picks.
    pub(crate) fn tell_of(&self, selector: &Selector) -> bool {
        let selectors = std::slice::from_ref(selector);
        self.remembered.iter().any(|(_, about, _)| match about {
            About::Forward { id, name, tags, destination } => {
                is_picked(selectors, &Subject { id: *id, name, tags, destination })
            }
            About::Session(_) => false,
        })
    }

    /// Starts a subscription. `since` is resumed from where it is remembered whole.
    pub(crate) fn start(
        &mut self,
        call: Call,
        subscription: Subscription,
        since: Option<Seq>,
        now: Moment,
        forwards: &BTreeMap<ForwardId, Forward>,
        everything: Everything,
    ) -> Vec<Action> {
        let mut actions = match since.filter(|since| self.remembers(*since)) {
            Some(since) => {
                let missed = self.remembered.iter().filter(|(seq, ..)| since < *seq);
                missed
                    .filter(|(_, about, _)| is_meant(&subscription.selectors, about, forwards))
                    .map(|(.., event)| Action::Publish { call, event: event.clone() })
                    .collect()
            }
            None => snapshot(call, self.last_seq, everything),
        };
        if subscription.figures.is_some() {
            actions.push(Action::BeginRates(call));
        }
        self.subscriptions.insert(call, subscription);
        self.heartbeat_at.get_or_insert(now + HEARTBEAT);
        actions
    }

    /// A subscriber that was too slow hears that it missed something, and then everything.
    pub(crate) fn catch_up(
        &self,
        call: Call,
        now: Moment,
        everything: impl FnOnce(&[Selector]) -> Everything,
    ) -> Vec<Action> {
        let Some(Subscription { selectors, .. }) = self.subscriptions.get(&call) else { return Vec::new() };
        let lagged = StatusEvent::Lagged(Lagged { seq: self.last_seq, at: now.wall });
        let mut actions = vec![Action::Publish { call, event: lagged }];
        actions.extend(snapshot(call, self.last_seq, everything(selectors)));
        actions
    }

    /// Remembers an event and tells it to everybody who watches its subject.
    pub(crate) fn publish(
        &mut self,
        about: About,
        event: StatusEvent,
        forwards: &BTreeMap<ForwardId, Forward>,
        actions: &mut Vec<Action>,
    ) {
        for (call, Subscription { selectors, .. }) in &self.subscriptions {
            if is_meant(selectors, &about, forwards) {
                actions.push(Action::Publish { call: *call, event: event.clone() });
            }
        }
        self.remembered.push_back((self.last_seq, about, event));
        if REMEMBERED_EVENTS < self.remembered.len() {
            self.remembered.pop_front();
        }
    }

    pub(crate) fn beat(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if self.heartbeat_at.is_none_or(|at| now.steady < at.steady) {
            return;
        }
        self.heartbeat_at = Some(now + HEARTBEAT);
        for call in self.subscriptions.keys() {
            let event = StatusEvent::Heartbeat(Heartbeat { seq: self.last_seq, at: now.wall });
            actions.push(Action::Publish { call: *call, event });
        }
    }

    pub(crate) fn heartbeat_at(&self) -> Option<Moment> {
        self.heartbeat_at
    }

    /// Who is to be told now what forwards carry, and of which ones.
    pub(crate) fn due_figures(&mut self, now: Moment) -> Vec<(Call, Vec<Selector>)> {
        let mut due = Vec::new();
        for (call, subscription) in &mut self.subscriptions {
            if let Some(figures) = subscription.figures.filter(|figures| figures.due.steady <= now.steady) {
                subscription.figures = Some(figures.next(now));
                due.push((*call, subscription.selectors.clone()));
            }
        }
        due
    }

    /// When somebody is to be told next what forwards carry.
    pub(crate) fn figures_at(&self) -> Option<Moment> {
        let all = self.subscriptions.values().filter_map(|subscription| subscription.figures);
        all.map(|figures| figures.due).min_by_key(|due| due.steady)
    }

    /// Ends the subscriptions that are meant; without any, no heart beats.
    pub(crate) fn end(&mut self, is_meant: impl Fn(Call) -> bool) {
        self.subscriptions.retain(|call, _| !is_meant(*call));
        if self.subscriptions.is_empty() {
            self.heartbeat_at = None;
        }
    }
}

/// Whether a watcher with these selectors is shown `forward`.
pub(crate) fn is_picked(selectors: &[Selector], forward: &Subject<'_>) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| select::picks(selector, forward))
}

fn is_meant(selectors: &[Selector], about: &About, forwards: &BTreeMap<ForwardId, Forward>) -> bool {
    match about {
        About::Forward { id, name, tags, destination } => {
            is_picked(selectors, &Subject { id: *id, name, tags, destination })
        }
        About::Session(_) if selectors.is_empty() => true,
        About::Session(destination) => forwards
            .values()
            .any(|forward| forward.spec.destination == *destination && is_picked(selectors, &forward.subject())),
    }
}

/// Everything in as many pages as it takes; at least one.
fn snapshot(call: Call, seq: Seq, everything: Everything) -> Vec<Action> {
    let n_pages = everything.forwards.len().max(everything.sessions.len()).div_ceil(PAGE).max(1);
    let page = |n: usize| {
        let range = |len: usize| (n * PAGE).min(len)..((n + 1) * PAGE).min(len);
        StatusEvent::Snapshot(Snapshot {
            seq,
            forwards: everything.forwards[range(everything.forwards.len())].to_vec(),
            sessions: everything.sessions[range(everything.sessions.len())].to_vec(),
            more: n + 1 < n_pages,
        })
    };
    (0..n_pages).map(|n| Action::Publish { call, event: page(n) }).collect()
}
