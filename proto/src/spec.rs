//! What a person asks for when adding a forward.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::destination::Destination;
use crate::forwarding::Forwarding;

/// How long a new connection waits for a suspended session, unless the rule says otherwise.
pub const DEFAULT_HOLD: Duration = Duration::from_secs(10);
const MAX_HOLD: Duration = Duration::from_secs(3600);
/// The longest name of a rule, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest tag, in bytes.
pub const MAX_TAG_BYTES: usize = 32;
/// The most tags of one rule.
pub const MAX_TAGS: usize = 8;
/// The longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 256;

/// One forward as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardSpec {
    /// Where its session goes.
    pub destination: Destination,
    /// What listens, and what is connected to.
    pub forwarding: Forwarding,
    /// Its name; without one the daemon finds a readable one.
    pub name: Option<ForwardName>,
    /// A note for people.
    pub description: Option<String>,
    /// Labels that selectors can pick by.
    pub tags: Vec<Tag>,
    /// What happens to a new connection while the session is down.
    pub on_suspend: OnSuspend,
    /// Connect only when the first connection comes.
    pub lazy: bool,
    /// Forget the rule when the daemon ends.
    pub ephemeral: bool,
    /// Keep the rule, do not start it.
    pub stopped: bool,
    /// Store the host key of a server that is not known yet.
    pub accept_new: bool,
    /// A lazy rule's session ends when it had no connection for this long, in seconds; 0 is never.
    pub idle_timeout_seconds: u32,
    /// Of a remote rule: when its port is held by a dead session of this rule, end that one's process on the server.
    pub reclaim: bool,
}

impl ForwardSpec {
    /// A rule with every option at its default.
    pub fn new(destination: Destination, forwarding: Forwarding) -> Self {
        ForwardSpec {
            destination,
            forwarding,
            name: None,
            description: None,
            tags: Vec::new(),
            on_suspend: OnSuspend::default(),
            lazy: false,
            ephemeral: false,
            stopped: false,
            accept_new: false,
            idle_timeout_seconds: 0,
            reclaim: false,
        }
    }
}

/// What happens to a new connection while the session of its rule is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSuspend {
    /// It waits for the session, at most this long, and is reset then.
    Hold(Duration),
    /// It is reset at once.
    Refuse,
}

impl Default for OnSuspend {
    fn default() -> Self {
        OnSuspend::Hold(DEFAULT_HOLD)
    }
}

impl fmt::Display for OnSuspend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OnSuspend::Hold(limit) => write!(f, "hold={}", limit.as_secs()),
            OnSuspend::Refuse => f.write_str("refuse"),
        }
    }
}

impl FromStr for OnSuspend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            None if text == "refuse" => Ok(OnSuspend::Refuse),
            None if text == "hold" => Ok(OnSuspend::default()),
            Some(("hold", seconds)) => match seconds.parse().map(Duration::from_secs) {
                Ok(limit) if limit <= MAX_HOLD => Ok(OnSuspend::Hold(limit)),
                _ => Err(format!("`{text}` is no waiting time: hold=0 to hold=3600 seconds are")),
            },
            _ => Err(format!("`{text}` is neither hold, hold=SECONDS nor refuse")),
        }
    }
}

/// Implements serde and schemars for a type that is text on every wire.
macro_rules! as_text {
    ($type:ty, $name:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }
    };
}

as_text!(OnSuspend, "OnSuspend");
as_text!(ForwardName, "ForwardName");
as_text!(Tag, "Tag");

/// The name of a rule: letters, digits, `.`, `_` and `-`, at most [`MAX_NAME_BYTES`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForwardName(String);

impl ForwardName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ForwardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ForwardName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_word(text, MAX_NAME_BYTES, "name")?;
        Ok(ForwardName(text.to_owned()))
    }
}

/// A label of rules: letters, digits, `.`, `_` and `-`, at most [`MAX_TAG_BYTES`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag as text, without the `@` that selects by it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_word(text, MAX_TAG_BYTES, "tag")?;
        Ok(Tag(text.to_owned()))
    }
}

fn check_word(text: &str, max: usize, what: &str) -> Result<(), String> {
    let starts_well = text.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
    let is_word = text.chars().all(|c| c.is_alphanumeric() || "._-".contains(c));
    if !starts_well || !is_word {
        return Err(format!(
            "`{}` is not a {what}: letters, digits, `.`, `_` and `-` make one",
            crate::fault::one_line(text)
        ));
    }
    if max < text.len() {
        return Err(format!("a {what} has at most {max} bytes, `{text}` has {}", text.len()));
    }
    Ok(())
}

/// Checks a note for people: one line, at most [`MAX_DESCRIPTION_BYTES`] bytes.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn check_description(text: &str) -> Result<(), String> {
    if MAX_DESCRIPTION_BYTES < text.len() {
        return Err(format!("a description has at most {MAX_DESCRIPTION_BYTES} bytes, this one has {}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("a description is one line without control characters".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_suspend_reads_what_it_prints() {
        for (text, shown) in [("hold", "hold=10"), ("hold=0", "hold=0"), ("hold=60", "hold=60"), ("refuse", "refuse")] {
            assert_eq!(text.parse::<OnSuspend>().unwrap().to_string(), shown);
        }
        for text in ["", "hold=", "hold=-1", "hold=3601", "drop", "refuse=1"] {
            assert!(text.parse::<OnSuspend>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_name_is_a_word() {
        for good in ["web", "db-1", "a.b_c", "übung", "_x"] {
            assert!(good.parse::<ForwardName>().is_ok(), "{good:?} was refused");
        }
        for bad in ["", "-x", ".x", "a b", "@tag", "a*", "a/b", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<ForwardName>().is_err(), "{bad:?} was taken");
        }
    }
}
