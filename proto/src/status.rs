//! What a person sees of forwards, sessions and the daemon; in JSON, the contract of every `--json`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::destination::Destination;
use crate::fault::Reason;
use crate::forwarding::{Bind, ForwardKind, Forwarding, Target};
use crate::history::{Outage, SessionDetail};
use crate::ids::ForwardId;
use crate::spec::{ForwardName, OnSuspend, Tag};

/// How a forward is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// On its way up for the first time.
    Starting,
    /// Its connections are carried.
    Active,
    /// Was up or tried to be; comes back by itself, or by `retry` where the reason says so.
    Suspended,
    /// A person stopped it; only a person starts it again.
    Stopped,
    /// Does not come back before a person acts.
    Error,
}

impl Status {
    /// The word that people and programs see.
    pub fn word(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Active => "active",
            Status::Suspended => "suspended",
            Status::Stopped => "stopped",
            Status::Error => "error",
        }
    }
}

/// One forward, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardStatus {
    /// Names it for as long as it exists.
    pub id: ForwardId,
    /// Names it for people; unique.
    pub name: ForwardName,
    /// Which of the four kinds it is.
    pub kind: ForwardKind,
    /// Where its session goes.
    pub destination: Destination,
    /// The address it listens at; empty when it listens at `bind_path`.
    pub bind_address: String,
    /// The port that is really bound; the one asked for while none is; 0 with `bind_path`.
    pub bind_port: u16,
    /// The Unix socket it listens at.
    pub bind_path: Option<String>,
    /// What connections are connected to; empty for SOCKS rules and with `target_path`.
    pub target_host: String,
    /// The port of the target; 0 for SOCKS rules and with `target_path`.
    pub target_port: u16,
    /// The Unix socket that connections are connected to.
    pub target_path: Option<String>,
    /// How it is.
    pub status: Status,
    /// Why it is not active.
    pub reason: Option<Reason>,
    /// Since when it is so.
    pub since: Timestamp,
    /// How many tries to connect have failed in a row.
    pub attempt: u32,
    /// When the next try comes.
    pub retry_at: Option<Timestamp>,
    /// A note for people.
    pub description: Option<String>,
    /// Labels that selectors can pick by.
    pub tags: Vec<Tag>,
    /// Connects only when the first connection comes.
    pub lazy: bool,
    /// Is forgotten when the daemon ends.
    pub ephemeral: bool,
    /// What happens to a new connection while the session is down.
    pub on_suspend: OnSuspend,
    /// What it has carried since the daemon started.
    pub stats: ForwardStats,
    /// Of a remote rule: ends the server's process of a dead session of this rule that still holds the port.
    pub reclaim: bool,
}

impl ForwardStatus {
    /// `127.0.0.1:8080`, or the path of the socket.
    pub fn listen(&self) -> String {
        match &self.bind_path {
            Some(path) => path.clone(),
            None => host_port(&self.bind_address, self.bind_port),
        }
    }

    /// `localhost:80`, the path of the socket, or `socks`.
    pub fn target(&self) -> String {
        match (&self.target_path, self.kind) {
            (Some(path), _) => path.clone(),
            (None, ForwardKind::Dynamic | ForwardKind::RemoteDynamic) => "socks".to_owned(),
            (None, ForwardKind::Local | ForwardKind::Remote) => host_port(&self.target_host, self.target_port),
        }
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What a [`Forwarding`] looks like in a [`ForwardStatus`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// See [`ForwardStatus::bind_address`].
    pub bind_address: String,
    /// See [`ForwardStatus::bind_port`].
    pub bind_port: u16,
    /// See [`ForwardStatus::bind_path`].
    pub bind_path: Option<String>,
    /// See [`ForwardStatus::target_host`].
    pub target_host: String,
    /// See [`ForwardStatus::target_port`].
    pub target_port: u16,
    /// See [`ForwardStatus::target_path`].
    pub target_path: Option<String>,
}

impl From<&Forwarding> for Ends {
    fn from(forwarding: &Forwarding) -> Self {
        let (bind_address, bind_port, bind_path) = match forwarding.bind() {
            Bind::Tcp(address, port) => (address.as_str().to_owned(), *port, None),
            Bind::Unix(path) => (String::new(), 0, Some(path.clone())),
        };
        let (target_host, target_port, target_path) = match forwarding.target() {
            Some(Target::Tcp(host, port)) => (host.clone(), *port, None),
            Some(Target::Unix(path)) => (String::new(), 0, Some(path.clone())),
            None => (String::new(), 0, None),
        };
        Ends { bind_address, bind_port, bind_path, target_host, target_port, target_path }
    }
}

/// What a forward has carried since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardStats {
    /// Connections that are open now.
    pub connections_active: u64,
    /// Connections that were accepted, the refused ones among them.
    pub connections_total: u64,
    /// Connections that could not be carried: no session, or the target refused.
    pub connections_refused: u64,
    /// Payload bytes from the side that listens towards the target.
    pub bytes_sent: u64,
    /// Payload bytes from the target towards the side that listens.
    pub bytes_received: u64,
}

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Nothing wants it; it may still be logged in.
    Idle,
    /// A try to connect is under way.
    Connecting,
    /// Logged in.
    Active,
    /// Waits for the next try.
    Suspended,
    /// A person has to answer something.
    NeedsInput,
    /// Does not come back before a person acts.
    Failed,
}

impl SessionState {
    /// The word that people and programs see.
    pub fn word(self) -> &'static str {
        match self {
            SessionState::Idle => "idle",
            SessionState::Connecting => "connecting",
            SessionState::Active => "active",
            SessionState::Suspended => "suspended",
            SessionState::NeedsInput => "needs_input",
            SessionState::Failed => "failed",
        }
    }
}

