//! Telling watchers what changed, and answering requests.

use alknet_proto::event::{ForwardAdded, ForwardChanged, ForwardRemoved, SessionChanged};
use alknet_proto::status::Change;
use alknet_proto::{Destination, Fault, ForwardId, ForwardStatus, Output, Selector, Seq, StatusEvent};

use crate::action::Action;
use crate::calls::Answer;
use crate::event::Call;
use crate::forward::Shown;
use crate::limits::REMEMBERED_CHANGES;
use crate::model::{Model, Turn};
use crate::session::{self, Session};
use crate::watch::{self, Everything, Subject};

impl Model {
    /// Tells watchers what is not as they were told last.
    pub(crate) fn publish_changes(&mut self, turn: &mut Turn) {
        for destination in self.sessions.keys().cloned().collect::<Vec<_>>() {
            let Some(mut session) = self.sessions.remove(&destination) else { continue };
            self.publish_session(&destination, &mut session, turn);
            self.sessions.insert(destination, session);
        }
        for id in self.forwards.keys().copied().collect::<Vec<_>>() {
            self.publish_forward(id, turn);
        }
    }

    pub(crate) fn publish_session(&mut self, destination: &Destination, session: &mut Session, turn: &mut Turn) {
        let (state, reason) = session.state();
        if session.shown.state == state && session.shown.reason == reason {
            return;
        }
        let from = session.shown.state;
        let since = if from == state { session.shown.since } else { turn.now };
        session.shown = session::Shown { state, reason: reason.clone(), since };
        let event = StatusEvent::SessionStatus(SessionChanged {
            seq: self.watches.next_seq(),
            at: turn.now.wall,
            destination: destination.clone(),
            from,
            to: state,
            reason,
            attempt: session.failures,
            retry_at: session.retry_at().map(|moment| moment.wall),
        });
        self.tell(Subject::Session(destination.clone()), event, turn);
    }

    fn publish_forward(&mut self, id: ForwardId, turn: &mut Turn) {
        let Some(forward) = self.forwards.get(&id) else { return };
        if !forward.is_visible() {
            return;
        }
        let derived = forward.derive(self.sessions.get(&forward.spec.destination));
        let shown = &forward.shown;
        if shown.status == derived.status && shown.reason == derived.reason {
            return;
        }
        let (name, from) = (forward.name.clone(), shown.status);
        let since = if from == derived.status { shown.since } else { turn.now };
        let event = StatusEvent::ForwardStatus(ForwardChanged {
            seq: self.watches.next_seq(),
            at: turn.now.wall,
            id,
            name,
            from,
            to: derived.status,
            reason: derived.reason.clone(),
            retry_at: derived.retry_at.map(|moment| moment.wall),
        });
        self.each(&[id], |forward| {
            forward.shown = Shown { status: derived.status, reason: derived.reason.clone(), since };
            if from != derived.status {
                forward.history.push_back(Change {
                    at: turn.now.wall,
                    from,
                    to: derived.status,
                    reason: derived.reason.clone(),
                });
            }
            if REMEMBERED_CHANGES < forward.history.len() {
                forward.history.pop_front();
            }
        });
        let subject = self.subject(id);
        self.tell(subject, event, turn);
    }

    fn subject(&self, id: ForwardId) -> Subject {
        let forward = &self.forwards[&id];
        Subject::Forward { id, name: forward.name.clone(), destination: forward.spec.destination.clone() }
    }

    fn tell(&mut self, subject: Subject, event: StatusEvent, turn: &mut Turn) {
        self.watches.publish(subject, event, &self.forwards, &mut turn.actions);
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
        let session = self.sessions.get(&self.forwards[&id].spec.destination);
        let derived = self.forwards[&id].derive(session);
        self.each(&[id], |forward| {
            forward.shown = Shown { status: derived.status, reason: derived.reason.clone(), since: turn.now };
        });
        let forward = self.status_of(&self.forwards[&id]);
        let added = ForwardAdded { seq: self.watches.next_seq(), at: turn.now.wall, forward };
        let subject = self.subject(id);
        self.tell(subject, StatusEvent::ForwardAdded(added), turn);
    }

    /// Lets forwards go whose listeners are closed; tells watchers of those that they knew.
    pub(crate) fn forget(&mut self, ids: &[ForwardId], was_visible: bool, turn: &mut Turn) {
        for id in ids {
            let Some(forward) = self.forwards.get(id) else { continue };
            if was_visible {
                let name = forward.name.clone();
                let removed = ForwardRemoved { seq: self.watches.next_seq(), at: turn.now.wall, id: *id, name };
                let subject = self.subject(*id);
                self.tell(subject, StatusEvent::ForwardRemoved(removed), turn);
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
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        if !selectors.is_empty() {
            self.pick(&selectors)?;
        }
        let everything = self.everything(&selectors);
        turn.actions.extend(self.watches.start(call, selectors, since, turn.now, &self.forwards, everything));
        Ok(())
    }

    /// What a subscription with these selectors is shown.
    pub(crate) fn everything(&self, selectors: &[Selector]) -> Everything {
        let visible = self.forwards.values().filter(|forward| forward.is_visible());
        let forwards: Vec<ForwardStatus> = visible
            .filter(|forward| watch::is_picked(selectors, forward))
            .map(|forward| self.status_of(forward))
            .collect();
        let is_meant = |destination: &Destination| {
            selectors.is_empty() || forwards.iter().any(|forward| forward.destination == *destination)
        };
        let sessions = self.sessions.iter().filter(|(destination, _)| is_meant(destination));
        Everything { sessions: sessions.map(|(destination, s)| s.status(destination)).collect(), forwards }
    }
}
