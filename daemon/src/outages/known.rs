//! How every rule is now, for lines that say it again: at the beginning of a file, and after lines were lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alknet_core::SavedRules;
use alknet_proto::{ForwardId, StatusEvent};
use jiff::Timestamp;

use super::record::{RuleRecord, State};

/// How every rule is now. Clones are the same; the lock is only ever held for a few instructions.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    rules: Arc<Mutex<BTreeMap<ForwardId, RuleRecord>>>,
    has_missed: Arc<AtomicBool>,
}

impl Known {
    /// The rules that the daemon starts with at `now`.
    pub(super) fn of(rules: &SavedRules, now: Timestamp) -> Self {
        let known = Known::default();
        for rule in &rules.rules {
            known.rules().insert(
                rule.id,
                RuleRecord {
                    at: now,
                    id: rule.id,
                    name: rule.name.clone(),
                    destination: rule.destination.clone(),
                    tags: rule.tags.clone(),
                    state: if rule.stopped { State::Stopped } else { State::Starting },
                    reason: None,
                },
            );
        }
        known
    }

    /// Takes in a change; the line that says it, where one is due.
    pub(super) fn learn(&self, event: &StatusEvent) -> Option<RuleRecord> {
        let mut rules = self.rules();
        match event {
            StatusEvent::ForwardAdded(added) => {
                let forward = &added.forward;
                let record = RuleRecord {
                    at: added.at,
                    id: forward.id,
                    name: forward.name.clone(),
                    destination: forward.destination.clone(),
                    tags: forward.tags.clone(),
                    state: forward.status.into(),
                    reason: forward.reason.clone(),
                };
                rules.insert(forward.id, record.clone());
                Some(record)
            }
            StatusEvent::ForwardRemoved(removed) => {
                let rule = rules.remove(&removed.id)?;
                Some(RuleRecord { at: removed.at, state: State::Removed, reason: None, ..rule })
            }
            StatusEvent::ForwardStatus(changed) => {
                let rule = rules.get_mut(&changed.id)?;
                let state = State::from(changed.to);
                // Where only the reason changes, each try would make a line, and the first cause is what counts.
                if rule.state == state {
                    return None;
                }
                (rule.at, rule.state, rule.reason) = (changed.at, state, changed.reason.clone());
                Some(rule.clone())
            }
            StatusEvent::Snapshot(_)
            | StatusEvent::SessionStatus(_)
            | StatusEvent::Heartbeat(_)
            | StatusEvent::Lagged(_)
            | StatusEvent::Stats(_) => None,
        }
    }

    /// A line was lost.
    pub(super) fn miss(&self) {
        self.has_missed.store(true, Relaxed);
    }

    /// Whether lines were lost since this was asked last.
    pub(super) fn has_missed(&self) -> bool {
        self.has_missed.swap(false, Relaxed)
    }

    /// Every rule as it is now, by id.
    pub(super) fn all(&self) -> Vec<RuleRecord> {
        self.rules().values().cloned().collect()
    }

    fn rules(&self) -> MutexGuard<'_, BTreeMap<ForwardId, RuleRecord>> {
        // A panic of another holder leaves nothing half done there.
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
