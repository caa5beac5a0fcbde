//! Final failures wait for a person, or for a change of what a person would change.

use std::collections::BTreeMap;

use alknet_proto::{Code, Destination};

use crate::action::Action;
use crate::event::Epoch;
use crate::model::{Model, Turn};
use crate::session::Phase;

/// For which failures somebody looks out, by the attempt that failed.
#[derive(Debug, Default)]
pub(crate) struct Remedies {
    failed: BTreeMap<Destination, Epoch>,
    looked_for: BTreeMap<Destination, Epoch>,
}

impl Remedies {
    /// The attempt `epoch` failed for good.
    pub(crate) fn failed(&mut self, destination: &Destination, epoch: Epoch) {
        self.failed.insert(destination.clone(), epoch);
    }

    /// Nobody names this destination any more, and whoever looked out for it ends with it.
    pub(crate) fn forget(&mut self, destination: &Destination) {
        self.failed.remove(destination);
        self.looked_for.remove(destination);
    }
}

impl Model {
    /// Somebody looks out for every failure that is final, and for no other.
    pub(crate) fn settle_remedies(&mut self, turn: &mut Turn) {
        for (destination, session) in &self.sessions {
            let cause = match &session.phase {
                Phase::Failed { cause } if !self.stopping => Some(cause.code),
                Phase::Failed { .. }
                | Phase::Idle { .. }
                | Phase::Connecting { .. }
                | Phase::Active { .. }
                | Phase::Unwanted { .. }
                | Phase::Suspended { .. } => None,
            };
            let remedies = &mut self.remedies;
            let wanted: Option<(Epoch, Code)> = cause.and_then(|code| Some((*remedies.failed.get(destination)?, code)));
            if remedies.looked_for.get(destination) == wanted.as_ref().map(|(epoch, _)| epoch) {
                continue;
            }
            if remedies.looked_for.remove(destination).is_some() {
                turn.actions.push(Action::LookAway(destination.clone()));
            }
            if let Some((epoch, code)) = wanted {
                remedies.looked_for.insert(destination.clone(), epoch);
                turn.actions.push(Action::LookOut { destination: destination.clone(), epoch, code });
            }
        }
    }

    /// What the failure of the attempt `epoch` may have been due to has changed: it is tried once more.
    pub(crate) fn mended(&mut self, destination: &Destination, epoch: Epoch, turn: &Turn) {
        let is_looked_for = self.remedies.looked_for.get(destination) == Some(&epoch);
        if let Some(session) = self.sessions.get_mut(destination).filter(|_| is_looked_for)
            && matches!(session.phase, Phase::Failed { .. })
        {
            session.retry(turn.now);
        }
    }
}
