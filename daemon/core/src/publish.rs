//! Telling watchers what changed, and answering requests.

use std::time::Duration;

use alknet_proto::event::{
    ForwardAdded, ForwardChanged, ForwardRates, ForwardRemoved, ForwardTraffic, SessionChanged, Stats,
};
use alknet_proto::history::SessionChange;
use alknet_proto::operation::STATS_PERIOD_MS;
use alknet_proto::status::Change;
use alknet_proto::{
    Code, Destination, Fault, ForwardId, ForwardStats, ForwardStatus, Output, Selector, Seq, StatusEvent,
};

use crate::action::Action;
use crate::calls::Answer;
use crate::event::Call;
use crate::forward::{Derived, Forward, Shown};
use crate::limits::REMEMBERED_CHANGES;
use crate::model::{Model, Turn};
use crate::select;
use crate::session;
use crate::watch::{self, About, Everything, Figures, Subscription};

impl Model {
    /// Tells watchers what is not as they were told last.
    pub(crate) fn publish_changes(&mut self, turn: &mut Turn) {
        for destination in self.sessions.keys().cloned().collect::<Vec<_>>() {
            self.publish_session(&destination, turn);
        }
        for id in self.forwards.keys().copied().collect::<Vec<_>>() {
            self.publish_forward(id, turn);
        }
    }

    pub(crate) fn publish_session(&mut self, destination: &Destination, turn: &mut Turn) {
        let Some(session) = self.sessions.get_mut(destination) else { return };
        let (state, reason) = session.state();
        if session.shown.state == state && session.shown.reason == reason {
            return;
        }
        let from = session.shown.state;
        let since = if from == state { session.shown.since } else { turn.now };
        session.shown = session::Shown { state, reason: reason.clone(), since };
        let (at, attempt) = (turn.now.wall, session.failures);
        let retry_at = session.retry_at().map(|moment| moment.wall);
        session.remember(SessionChange { at, from, to: state, reason: reason.clone(), attempt, retry_at });
        let event = StatusEvent::SessionStatus(SessionChanged {
            seq: self.watches.next_seq(),
            at,
            destination: destination.clone(),
            from,
            to: state,
            reason,
            attempt,
            retry_at,
        });
        self.tell(About::Session(destination.clone()), event, turn);
    }

    fn publish_forward(&mut self, id: ForwardId, turn: &mut Turn) {
        let Some(forward) = self.forwards.get_mut(&id).filter(|forward| forward.is_visible()) else { return };
        let derived = forward.derive(self.sessions.get(&forward.spec.destination));
        let Derived { status, reason, attempt, retry_at } = derived;
        let retry_at = retry_at.map(|moment| moment.wall);
        let from = forward.shown.status;
        if from == status && forward.shown.reason == reason {
            return;
        }
        let at = turn.now.wall;
        if from == status {
            forward.shown.reason = reason.clone();
        } else {
            forward.shown = Shown { status, reason: reason.clone(), since: turn.now };
            forward.history.push_back(Change { at, from, to: status, reason: reason.clone(), attempt, retry_at });
            if REMEMBERED_CHANGES < forward.history.len() {
                forward.history.pop_front();
            }
        }
        let event = StatusEvent::ForwardStatus(ForwardChanged {
            seq: self.watches.next_seq(),
            at,
            id,
            name: forward.name.clone(),
            from,
            to: status,
            reason,
            retry_at,
            attempt,
            bind_port: forward.bind_port(),
        });
        let about = about(forward);
        self.tell(about, event, turn);
    }

    fn tell(&mut self, about: About, event: StatusEvent, turn: &mut Turn) {
        turn.actions.push(Action::Log(event.clone()));
        self.watches.publish(about, event, &self.forwards, &mut turn.actions);
    }

    /// Answers the requests that ended, with everything as it is now.
    pub(crate) fn answer(&mut self, turn: &mut Turn) {
        for (call, answer) in std::mem::take(&mut turn.answers) {
            let result = match answer {
                Answer::Ready(result) => result,
                Answer::Added(ids, notices) => {
                    let forwards = ids.iter().filter_map(|id| self.forwards.get(id));
                    Ok(Output::Added { forwards: forwards.map(|forward| self.status_of(forward)).collect(), notices })
                }
            };
            turn.actions.push(Action::Reply { call, result });
        }
    }

    /// A forward was added: whoever watches learns of it.
    pub(crate) fn publish_added(&mut self, id: ForwardId, turn: &mut Turn) {
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        let session = self.sessions.get(&forward.spec.destination);
        let Derived { status, reason, .. } = forward.derive(session);
        forward.shown = Shown { status, reason, since: turn.now };
        let added = ForwardAdded { seq: self.watches.next_seq(), at: turn.now.wall, forward: forward.status(session) };
        let about = about(forward);
        self.tell(about, StatusEvent::ForwardAdded(added), turn);
    }

