//! What is waited for, and whether it is reached: pure, over what a watch has told so far.

use std::collections::BTreeMap;

use alknet_proto::{ForwardId, ForwardStatus, Status, StatusEvent};
use clap::ValueEnum;

/// The state that every selected forward shall be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Goal {
    /// Its connections are carried.
    Active,
    /// Its session is down and comes back by itself.
    Suspended,
    /// A person stopped it.
    Stopped,
    /// It does not come back before a person acts.
    Error,
    /// None is left.
    Gone,
}

/// How near a goal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every forward is there.
    Reached,
    /// Some are not.
    NotYet,
    /// This one does not get there before a person acts.
    Hopeless(Box<ForwardStatus>),
    /// There is no forward to wait for.
    Nothing,
}

impl Goal {
    /// The word that people see.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Goal::Active => "active",
            Goal::Suspended => "suspended",
            Goal::Stopped => "stopped",
            Goal::Error => "error",
            Goal::Gone => "gone",
        }
    }

    /// Whether a forward in `status` is where it shall be.
    fn is_met_by(self, status: Status) -> bool {
        match self {
            Goal::Active => status == Status::Active,
            Goal::Suspended => status == Status::Suspended,
            Goal::Stopped => status == Status::Stopped,
            Goal::Error => status == Status::Error,
            Goal::Gone => false,
        }
    }

    /// Judges all forwards that are waited for, at one moment.
    pub(crate) fn verdict<'a>(self, forwards: impl IntoIterator<Item = &'a ForwardStatus>) -> Verdict {
        let mut n_forwards = 0;
        let mut n_met = 0;
        for forward in forwards {
            n_forwards += 1;
            n_met += usize::from(self.is_met_by(forward.status));
            if self == Goal::Active && matches!(forward.status, Status::Error | Status::Stopped) {
                return Verdict::Hopeless(Box::new(forward.clone()));
            }
        }
        match (self, n_forwards) {
            (Goal::Gone, 0) => Verdict::Reached,
            (_, 0) => Verdict::Nothing,
            _ if n_met == n_forwards => Verdict::Reached,
            _ => Verdict::NotYet,
        }
    }

    /// Which forwards are not where they shall be, and why: `web is suspended: no route to prod`.
    pub(crate) fn unmet<'a>(self, forwards: impl IntoIterator<Item = &'a ForwardStatus>) -> String {
        /// More names make a line that nobody reads.
        const N_NAMED: usize = 3;
        let unmet: Vec<&ForwardStatus> = forwards.into_iter().filter(|f| !self.is_met_by(f.status)).collect();
        let mut parts: Vec<String> = unmet.iter().take(N_NAMED).map(|forward| described(forward)).collect();
        if N_NAMED < unmet.len() {
            parts.push(format!("{} more", unmet.len() - N_NAMED));
        }
        parts.join("; ")
    }
}

fn described(forward: &ForwardStatus) -> String {
    let (name, status) = (forward.name.as_str(), forward.status.word());
    match &forward.reason {
        Some(reason) => format!("{name} is {status}: {}", reason.message),
        None => format!("{name} is {status}"),
    }
}

/// The forwards as the events so far leave them.
#[derive(Debug, Default)]
pub(crate) struct View(BTreeMap<ForwardId, ForwardStatus>);

impl View {
    /// The forwards, by id.
    pub(crate) fn forwards(&self) -> impl Iterator<Item = &ForwardStatus> {
        self.0.values()
    }

    /// Those of `ids` that are there.
    pub(crate) fn of<'a>(&'a self, ids: &'a [ForwardId]) -> impl Iterator<Item = &'a ForwardStatus> {
        ids.iter().filter_map(|id| self.0.get(id))
    }

    /// Takes in forwards that were learned of otherwise.
    pub(crate) fn learn(&mut self, forwards: impl IntoIterator<Item = ForwardStatus>) {
        self.0.extend(forwards.into_iter().map(|forward| (forward.id, forward)));
    }

