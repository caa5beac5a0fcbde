//! What a client can ask for, and what it gets.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::destination::Destination;
use crate::event::StatusEvent;
use crate::explain::{Explanation, FoundForward};
use crate::history::{ForwardKey, HistoryPage};
use crate::ids::{ForwardId, Seq};
use crate::selector::Selector;
use crate::spec::{ForwardName, ForwardSpec};
use crate::status::{DaemonStatus, ForwardDetail, ForwardStatus, SessionStatus};

/// The most forwards that one call may add.
pub const MAX_ADDED_AT_ONCE: usize = 100;
/// How many forwards or sessions one answer or snapshot carries; more come in further ones.
///
/// The longest status has some 3 KiB, so a full page stays below the limit of a frame.
pub const PAGE: usize = 256;

/// The shortest and the longest time between two [`crate::event::Stats`] that a watcher may ask for, in milliseconds.
pub const STATS_PERIOD_MS: std::ops::RangeInclusive<u32> = 100..=86_400_000;

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operation {
    /// `daemon/ping`: is it there?
    Ping,
    /// `daemon/status`: version, process, uptime.
    DaemonStatus,
    /// `daemon/shutdown`: an orderly stop; answered before it begins.
    Shutdown,
    /// `forwards/add`: all of them or none; answered when they listen and are on disk.
    AddForwards(Vec<ForwardSpec>),
    /// `forwards/remove`: answered when the ports are free and the rules are off the disk.
    RemoveForwards(Vec<Selector>),
    /// `forwards/start`: brings stopped forwards back.
    StartForwards(Vec<Selector>),
    /// `forwards/stop`: keeps the rules, closes the listeners, cancels every retry.
    StopForwards(Vec<Selector>),
    /// `forwards/restart`: stop and start what is not stopped; a failed session tries again.
    RestartForwards(Vec<Selector>),
    /// `forwards/list`: at most [`PAGE`] of them, by id, those behind `after`.
    ListForwards {
        /// Which ones; none means all.
        selectors: Vec<Selector>,
        /// The last one of the page before.
        after: Option<ForwardId>,
    },
    /// `forwards/show`: one forward with its history.
    ShowForward(Selector),
    /// `sessions/list`: at most [`PAGE`] of them, by destination, those behind `after`.
    ListSessions {
        /// The last one of the page before.
        after: Option<Destination>,
    },
    /// `sessions/retry`: connect now what is down; none means all.
    RetrySessions(Vec<Destination>),
    /// `sessions/disconnect`: ends the session; its forwards come back with `retry`.
    DisconnectSession(Destination),
    /// `events/watch`: a subscription to every change.
    Watch {
        /// Which forwards; none means all.
        selectors: Vec<Selector>,
        /// Resume behind this change where the daemon remembers it; else begin with a snapshot.
        since: Option<Seq>,
        /// Tell what they carry, and how fast, every so many milliseconds, see [`STATS_PERIOD_MS`].
        stats_ms: Option<u32>,
    },
    /// `services/list`: the operations that this caller may use.
    ListServices,
    /// `services/schema`: one operation in full.
    ServiceSchema(String),
    /// `destinations/explain`: what the ssh configuration makes of a destination, be there a session to it or not.
    Explain(Destination),
    /// `destinations/forwards`: the forwards that the ssh configuration asks for, at most [`PAGE`] of them.
    FindForwards {
        /// Of which Hosts; none means every Host without a pattern.
        destinations: Vec<Destination>,
        /// How many of them are known from earlier pages.
        skip: u32,
    },
    /// `forwards/history`: one page of outages and availability, by id, those behind `after`.
    History {
        /// Which ones, removed ones among them; none means all that were there in the time.
        selectors: Vec<Selector>,
        /// From when on, until now.
        since: Timestamp,
        /// The last one of the page before.
        after: Option<ForwardKey>,
    },
    /// `sessions/renew`: a new link takes the place of the old one, which goes on for the connections that it has;
    /// answered when the new one is there.
    RenewSession(Destination),
    /// `daemon/reload`: reads the daemon's configuration again; answered with what changed.
    Reload,
}

/// Whether an operation reads, changes or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Reads; changes nothing.
    Query,
    /// Changes something.
    Mutation,
    /// Answers many times, until one side ends it.
    Subscription,
}

