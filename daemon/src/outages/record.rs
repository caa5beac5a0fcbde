//! One line of the journal: how a rule was from a moment on, or that the daemon began or ended.

use alknet_proto::{Destination, ForwardId, ForwardName, Reason, Status, Tag};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Grows when an older daemon would misread a line. A line of another version is left out.
const VERSION: u32 = 1;
/// No line that this program writes is longer; what is longer is none of ours.
pub(super) const MAX_LINE_BYTES: usize = 16 * 1024;

/// One line. Each stands for itself: none needs an earlier one to be understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// A rule is so from then on.
    Rule(RuleRecord),
    /// The daemon began. `last_alive` is the last moment at which the one before is known to have run.
    Started { at: Timestamp, last_alive: Option<Timestamp> },
    /// The daemon ended in order.
    Stopped { at: Timestamp },
}

/// How one rule is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RuleRecord {
    /// When it became so.
    pub(super) at: Timestamp,
    pub(super) id: ForwardId,
    pub(super) name: ForwardName,
    pub(super) destination: Destination,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<Tag>,
    pub(super) state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
}

/// How a rule can be, as far as outages are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Starting,
    Active,
    Suspended,
    Error,
    Stopped,
    Removed,
}

impl From<Status> for State {
    fn from(status: Status) -> Self {
        match status {
            Status::Starting => State::Starting,
            Status::Active => State::Active,
            Status::Suspended => State::Suspended,
            Status::Error => State::Error,
            Status::Stopped => State::Stopped,
        }
    }
}

impl Record {
    pub(super) fn at(&self) -> Timestamp {
        match self {
            Record::Rule(rule) => rule.at,
            Record::Started { at, .. } | Record::Stopped { at } => *at,
        }
    }

    /// The line, with its newline.
    pub(super) fn line(&self) -> Vec<u8> {
        let line = match self.clone() {
            Record::Rule(rule) => Line { v: VERSION, body: Body::Rule(rule) },
            Record::Started { at, last_alive } => {
                Line { v: VERSION, body: Body::Daemon(Daemon { at, daemon: Life::Started, last_alive }) }
            }
            Record::Stopped { at } => {
                Line { v: VERSION, body: Body::Daemon(Daemon { at, daemon: Life::Stopped, last_alive: None }) }
            }
        };
        let mut bytes = serde_json::to_vec(&line).expect("a record is made of texts and numbers");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a line without its newline; `None` for whatever is not one of this version.
    pub(super) fn parse(line: &[u8]) -> Option<Record> {
        if MAX_LINE_BYTES < line.len() {
            return None;
        }
        let Line { v, body } = serde_json::from_slice(line).ok()?;
        if v != VERSION {
            return None;
        }
        Some(match body {
            Body::Rule(rule) => Record::Rule(rule),
            Body::Daemon(Daemon { at, daemon: Life::Started, last_alive }) => Record::Started { at, last_alive },
            Body::Daemon(Daemon { at, daemon: Life::Stopped, .. }) => Record::Stopped { at },
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    v: u32,
    #[serde(flatten)]
    body: Body,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Body {
    Rule(RuleRecord),
    Daemon(Daemon),
}

#[derive(Serialize, Deserialize)]
struct Daemon {
    at: Timestamp,
    daemon: Life,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_alive: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Life {
    Started,
    Stopped,
}

#[cfg(test)]
mod tests {
    use alknet_proto::{Code, Stage};

    use super::*;

    fn rule() -> RuleRecord {
        RuleRecord {
            at: "2026-01-31T12:00:00.5Z".parse().unwrap(),
            id: ForwardId(1),
            name: "web".parse().unwrap(),
            destination: "me@prod:2222".parse().unwrap(),
            tags: vec!["db".parse().unwrap()],
            state: State::Suspended,
            reason: Some(
                Reason::new(Stage::Tcp, Code::ConnectionLost, "the server \"said\" goodbye").with_hint("wait"),
            ),
        }
    }

    #[test]
    fn a_line_reads_back_and_can_be_read_by_a_person() {
        let at = rule().at;
        let plain = RuleRecord { tags: Vec::new(), state: State::Active, reason: None, ..rule() };
        for (record, text) in [
            (
                Record::Rule(plain),
                r#"{"v":1,"at":"2026-01-31T12:00:00.5Z","id":"9e3779b1","name":"web","destination":"me@prod:2222","state":"active"}"#,
            ),
            (
                Record::Started { at, last_alive: Some(at) },
                r#"{"v":1,"at":"2026-01-31T12:00:00.5Z","daemon":"started","last_alive":"2026-01-31T12:00:00.5Z"}"#,
            ),
            (Record::Stopped { at }, r#"{"v":1,"at":"2026-01-31T12:00:00.5Z","daemon":"stopped"}"#),
        ] {
            assert_eq!(String::from_utf8(record.line()).unwrap(), format!("{text}\n"));
            assert_eq!(Record::parse(text.as_bytes()), Some(record));
        }
        let full = Record::Rule(rule());
        assert_eq!(Record::parse(full.line().strip_suffix(b"\n").unwrap()), Some(full));
    }

    #[test]
    fn what_this_version_did_not_write_is_left_out() {
        let long = format!(r#"{{"v":1,"at":"2026-01-31T12:00:00Z","daemon":"stopped","x":"{}"}}"#, "x".repeat(1 << 20));
        for line in [
            &b""[..],
            b"{",
            b"\0\0\0\0",
            b"\xff\xfe",
            b"[]",
            br#"{"v":2,"at":"2026-01-31T12:00:00Z","daemon":"stopped"}"#,
            br#"{"v":1,"at":"yesterday","daemon":"stopped"}"#,
            br#"{"v":1,"at":"2026-01-31T12:00:00Z","daemon":"slept"}"#,
            br#"{"v":1,"at":"2026-01-31T12:00:00Z","id":"9e3779b1","name":"a/b","destination":"p","state":"active"}"#,
            br#"{"v":1,"at":"2026-01-31T12:00:00Z","id":"9e3779b1","name":"web","desti"#,
            long.as_bytes(),
        ] {
            assert_eq!(Record::parse(line), None, "{}", String::from_utf8_lossy(&line[..line.len().min(80)]));
        }
    }
}