/// One session, as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionStatus {
    /// Where it goes, as the rules name it.
    pub destination: Destination,
    /// How it is.
    pub state: SessionState,
    /// Why it is not active.
    pub reason: Option<Reason>,
    /// Since when it is so.
    pub since: Timestamp,
    /// How many tries to connect have failed in a row.
    pub attempt: u32,
    /// When the next try comes.
    pub retry_at: Option<Timestamp>,
    /// The address of the server, while logged in.
    pub peer: Option<String>,
    /// Who is logged in.
    pub user: Option<String>,
    /// What the server says it is, while logged in.
    pub server_version: Option<String>,
    /// What was agreed on, while logged in.
    pub algorithms: Option<Algorithms>,
    /// The last measured round trip to the server, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Channels that are open now.
    pub channels: u64,
    /// Payload bytes to the server, over all its connections since the daemon started.
    pub bytes_sent: u64,
    /// Payload bytes from the server, over all its connections since the daemon started.
    pub bytes_received: u64,
    /// Accepted connections that wait for a link now.
    pub waiting: u64,
    /// The SSH connections that it consists of: the first one, and further ones under load or while it is replaced.
    pub links: Vec<LinkStatus>,
    /// When it ends by itself, while it is logged in and nothing wants it; `null` where it does not.
    pub idle_until: Option<Timestamp>,
}

/// One SSH connection of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkStatus {
    /// The number of its attempt, as in the log.
    pub number: u64,
    /// What it is for.
    pub role: LinkRole,
    /// Since when it is logged in; for an attempt, since when it tries.
    pub since: Timestamp,
    /// Channels that are open now.
    pub channels: u64,
    /// Bytes that came from the server and that programs have not taken yet.
    pub buffered_bytes: u64,
    /// A program reads so slowly that new connections go elsewhere.
    pub sealed: bool,
    /// Payload bytes to the server.
    pub bytes_sent: u64,
    /// Payload bytes from the server.
    pub bytes_received: u64,
}

/// What a link is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkRole {
    /// Carries everything, and what the server listens for.
    #[default]
    First,
    /// Was opened because the others were full or busy.
    Further,
    /// Takes nothing new and ends with its last connection.
    Retiring,
    /// Is being brought up.
    Opening,
}

impl LinkRole {
    /// The word that people and programs see.
    pub fn word(self) -> &'static str {
        match self {
            LinkRole::First => "first",
            LinkRole::Further => "further",
            LinkRole::Retiring => "retiring",
            LinkRole::Opening => "opening",
        }
    }
}

/// What the two sides of a session agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Algorithms {
    /// Key exchange.
    pub kex: String,
    /// The server's key.
    pub host_key: String,
    /// Encryption, the same both ways.
    pub cipher: String,
    /// Integrity; empty where the cipher brings its own.
    pub mac: String,
    /// What of it is weaker than it could be, each as one line: «curve25519-sha256 is not post-quantum».
    pub weak: Vec<String>,
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DaemonStatus {
    /// The version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// How long it runs, in seconds.
    pub uptime_seconds: u64,
    /// The version of the control protocol it speaks.
    pub protocol: u16,
    /// The control socket or pipe.
    pub socket: String,
    /// The folder of the rules.
    pub state_dir: String,
    /// Descriptors that it has open: files, listeners, connections; where the system says.
    pub descriptors_open: Option<u64>,
    /// Descriptors that it may have open, where there is such a limit.
    pub descriptors_limit: Option<u64>,
    /// How much of everything there may be.
    pub limits: Limits,
}

/// How much of everything there may be; those that can be chosen have the names of their settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// SSH connections in all.
    pub max_sessions: u64,
    /// SSH connections of one destination.
    pub max_sessions_per_destination: u64,
    /// So many busy channels are enough for one SSH connection: a new connection gets another one.
    pub busy_channels_per_session: u64,
    /// Open connections of one rule.
    pub max_connections_per_rule: u64,
    /// Connections of one rule that wait for a session.
    pub waiting_connections_per_rule: u64,
    /// Handshakes that end in no login, of one destination.
    pub handshakes_per_minute: u64,
    /// Rules.
    pub max_forwards: u64,
    /// How long a session that nothing wants stays logged in, in seconds; 0 is for as long as the daemon runs.
    pub idle_timeout: u64,
}

/// A question that a session asks a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prompt {
    /// Names the question.
    pub id: u64,
    /// The session that asks.
    pub destination: Destination,
    /// What is asked.
    pub message: String,
}

/// One change of a forward's status, as its history keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// When it changed.
    pub at: Timestamp,
    /// How it was.
    pub from: Status,
    /// How it was from then on.
    pub to: Status,
    /// Why it was not active from then on.
    pub reason: Option<Reason>,
    /// How many tries had failed in a row.
    pub attempt: u32,
    /// When the next try was to come.
    pub retry_at: Option<Timestamp>,
}

/// One forward in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardDetail {
    /// As it is now.
    pub forward: ForwardStatus,
    /// Its last changes, the oldest first; at most 50.
    pub history: Vec<Change>,
    /// The last connection that could not be carried, since the daemon started.
    pub last_refusal: Option<Refusal>,
    /// Its session with its last changes; `null` while nothing ever wanted one.
    pub session: Option<SessionDetail>,
    /// Its last outages, the oldest first; at most 5.
    pub outages: Vec<Outage>,
}

/// A connection that could not be carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// When it was refused.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}
