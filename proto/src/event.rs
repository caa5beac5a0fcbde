//! What a watcher is told, in order and without gaps.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::destination::Destination;
use crate::fault::Reason;
use crate::ids::{ForwardId, Seq};
use crate::spec::ForwardName;
use crate::status::{ForwardStats, ForwardStatus, SessionState, SessionStatus, Status};

/// One thing that a watcher is told.
///
/// `seq` grows by one with every change, from the clock in milliseconds at the daemon's start on. A watcher that
/// picks only some forwards sees gaps where the others changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum StatusEvent {
    /// Everything as it was after change `seq`. Starts a watch, and follows a `Lagged`.
    Snapshot(Snapshot),
    /// A forward is new.
    ForwardAdded(ForwardAdded),
    /// A forward is gone.
    ForwardRemoved(ForwardRemoved),
    /// A forward's status changed, or the reason of it.
    ForwardStatus(ForwardChanged),
    /// A session's state changed, or the reason of it.
    SessionStatus(SessionChanged),
    /// The daemon lives; every 15 s.
    Heartbeat(Heartbeat),
    /// This watcher was too slow and missed changes; a snapshot follows.
    Lagged(Lagged),
    /// What the forwards have carried and how fast; only for who asked for it. Is no change, so it has no number.
    Stats(Stats),
}

/// See [`StatusEvent::Snapshot`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// The last change that it contains.
    pub seq: Seq,
    /// The forwards, by id.
    pub forwards: Vec<ForwardStatus>,
    /// The sessions, by destination.
    pub sessions: Vec<SessionStatus>,
    /// A further snapshot with the same `seq` continues this one.
    pub more: bool,
}

/// See [`StatusEvent::ForwardAdded`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardAdded {
    /// The number of this change.
    pub seq: Seq,
    /// When it was added.
    pub at: Timestamp,
    /// As it is after the change.
    pub forward: ForwardStatus,
}

/// See [`StatusEvent::ForwardRemoved`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardRemoved {
    /// The number of this change.
    pub seq: Seq,
    /// When it was removed.
    pub at: Timestamp,
    /// The id it had.
    pub id: ForwardId,
    /// The name it had.
    pub name: ForwardName,
}

/// See [`StatusEvent::ForwardStatus`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardChanged {
    /// The number of this change.
    pub seq: Seq,
    /// When it changed.
    pub at: Timestamp,
    /// Which forward.
    pub id: ForwardId,
    /// Its name.
    pub name: ForwardName,
    /// How it was; the same as `to` where only the reason changed.
    pub from: Status,
    /// How it is.
    pub to: Status,
    /// Why it is not active.
    pub reason: Option<Reason>,
    /// When the next try comes.
    pub retry_at: Option<Timestamp>,
    /// The port that is really bound; the one asked for while none is; 0 for a Unix socket.
    pub bind_port: u16,
    /// How many tries have failed in a row.
    pub attempt: u32,
}

/// See [`StatusEvent::SessionStatus`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionChanged {
    /// The number of this change.
    pub seq: Seq,
    /// When it changed.
    pub at: Timestamp,
    /// Which session.
    pub destination: Destination,
    /// How it was; the same as `to` where only the reason changed.
    pub from: SessionState,
    /// How it is.
    pub to: SessionState,
    /// Why it is not active.
    pub reason: Option<Reason>,
    /// How many tries to connect have failed in a row.
    pub attempt: u32,
    /// When the next try comes.
    pub retry_at: Option<Timestamp>,
}

/// See [`StatusEvent::Heartbeat`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// The last change there was.
    pub seq: Seq,
    /// The daemon's clock.
    pub at: Timestamp,
}

/// See [`StatusEvent::Lagged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lagged {
    /// The last change there was.
    pub seq: Seq,
    /// The daemon's clock.
    pub at: Timestamp,
}

/// See [`StatusEvent::Stats`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// The daemon's clock.
    pub at: Timestamp,
    /// Every forward that the watcher picks, by id.
    pub forwards: Vec<ForwardTraffic>,
    /// The time that the rates are of, in seconds: since the figures before, which this watcher was told, or since it
    /// began to watch. Longer than was asked for where the watcher was slow.
    pub interval_seconds: f64,
}

/// What one forward has carried, and how fast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardTraffic {
    /// Which forward.
    pub id: ForwardId,
    /// Its name.
    pub name: ForwardName,
    /// What it has carried since the daemon started.
    pub stats: ForwardStats,
    /// How fast that grew.
    pub rates: ForwardRates,
}

/// How fast the figures of a forward grew within the interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardRates {
    /// Growth of `bytes_sent` in a second.
    pub bytes_sent_per_second: u64,
    /// Growth of `bytes_received` in a second.
    pub bytes_received_per_second: u64,
    /// Growth of `connections_total` in a second.
    pub connections_per_second: f64,
}

impl StatusEvent {
    /// The word in the field `event` of the JSON form.
    pub fn word(&self) -> &'static str {
        match self {
            StatusEvent::Snapshot(_) => "snapshot",
            StatusEvent::ForwardAdded(_) => "forward_added",
            StatusEvent::ForwardRemoved(_) => "forward_removed",
            StatusEvent::ForwardStatus(_) => "forward_status",
            StatusEvent::SessionStatus(_) => "session_status",
            StatusEvent::Heartbeat(_) => "heartbeat",
            StatusEvent::Lagged(_) => "lagged",
            StatusEvent::Stats(_) => "stats",
        }
    }
}

/// The JSON form of an event: one flat object that begins with `event`.
///
/// The derived form of [`StatusEvent`] is for the socket, where a tag inside an object cannot be read.
pub struct Flat<'a>(pub &'a StatusEvent);

#[derive(Serialize)]
struct Line<'a, T> {
    event: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

impl Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0.word();
        match self.0 {
            StatusEvent::Snapshot(body) => Line { event, body }.serialize(serializer),
            StatusEvent::ForwardAdded(body) => Line { event, body }.serialize(serializer),
            StatusEvent::ForwardRemoved(body) => Line { event, body }.serialize(serializer),
            StatusEvent::ForwardStatus(body) => Line { event, body }.serialize(serializer),
            StatusEvent::SessionStatus(body) => Line { event, body }.serialize(serializer),
            StatusEvent::Heartbeat(body) => Line { event, body }.serialize(serializer),
            StatusEvent::Lagged(body) => Line { event, body }.serialize(serializer),
            StatusEvent::Stats(body) => Line { event, body }.serialize(serializer),
        }
    }
}