impl Operation {
    /// The name by which `services/list` and access control know it.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Ping => "daemon/ping",
            Operation::DaemonStatus => "daemon/status",
            Operation::Shutdown => "daemon/shutdown",
            Operation::AddForwards(_) => "forwards/add",
            Operation::RemoveForwards(_) => "forwards/remove",
            Operation::StartForwards(_) => "forwards/start",
            Operation::StopForwards(_) => "forwards/stop",
            Operation::RestartForwards(_) => "forwards/restart",
            Operation::ListForwards { .. } => "forwards/list",
            Operation::ShowForward(_) => "forwards/show",
            Operation::ListSessions { .. } => "sessions/list",
            Operation::RetrySessions(_) => "sessions/retry",
            Operation::DisconnectSession(_) => "sessions/disconnect",
            Operation::Watch { .. } => "events/watch",
            Operation::ListServices => "services/list",
            Operation::ServiceSchema(_) => "services/schema",
            Operation::Explain(_) => "destinations/explain",
            Operation::FindForwards { .. } => "destinations/forwards",
            Operation::History { .. } => "forwards/history",
            Operation::RenewSession(_) => "sessions/renew",
            Operation::Reload => "daemon/reload",
        }
    }

    /// Whether it reads, changes or goes on.
    pub fn kind(&self) -> OperationKind {
        match self {
            Operation::Ping
            | Operation::DaemonStatus
            | Operation::ListForwards { .. }
            | Operation::ShowForward(_)
            | Operation::ListSessions { .. }
            | Operation::ListServices
            | Operation::ServiceSchema(_)
            | Operation::Explain(_)
            | Operation::FindForwards { .. }
            | Operation::History { .. } => OperationKind::Query,
            Operation::Shutdown
            | Operation::Reload
            | Operation::AddForwards(_)
            | Operation::RemoveForwards(_)
            | Operation::StartForwards(_)
            | Operation::StopForwards(_)
            | Operation::RestartForwards(_)
            | Operation::RetrySessions(_)
            | Operation::DisconnectSession(_)
            | Operation::RenewSession(_) => OperationKind::Mutation,
            Operation::Watch { .. } => OperationKind::Subscription,
        }
    }
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Output {
    /// It was done and there is nothing to add. Answers `ping` and `shutdown`.
    Done,
    /// Answers `daemon/status`.
    Daemon(DaemonStatus),
    /// Answers `forwards/add`.
    Added {
        /// The forwards as they are now.
        forwards: Vec<ForwardStatus>,
        /// What a person should know about them, for instance that a port is open to other machines.
        notices: Vec<String>,
    },
    /// Answers `forwards/remove`, `start`, `stop` and `restart`: what it was done to.
    Changed(Vec<ForwardRef>),
    /// Answers `forwards/list`.
    Forwards {
        /// One page.
        forwards: Vec<ForwardStatus>,
        /// There are more behind the last one.
        more: bool,
    },
    /// Answers `forwards/show`.
    Forward(Box<ForwardDetail>),
    /// Answers `sessions/list`.
    Sessions {
        /// One page.
        sessions: Vec<SessionStatus>,
        /// There are more behind the last one.
        more: bool,
    },
    /// Answers `sessions/retry`, `sessions/disconnect` and `sessions/renew`: what it was done to.
    Destinations(Vec<Destination>),
    /// Answers `events/watch`, many times.
    Event(StatusEvent),
    /// Answers `services/list`.
    Services(Vec<ServiceSummary>),
    /// Answers `services/schema`.
    Schema(Box<ServiceSchema>),
    /// Answers `destinations/explain`.
    Explanation(Box<Explanation>),
    /// Answers `destinations/forwards`.
    FoundForwards {
        /// One page, in the order of the Hosts and of their lines.
        forwards: Vec<FoundForward>,
        /// There are more behind the last one.
        more: bool,
    },
    /// Answers `forwards/history`.
    History(HistoryPage),
    /// Answers `daemon/reload`.
    Reloaded {
        /// The settings that are others now, by their names in the file.
        changed: Vec<String>,
        /// What a person should know about them.
        notices: Vec<String>,
    },
}

/// Names a forward in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardRef {
    /// Its id.
    pub id: ForwardId,
    /// Its name.
    pub name: ForwardName,
    /// `forwards/restart` left it stopped, as a person wanted it: only `forwards/start` brings it back.
    pub left_stopped: bool,
}

/// One line of `services/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceSummary {
    /// For instance `forwards/add`.
    pub name: String,
    /// Whether it reads, changes or goes on.
    pub kind: OperationKind,
    /// What it does, in one line.
    pub description: String,
}

/// The answer to `services/schema`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceSchema {
    /// Name, kind and description.
    pub summary: ServiceSummary,
    /// The JSON Schema of what it takes, as text.
    pub input_schema: String,
    /// The JSON Schema of what it answers, as text.
    pub output_schema: String,
    /// The codes of the faults that it may answer.
    pub errors: Vec<crate::fault::Code>,
    /// Who may call it.
    pub access: String,
}
