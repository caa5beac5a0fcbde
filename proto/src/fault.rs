//! Why something is not as it was asked for: what failed, where, and what to do about it.

use std::fmt;

use schemars::JsonSchema;
use serde::de::IntoDeserializer;
use serde::de::value::Error as UnknownWord;
use serde::{Deserialize, Serialize};

/// The step of a session's or a forward's life at which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the ssh configuration, the daemon's configuration or the rules.
    Config,
    /// Looking up the name of the server.
    Resolve,
    /// Connecting to the server's port.
    Tcp,
    /// Connecting through a proxy or a jump host.
    Proxy,
    /// The SSH banner and the key exchange.
    Handshake,
    /// Checking who the server is.
    HostKey,
    /// Logging in.
    Auth,
    /// Asking the server to listen or to open a channel.
    Forward,
    /// Listening on this machine.
    Bind,
    /// Connecting to the target of a forward.
    Target,
    /// Reading or writing files of this machine.
    LocalIo,
}

impl Stage {
    /// The word that people and programs see.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Config => "config",
            Stage::Resolve => "resolve",
            Stage::Tcp => "tcp",
            Stage::Proxy => "proxy",
            Stage::Handshake => "handshake",
            Stage::HostKey => "host_key",
            Stage::Auth => "auth",
            Stage::Forward => "forward",
            Stage::Bind => "bind",
            Stage::Target => "target",
            Stage::LocalIo => "local_io",
        }
    }
}

/// What went wrong. Stable: programs decide by it, and by nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The address is taken by another program or another rule.
    AddressInUse,
    /// The address does not exist on this machine.
    AddressNotAvailable,
    /// The system refuses it to this user.
    PermissionDenied,
    /// Another rule has this name.
    NameInUse,
    /// Nothing matches the selector, or there is no such session.
    NotFound,
    /// A prefix matches more than one forward.
    Ambiguous,
    /// The other side refuses connections.
    ConnectionRefused,
    /// An answer did not come in time.
    TimedOut,
    /// There is no route to the other side.
    Unreachable,
    /// The name cannot be looked up.
    NameNotResolved,
    /// The server is in no known_hosts file.
    HostKeyUnknown,
    /// The server shows another key than known_hosts has.
    HostKeyChanged,
    /// The server shows a key that is marked as revoked.
    HostKeyRevoked,
    /// The server accepts none of the credentials.
    AuthRefused,
    /// A person has to unlock a key or to answer something first.
    NeedsInput,
    /// The server stopped answering.
    KeepaliveLost,
    /// The connection to the server broke, or the server ended it.
    ConnectionLost,
    /// A person asked to end the session.
    Disconnected,
    /// The other side does not speak SSH.
    NotSsh,
    /// Both sides share no algorithm.
    NoCommonAlgorithm,
    /// The server broke the protocol.
    ProtocolError,
    /// The server is limiting connections from here.
    ServerBusy,
    /// The port is taken on the server.
    RemotePortInUse,
    /// The server refuses to listen.
    RemoteForwardRefused,
    /// There are as many sessions, rules or clients as may be.
    SessionLimit,
    /// The daemon is ending.
    DaemonStopping,
    /// Client and daemon speak different protocols.
    VersionMismatch,
    /// What was asked for cannot be.
    InvalidSpec,
    /// A configuration file cannot be used.
    InvalidConfig,
    /// The rules file cannot be used.
    InvalidRules,
    /// The rules could not be written to disk.
    NotSaved,
    /// The daemon does not run, or does not answer.
    NoDaemon,
    /// The request is not one that this side knows, or broke the protocol.
    InvalidRequest,
    /// This identity may not do this.
    Forbidden,
    /// Who asked went away or took it back.
    Aborted,
    /// A defect of alknet.
    Internal,
    /// A person stopped it, and only a person starts it again.
    Stopped,
    /// The server could not prove that the host key it shows is its own.
    HostKeyRefused,
    /// The server takes no logins of this account for now: it is expired or locked, or the server takes nobody's.
    AccountUnavailable,
    /// The agent did not sign: the key was not touched, or its use was not confirmed.
    AgentRefused,
    /// The daemon may not have more files and connections open.
    TooManyFiles,
}

impl Code {
    /// Reads the word that [`fmt::Display`] writes; `None` for a word of another version.
    pub fn from_word(word: &str) -> Option<Self> {
        let parsed: Result<Code, UnknownWord> = Code::deserialize(word.into_deserializer());
        parsed.ok()
    }
}

/// The word that programs decide by, for instance `address_in_use`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Why a forward or a session is not active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The step at which it failed.
    pub stage: Stage,
    /// What went wrong, for programs.
    pub code: Code,
    /// What went wrong, for people: one line without a final period.
    pub message: String,
    /// What to do about it, where something can be done.
    pub hint: Option<String>,
}

impl Reason {
    /// A reason without a hint. What a server may have written into `message` is made harmless.
    pub fn new(stage: Stage, code: Code, message: impl Into<String>) -> Self {
        Reason { stage, code, message: one_line(&message.into()), hint: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(one_line(&hint.into()));
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What went wrong, for programs.
    pub code: Code,
    /// What went wrong, for people: one line without a final period.
    pub message: String,
    /// Whether the same request may succeed later with nobody doing anything.
    pub retryable: bool,
    /// What to do about it, where something can be done.
    pub hint: Option<String>,
    /// The step at which it failed, where it was one of a session or a forward.
    pub stage: Option<Stage>,
}

impl Fault {
    /// A fault without a hint and without a stage, that time alone does not cure.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let retryable = matches!(code, Code::TimedOut | Code::ServerBusy | Code::NotSaved);
        Fault { code, message: one_line(&message.into()), retryable, hint: None, stage: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(one_line(&hint.into()));
        self
    }

    /// Says at which step it failed.
    #[must_use]
    pub fn at(mut self, stage: Stage) -> Self {
        self.stage = Some(stage);
        self
    }
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        let mut fault = Fault::new(reason.code, reason.message).at(reason.stage);
        fault.hint = reason.hint;
        fault
    }
}

/// The longest message that crosses the socket, in bytes. Servers write into messages.
const MAX_MESSAGE_BYTES: usize = 600;

/// One line without anything that a terminal would act upon, at most [`MAX_MESSAGE_BYTES`] long.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_MESSAGE_BYTES));
    for c in text.trim().chars() {
        let shown = harmless(c);
        if MAX_MESSAGE_BYTES < line.len() + shown.len_utf8() + '…'.len_utf8() {
            line.push('…');
            break;
        }
        line.push(shown);
    }
    line
}

/// The character, or a space where a terminal would act upon it.
pub fn harmless(c: char) -> char {
    let is_bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || is_bidi || c == '\u{2028}' || c == '\u{2029}' { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_from_a_server_cannot_paint_the_terminal() {
        assert_eq!(one_line("go\u{1b}[2J\r\nhome\u{202e}"), "go [2J  home ");
    }

    #[test]
    fn a_code_reads_back_as_it_was_printed() {
        for (code, word) in [(Code::AddressInUse, "address_in_use"), (Code::NoDaemon, "no_daemon")] {
            assert_eq!(code.to_string(), word);
            assert_eq!(Code::from_word(word), Some(code));
        }
        assert_eq!(Code::from_word("of_tomorrow"), None);
    }

    #[test]
    fn a_message_has_an_end() {
        let line = one_line(&"ä".repeat(10_000));
        assert!(line.len() <= MAX_MESSAGE_BYTES && line.ends_with('…'));
    }
}