    /// Takes in one event; a snapshot replaces everything.
    pub(crate) fn apply(&mut self, event: &StatusEvent) {
        match event {
            StatusEvent::Snapshot(snapshot) => {
                self.0.clear();
                self.learn(snapshot.forwards.iter().cloned());
            }
            StatusEvent::ForwardAdded(added) => self.learn([added.forward.clone()]),
            StatusEvent::ForwardRemoved(removed) => {
                self.0.remove(&removed.id);
            }
            StatusEvent::ForwardStatus(changed) => {
                if let Some(forward) = self.0.get_mut(&changed.id) {
                    forward.status = changed.to;
                    forward.since = changed.at;
                    forward.reason.clone_from(&changed.reason);
                    forward.retry_at = changed.retry_at;
                    forward.bind_port = changed.bind_port;
                    forward.attempt = changed.attempt;
                }
            }
            StatusEvent::SessionStatus(_)
            | StatusEvent::Heartbeat(_)
            | StatusEvent::Lagged(_)
            | StatusEvent::Stats(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use alknet_proto::event::{ForwardAdded, ForwardChanged, ForwardRemoved, Snapshot};

    use super::*;
    use crate::sample;

    fn snapshot(forwards: &[(u32, Status)]) -> StatusEvent {
        let forwards = forwards.iter().map(|(id, status)| sample::forward(*id, &format!("f{id}"), *status)).collect();
        StatusEvent::Snapshot(Snapshot { seq: 1, forwards, sessions: Vec::new(), more: false })
    }

    fn changed(id: u32, to: Status) -> StatusEvent {
        StatusEvent::ForwardStatus(ForwardChanged {
            seq: 2,
            at: sample::NOW,
            id: ForwardId(id),
            name: format!("f{id}").parse().unwrap(),
            from: Status::Starting,
            to,
            reason: None,
            retry_at: None,
            bind_port: 8080,
            attempt: 0,
        })
    }

    fn added(id: u32, status: Status) -> StatusEvent {
        let forward = sample::forward(id, &format!("f{id}"), status);
        StatusEvent::ForwardAdded(ForwardAdded { seq: 2, at: sample::NOW, forward })
    }

    fn removed(id: u32) -> StatusEvent {
        let name = format!("f{id}").parse().unwrap();
        StatusEvent::ForwardRemoved(ForwardRemoved { seq: 2, at: sample::NOW, id: ForwardId(id), name })
    }

    /// The verdicts after each event, as words.
    fn story(goal: Goal, events: &[StatusEvent]) -> String {
        let mut view = View::default();
        let mut verdicts = Vec::new();
        for event in events {
            view.apply(event);
            verdicts.push(match goal.verdict(view.forwards()) {
                Verdict::Reached => "reached".to_owned(),
                Verdict::NotYet => "not yet".to_owned(),
                Verdict::Hopeless(forward) => format!("hopeless {}", forward.name),
                Verdict::Nothing => "nothing".to_owned(),
            });
        }
        verdicts.join(", ")
    }

    #[test]
    fn all_must_be_active_at_the_same_time() {
        use Status::{Active, Starting, Suspended};

        let events = [
            snapshot(&[(1, Starting), (2, Starting)]),
            changed(1, Active),
            changed(1, Suspended),
            changed(2, Active),
            changed(1, Active),
        ];

        assert_eq!(story(Goal::Active, &events), "not yet, not yet, not yet, not yet, reached");
    }

    #[test]
    fn a_forward_in_error_ends_a_wait_for_active_and_no_other() {
        let events = [snapshot(&[(1, Status::Active), (2, Status::Starting)]), changed(2, Status::Error)];

        assert_eq!(story(Goal::Active, &events), "not yet, hopeless f2");
        assert_eq!(story(Goal::Stopped, &events), "not yet, not yet");
        assert_eq!(story(Goal::Error, &[snapshot(&[(1, Status::Error)])]), "reached");
    }

    #[test]
    fn gone_is_reached_when_none_is_left_and_when_none_was_there() {
        let events = [snapshot(&[(1, Status::Active), (2, Status::Stopped)]), removed(1), removed(2)];

        assert_eq!(story(Goal::Gone, &events), "not yet, not yet, reached");
        assert_eq!(story(Goal::Gone, &[snapshot(&[])]), "reached");
    }

    #[test]
    fn a_stopped_forward_ends_a_wait_for_active() {
        assert_eq!(story(Goal::Active, &[snapshot(&[(1, Status::Active), (2, Status::Stopped)])]), "hopeless f2");
        assert_eq!(story(Goal::Suspended, &[snapshot(&[(1, Status::Stopped)])]), "not yet");
    }

    #[test]
    fn no_forward_at_all_is_not_active() {
        assert_eq!(
            story(Goal::Active, &[snapshot(&[]), added(1, Status::Active), removed(1)]),
            "nothing, reached, nothing"
        );
    }

    #[test]
    fn a_forward_that_comes_in_between_is_waited_for_too() {
        let events = [snapshot(&[(1, Status::Starting)]), added(2, Status::Starting), changed(1, Status::Active)];

        assert_eq!(story(Goal::Active, &events), "not yet, not yet, not yet");
    }

    #[test]
    fn a_snapshot_after_missed_events_replaces_what_was_known() {
        let events = [snapshot(&[(1, Status::Starting), (2, Status::Starting)]), snapshot(&[(2, Status::Active)])];

        assert_eq!(story(Goal::Active, &events), "not yet, reached");
    }

    #[test]
    fn who_is_not_there_is_named_with_the_reason() {
        let forwards = [sample::active("a"), sample::suspended(2, "b"), sample::forward(3, "c", Status::Stopped)];

        assert_eq!(
            Goal::Active.unmet(&forwards),
            "b is suspended: 10.0.0.1:22 did not answer within 10 s; c is stopped"
        );
        let many: Vec<ForwardStatus> = (1..=5).map(|n| sample::forward(n, "x", Status::Starting)).collect();
        assert_eq!(Goal::Active.unmet(&many), "x is starting; x is starting; x is starting; 2 more");
    }
}
