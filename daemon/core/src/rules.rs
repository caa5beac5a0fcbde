//! The rules as they are kept on disk.

use alknet_proto::spec::{MAX_TAGS, check_description};
use alknet_proto::{Bind, Code, Destination, Fault, ForwardId, ForwardName, ForwardSpec, Forwarding, OnSuspend, Tag};
use serde::{Deserialize, Serialize};

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

/// One rule on disk. What is at its default is left out there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a rule")]
pub struct SavedRule {
    /// Its id.
    pub id: ForwardId,
    /// Its name.
    pub name: ForwardName,
    /// Where its session goes.
    pub destination: Destination,
    /// What listens, and what its connections are connected to.
    #[serde(with = "as_option")]
    pub forwarding: Forwarding,
    /// A note for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// What happens to a connection while the session is down.
    #[serde(default)]
    pub on_suspend: OnSuspend,
    /// Connects only when the first connection comes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lazy: bool,
    /// A person stopped it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stopped: bool,
    /// Store the host key of a server that is not known yet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accept_new: bool,
    /// A lazy rule's session ends when it had no connection for this long, in seconds; 0 is never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub idle_timeout_seconds: u32,
    /// When the port is held by a dead session of this rule, end that one's process on the server.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reclaim: bool,
    /// The free port that it got, where it asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_port: Option<u16>,
}

impl SavedRule {
    /// The rule as it would be asked for.
    pub fn spec(&self) -> ForwardSpec {
        ForwardSpec {
            name: Some(self.name.clone()),
            description: self.description.clone(),
            tags: self.tags.clone(),
            on_suspend: self.on_suspend,
            lazy: self.lazy,
            stopped: self.stopped,
            accept_new: self.accept_new,
            idle_timeout_seconds: self.idle_timeout_seconds,
            reclaim: self.reclaim,
            ..ForwardSpec::new(self.destination.clone(), self.forwarding.clone())
        }
    }
}

/// Checks what the types let through: what comes over the socket or from disk has not passed a command line.
///
/// # Errors
/// `invalid_spec`, with what is wrong.
pub fn check_spec(spec: &ForwardSpec) -> Result<(), Fault> {
    let invalid = |message: String| Err(Fault::new(Code::InvalidSpec, message));
    if spec.forwarding.kind().listens_remotely() && (spec.lazy || spec.idle_timeout_seconds != 0) {
        let message = "a remote forward cannot wait for its first connection: its listener is on the server";
        return Err(
            Fault::new(Code::InvalidSpec, message).with_hint("leave --lazy and --idle-timeout out, or use -L or -D")
        );
    }
    let has_remote_port = spec.forwarding.kind().listens_remotely() && matches!(spec.forwarding.bind(), Bind::Tcp(..));
    if spec.reclaim && !has_remote_port {
        return invalid("only the port of a remote forward can be reclaimed".to_owned());
    }
    let forwarding = Forwarding::parse(spec.forwarding.kind(), &spec.forwarding.spec());
    if forwarding.as_ref() != Ok(&spec.forwarding) {
        return invalid(forwarding.err().unwrap_or_else(|| "the forwarding is not one that can be written".to_owned()));
    }
    if MAX_TAGS < spec.tags.len() {
        return invalid(format!("a forward has at most {MAX_TAGS} tags, not {}", spec.tags.len()));
    }
    spec.description.as_deref().map_or(Ok(()), check_description).or_else(invalid)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A forwarding as on the command line: `-L 127.0.0.1:8080:localhost:80`.
mod as_option {
    use alknet_proto::Forwarding;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(forwarding: &Forwarding, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(forwarding)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Forwarding, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
