//! The rules as they are kept on disk.

use alknet_proto::{Destination, ForwardId, ForwardName, Forwarding, OnSuspend, Tag};

/// Every rule that outlives the daemon, and what is needed to go on counting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedRules {
    /// Grows with every change of one run; not kept on disk.
    pub revision: u64,
    /// The number that the next forward gets.
    pub next_id: u32,
    /// The rules, by id.
    pub rules: Vec<SavedRule>,
}

/// One rule on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRule {
    /// Its id.
    pub id: ForwardId,
    /// Its name.
    pub name: ForwardName,
    /// Where its session goes.
    pub destination: Destination,
    /// What listens, and what its connections are connected to.
    pub forwarding: Forwarding,
    /// A note for people.
    pub description: Option<String>,
    /// Labels.
    pub tags: Vec<Tag>,
    /// What happens to a connection while the session is down.
    pub on_suspend: OnSuspend,
    /// Connects only when the first connection comes.
    pub lazy: bool,
    /// A person stopped it.
    pub stopped: bool,
    /// Store the host key of a server that is not known yet.
    pub accept_new: bool,
    /// A lazy rule's session ends when it had no connection for this long, in seconds; 0 is never.
    pub idle_timeout_seconds: u32,
    /// The free port that it got, where it asked for one.
    pub earlier_port: Option<u16>,
}
