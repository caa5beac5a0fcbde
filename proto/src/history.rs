//! What was: the last changes of a session, and the times at which a forward was not there.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::destination::Destination;
use crate::fault::Reason;
use crate::ids::ForwardId;
use crate::spec::{ForwardName, Tag};
use crate::status::{SessionState, SessionStatus};

/// The most outages of one forward in one answer of `forwards/history`: the newest ones.
pub const MAX_OUTAGES: usize = 200;
/// The outages in `forwards/show`: the newest ones.
pub const LAST_OUTAGES: usize = 5;

/// One change of a session's state, as its history keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionChange {
    /// When it changed.
    pub at: Timestamp,
    /// How it was; the same as `to` where only the reason changed.
    pub from: SessionState,
    /// How it was from then on.
    pub to: SessionState,
    /// Why it was not active from then on.
    pub reason: Option<Reason>,
    /// How many tries to connect had failed in a row.
    pub attempt: u32,
    /// When the next try was to come.
    pub retry_at: Option<Timestamp>,
}

/// One session with its last changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionDetail {
    /// As it is now.
    pub session: SessionStatus,
    /// Its last changes, the oldest first; at most 50.
    pub history: Vec<SessionChange>,
}

/// A time at which a forward should have been active and was not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// When it began.
    pub began: Timestamp,
    /// When it was over: active again, stopped or removed; `null` while it goes on.
    pub ended: Option<Timestamp>,
    /// How long it took, or takes until now, in seconds.
    pub seconds: f64,
    /// The first cause.
    pub reason: Option<Reason>,
    /// The cause at its end, where it is another one.
    pub last_reason: Option<Reason>,
}

/// Names a forward over all time: an id may have been given anew after the rules were lost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ForwardKey {
    /// Its id.
    pub id: ForwardId,
    /// Its name.
    pub name: ForwardName,
}

/// The outages of one forward over some time, and how much of it the forward was there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardHistory {
    /// Its id, also after it is gone.
    pub id: ForwardId,
    /// Its name, also after it is gone.
    pub name: ForwardName,
    /// Where its session goes or went.
    pub destination: Destination,
    /// Its labels.
    pub tags: Vec<Tag>,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
    /// From when on it is known how it was; later than the beginning of the time where it is newer than that.
    pub known_since: Timestamp,
    /// How long it was active, in seconds.
    pub up_seconds: f64,
    /// How long it should have been active and was not, in seconds.
    pub down_seconds: f64,
    /// `up_seconds` of both together, in percent; `null` when it was never meant to be active.
    pub availability_percent: Option<f64>,
    /// How many outages lie in the time, wholly or in part.
    pub outages_total: u64,
    /// The newest of them, the oldest first; at most 200.
    pub outages: Vec<Outage>,
}

/// One page of `forwards/history`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPage {
    /// The beginning of the time that was asked for.
    pub since: Timestamp,
    /// Its end: the clock of the daemon.
    pub until: Timestamp,
    /// The forwards, by id, removed ones among them.
    pub forwards: Vec<ForwardHistory>,
    /// Lines of the journal that could not be read and were left out.
    pub skipped_lines: u64,
    /// There are more behind the last one.
    pub more: bool,
}
