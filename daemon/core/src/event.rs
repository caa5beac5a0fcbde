//! What happened: the only way in which anything reaches the model.

use std::time::Duration;

use alknet_proto::status::Algorithms;
use alknet_proto::{Destination, ForwardId, Operation, Reason, RequestId};

use crate::host::Host;
use crate::limits::{IDLE_TIMEOUT, MAX_LINKS, MAX_SESSIONS};
use crate::rules::SavedRules;

/// Names one client connection of one daemon run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Numbers attempts to connect and attempts to listen, over all sessions and forwards of one run.
///
/// It only grows, so that late news of an earlier attempt is never taken for news of the present one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The next number, which is the latest from now on.
    pub(crate) fn next(&mut self) -> Epoch {
        self.0 += 1;
        *self
    }
}

/// Which request of which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// The client's connection.
    pub client: ClientId,
    /// The id that the client chose.
    pub request: RequestId,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The rules were read from disk. Comes once, first.
    Loaded(SavedRules),
    /// A client asks for something.
    Requested {
        /// Who asks.
        call: Call,
        /// What.
        operation: Operation,
        /// How long the client waits for the answer.
        timeout: Duration,
    },
    /// A client takes a request back.
    Aborted(Call),
    /// A client's connection ended.
    ClientGone(ClientId),
    /// A client was too slow for a subscription and can take messages again.
    CaughtUp(Call),

    /// A listener listens: here, or on the server for a remote forward.
    ListenerBound {
        /// Whose listener.
        forward: ForwardId,
        /// Which attempt to listen.
        epoch: Epoch,
        /// The port that is really bound; `None` for a Unix socket.
        port: Option<u16>,
        /// What a person should know, for instance that one address family is missing.
        notices: Vec<String>,
    },
    /// A listener could not listen.
    ListenerRefused {
        /// Whose listener.
        forward: ForwardId,
        /// Which attempt to listen.
        epoch: Epoch,
        /// Why.
        reason: Reason,
    },
    /// A listener ended because it was told to; its port is free.
    ListenerClosed {
        /// Whose listener.
        forward: ForwardId,
        /// Which attempt to listen.
        epoch: Epoch,
    },
    /// A listener of a lazy forward got its first connection (`true`) or lost its last one (`false`).
    InUse {
        /// Whose listener.
        forward: ForwardId,
        /// Whether it carries or holds a connection now.
        in_use: bool,
    },

    /// A session is logged in.
    Connected {
        /// Where it goes.
        destination: Destination,
        /// Which attempt.
        epoch: Epoch,
        /// Who is there and what was agreed on.
        peer: Peer,
    },
    /// An attempt failed, or a session that was logged in ended.
    Lost {
        /// Where it went.
        destination: Destination,
        /// Which attempt.
        epoch: Epoch,
        /// Why.
        reason: Reason,
    },

    /// Connections would rather have a further link: those that are there are full or busy.
    Crowded {
        /// Where they go.
        destination: Destination,
    },
    /// A link got its first channel (`true`) or lost its last one (`false`).
    LinkInUse {
        /// Where it goes.
        destination: Destination,
        /// The number of its attempt.
        epoch: Epoch,
        /// Whether channels are open.
        in_use: bool,
    },
    /// A link should be replaced while it still works: it carried too much, lived too long, or left from an address
    /// that this machine would not use any more.
    Worn {
        /// Where it goes.
        destination: Destination,
        /// The number of its attempt.
        epoch: Epoch,
    },

    /// The rules are on disk up to this revision.
    Saved {
        /// The revision of the newest rules on disk.
        revision: u64,
    },
    /// The rules of this revision could not be written.
    NotSaved {
        /// The revision.
        revision: u64,
        /// Why.
        reason: Reason,
    },

    /// A listener that listens takes no connections for the time being, or takes them again.
    ListenerHampered {
        /// Whose listener.
        forward: ForwardId,
        /// Which attempt to listen.
        epoch: Epoch,
        /// Why; `None` when it takes them again.
        reason: Option<Reason>,
    },

    /// A deadline has come.
    Tick,
    /// The machine slept, or its addresses changed: sessions that look alive may be dead, and those that failed
    /// may get through now.
    Roused,
    /// A person or the system asks every session that is down to try at once.
    RetryAll,
    /// The daemon is asked to end.
    ShutdownAsked,
    /// What a final failure may be due to has changed: the configuration, a key file, known_hosts, or the keys of the agent.
    Mended {
        /// Where it went.
        destination: Destination,
        /// The number of the attempt that failed.
        epoch: Epoch,
    },
    /// An attempt knows which server it has to connect to and waits for `Admit`. It comes once for every server on the
    /// way; by then it is logged in at the one before.
    Knocks {
        /// Where it goes in the end.
        destination: Destination,
        /// The number of the attempt.
        epoch: Epoch,
        /// The server that it connects to now.
        host: Host,
    },
    /// What a person chose for all sessions; comes before anything else, and when it changes.
    Configured(Options),
}

/// What a person may choose about the decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many links one destination may have, 1 or more.
    pub max_links: usize,
    /// How many links there may be in all, 1 or more.
    pub max_sessions: usize,
    /// How long a session that is logged in stays so when nobody wants it; `None` is for as long as the daemon runs.
    pub idle_timeout: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Options { max_links: MAX_LINKS, max_sessions: MAX_SESSIONS, idle_timeout: Some(IDLE_TIMEOUT) }
    }
}

/// Who answered at the other end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address that was connected to.
    pub address: String,
    /// Who is logged in.
    pub user: String,
    /// What the server says it is.
    pub server_version: String,
    /// What was agreed on.
    pub algorithms: Algorithms,
    /// Somebody had to do something for the login, such as touching a key: there is none without need.
    pub needs_person: bool,
}