    /// Lets forwards go whose listeners are closed; tells watchers of those that they knew. A session that
    /// is not logged in goes with the last forward that names it.
    pub(crate) fn forget(&mut self, ids: &[ForwardId], was_visible: bool, turn: &mut Turn) {
        for id in ids {
            let Some(forward) = self.forwards.get(id) else { continue };
            let destination = forward.spec.destination.clone();
            let removed = ForwardRemoved { seq: 0, at: turn.now.wall, id: *id, name: forward.name.clone() };
            let about = about(forward);
            let is_last = !self.forwards.values().any(|f| f.id != *id && f.spec.destination == destination);
            // One that is logged in may be kept for whoever comes next.
            let is_live = self.sessions.get(&destination).is_some_and(|session| session.active_epoch().is_some());
            if is_last && !is_live {
                self.forget_session(&destination, turn);
            }
            if was_visible {
                let removed = ForwardRemoved { seq: self.watches.next_seq(), ..removed };
                self.tell(about, StatusEvent::ForwardRemoved(removed), turn);
            }
            self.forwards.remove(id);
            turn.actions.push(Action::ForgetForward(*id));
        }
    }

    pub(crate) fn watch(
        &mut self,
        call: Call,
        selectors: Vec<Selector>,
        since: Option<Seq>,
        stats_ms: Option<u32>,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let figures = match stats_ms {
            Some(ms) if !STATS_PERIOD_MS.contains(&ms) => return Err(no_period(ms)),
            Some(ms) => Some(Figures::every(Duration::from_millis(ms.into()), turn.now)),
            None => None,
        };
        let visible = self.forwards.values().filter(|forward| forward.is_visible());
        // What is gone may be meant too, where its changes are still remembered.
        let is_resumed = since.is_some_and(|since| self.watches.remembers(since));
        let was_there = |selector: &Selector| is_resumed && self.watches.tell_of(selector);
        let selectors = select::resolve(selectors, visible, was_there)?;
        let everything = self.everything(&selectors);
        let subscription = Subscription { selectors, figures };
        let begun = self.watches.start(call, subscription, since, turn.now, &self.forwards, everything);
        turn.actions.extend(begun);
        Ok(())
    }

    /// Tells what forwards carry to whom that is due.
    pub(crate) fn publish_figures(&mut self, turn: &mut Turn) {
        for (call, selectors) in self.watches.due_figures(turn.now) {
            let known = self.forwards.values().filter(|forward| forward.is_known());
            let picked = known.filter(|forward| watch::is_picked(&selectors, &forward.subject()));
            let forwards = picked.map(|forward| ForwardTraffic {
                id: forward.id,
                name: forward.name.clone(),
                stats: ForwardStats::default(),
                rates: ForwardRates::default(),
            });
            let stats = Stats { at: turn.now.wall, forwards: forwards.collect(), interval_seconds: 0.0 };
            turn.actions.push(Action::Publish { call, event: StatusEvent::Stats(stats) });
        }
    }

    /// A rule whose removal is on its way is as it was told last: nothing else of it is told before.
    fn status_in_snapshot(&self, forward: &Forward) -> ForwardStatus {
        let status = self.status_of(forward);
        if forward.is_visible() {
            return status;
        }
        let Shown { status: told, reason, .. } = forward.shown.clone();
        ForwardStatus { status: told, reason, retry_at: None, ..status }
    }

    /// What a subscription with these selectors is shown.
    pub(crate) fn everything(&self, selectors: &[Selector]) -> Everything {
        let known = self.forwards.values().filter(|forward| forward.is_known());
        let forwards: Vec<ForwardStatus> = known
            .filter(|forward| watch::is_picked(selectors, &forward.subject()))
            .map(|forward| self.status_in_snapshot(forward))
            .collect();
        let is_meant = |destination: &Destination| {
            selectors.is_empty() || forwards.iter().any(|forward| forward.destination == *destination)
        };
        let sessions = self.sessions.iter().filter(|(destination, _)| is_meant(destination));
        Everything { sessions: sessions.map(|(destination, s)| s.status(destination)).collect(), forwards }
    }
}

fn no_period(ms: u32) -> Fault {
    let (least, most) = (STATS_PERIOD_MS.start(), STATS_PERIOD_MS.end());
    Fault::new(Code::InvalidRequest, format!("figures cannot come every {ms} ms"))
        .with_hint(format!("every {least} to {most} ms is possible"))
}

fn about(forward: &Forward) -> About {
    About::Forward {
        id: forward.id,
        name: forward.name.clone(),
        tags: forward.spec.tags.clone(),
        destination: forward.spec.destination.clone(),
    }
}
