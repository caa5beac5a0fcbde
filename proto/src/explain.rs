//! What the ssh configuration makes of a destination: every value with its source, the way there, and the keys.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::destination::Destination;
use crate::forwarding::Forwarding;

/// Everything that would decide about a session to a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// As it was asked for.
    pub destination: Destination,
    /// Every value, in the order of ssh_config(5); a directive that counts several times has several.
    pub settings: Vec<Setting>,
    /// Where the connection passes, the nearest first; the last one is the server itself.
    pub hops: Vec<Hop>,
    /// The keys that would be offered to the server, in their order.
    pub keys: Vec<OfferedKey>,
    /// The files that were read, in their order.
    pub files: Vec<String>,
    /// What a person should know beside it.
    pub notices: Vec<String>,
}

impl Explanation {
    /// The settings for which a connection is refused.
    pub fn refusals(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(|setting| matches!(setting.verdict, Verdict::Refused { .. }))
    }
}

/// One directive as it holds for a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// As ssh_config(5) writes it: `HostName`.
    pub keyword: String,
    /// Its arguments, with `~`, tokens and variables filled in where that is done.
    pub values: Vec<String>,
    /// Where it comes from.
    pub source: Source,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A line of a file of the ssh configuration.
    File {
        /// The whole path.
        path: String,
        /// From 1.
        line: u32,
    },
    /// Nobody said anything.
    Default,
    /// The daemon's own configuration.
    Config,
    /// The destination as it was typed.
    Destination,
    /// A variable of the daemon's environment, by its name.
    Environment(String),
}

/// `/home/me/.ssh/config:7`, `default`, `configuration of alknet`, `destination`, `$SSH_AUTH_SOCK`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File { path, line } => write!(f, "{path}:{line}"),
            Source::Default => f.write_str("default"),
            Source::Config => f.write_str("configuration of alknet"),
            Source::Destination => f.write_str("destination"),
            Source::Environment(name) => write!(f, "${name}"),
        }
    }
}

/// What becomes of a directive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It acts as in OpenSSH.
    Honoured,
    /// It does nothing here, and that does no harm.
    Ignored {
        /// One line without a final period.
        why: String,
    },
    /// Connecting is refused because of it.
    Refused {
        /// One line without a final period.
        why: String,
    },
}

impl Verdict {
    /// The word that people and programs see.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Honoured => "honoured",
            Verdict::Ignored { .. } => "ignored",
            Verdict::Refused { .. } => "refused",
        }
    }

    /// Why it is not honoured.
    pub fn why(&self) -> Option<&str> {
        match self {
            Verdict::Honoured => None,
            Verdict::Ignored { why } | Verdict::Refused { why } => Some(why),
        }
    }
}

/// A server on the way, or the one at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// As the destination or ProxyJump names it.
    pub name: String,
    /// Who logs in there.
    pub user: String,
    /// The name or address that is connected to.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The program whose input and output are the connection to it, where there is one.
    pub command: Option<String>,
    /// What put it on the way.
    pub source: Source,
}

/// A key that would be offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferedKey {
    /// Who has it.
    pub holder: KeyHolder,
    /// For instance `ssh-ed25519`; null where it cannot be known without a passphrase.
    pub algorithm: Option<String>,
    /// `SHA256:…`; null where it cannot be known without a passphrase.
    pub fingerprint: Option<String>,
    /// What its owner wrote beside it.
    pub comment: Option<String>,
    /// Why it is not offered as it is: the file is missing, or needs a passphrase. Null where it is.
    pub remark: Option<String>,
}

/// Who has a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyHolder {
    /// A file.
    File(String),
    /// The agent at this socket.
    Agent(String),
}

impl KeyHolder {
    /// Where it is.
    pub fn path(&self) -> &str {
        match self {
            KeyHolder::File(path) | KeyHolder::Agent(path) => path,
        }
    }
}

/// A forward that the ssh configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundForward {
    /// The Host to which it belongs.
    pub destination: Destination,
    /// The line as it stands there, without what surrounds it; `Host` and its name where no line of it can be used.
    pub line: String,
    /// Where it stands.
    pub source: Source,
    /// What can be made of it.
    pub taken: Taken,
}

/// Whether a forward of somebody else can become a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// It can.
    Over(Forwarding),
    /// It cannot.
    Not {
        /// One line without a final period.
        why: String,
    },
}
