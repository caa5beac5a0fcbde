//! Which opens wait for the server, so that its words about a refusal reach the one who asked.
//!
//! russh hands the description of a refusal to a callback that knows the channel's number, and the bare
//! refusal to the caller, who does not. They are brought together only where no mistake is possible: when
//! every open under way goes to the same target.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use alknet_proto::Target;
use tokio::sync::Semaphore;

use super::session::locked;

/// The callback follows the refusal at once; this only bounds a surprise.
const DESCRIPTION_TIMEOUT: Duration = Duration::from_millis(500);

/// The opens under way, and the descriptions that nobody has fetched yet.
#[derive(Debug)]
pub(super) struct Openings {
    state: Mutex<State>,
    /// One permit for each description that waits.
    described: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    under_way: HashMap<Target, usize>,
    descriptions: VecDeque<Option<(Target, String)>>,
}

impl Default for Openings {
    fn default() -> Self {
        Openings { state: Mutex::default(), described: Semaphore::new(0) }
    }
}

impl Openings {
    /// Counts an open as under way until `answered`.
    pub(super) fn begin(&self, target: &Target) {
        *locked(&self.state).under_way.entry(target.clone()).or_default() += 1;
    }

    pub(super) fn answered(&self, target: &Target) {
        let mut state = locked(&self.state);
        if let Some(count) = state.under_way.get_mut(target) {
            *count -= 1;
            if *count == 0 {
                state.under_way.remove(target);
            }
        }
    }

    /// Takes the server's words about a refusal. Called once for each refusal.
    pub(super) fn describe(&self, description: &str) {
        let mut state = locked(&self.state);
        let mut targets = state.under_way.keys();
        let only = match (targets.next(), targets.next()) {
            (Some(target), None) => Some((target.clone(), description.to_owned())),
            (None, _) | (Some(_), Some(_)) => None,
        };
        state.descriptions.push_back(only);
        self.described.add_permits(1);
    }

    /// The server's words about the refusal of one open to `target`; empty where they cannot be told apart.
    /// Called once for each refusal, while the open still counts as under way.
    pub(super) async fn description(&self, target: &Target) -> String {
        let Ok(Ok(permit)) = tokio::time::timeout(DESCRIPTION_TIMEOUT, self.described.acquire()).await else {
            return String::new();
        };
        permit.forget();
        match locked(&self.state).descriptions.pop_front().flatten() {
            Some((described, text)) if described == *target => text,
            Some(_) | None => String::new(),
        }
    }
}
