//! Which forwards a person means: an id, a name, a glob, a tag, a destination or all.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::destination::Destination;
use crate::spec::Tag;

/// Picks forwards out of all there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Selector {
    /// An id, a name, or a prefix that only one id has; in this order.
    Named(String),
    /// Every name that matches; `*` is any text and `?` any one character.
    Glob(String),
    /// Every forward with this tag.
    Tag(Tag),
    /// Every forward to this destination.
    Host(Destination),
    /// Every forward.
    All,
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(tag) = text.strip_prefix('@') {
            return tag.parse().map(Selector::Tag);
        }
        if text.is_empty() || 128 < text.len() || text.chars().any(char::is_control) {
            return Err(format!(
                "`{}` selects nothing: an id, a name, 'na*' or @tag does",
                crate::fault::one_line(text)
            ));
        }
        if text.contains(['*', '?']) {
            return Ok(Selector::Glob(text.to_owned()));
        }
        Ok(Selector::Named(text.to_owned()))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Named(text) | Selector::Glob(text) => f.write_str(text),
            Selector::Tag(tag) => write!(f, "@{tag}"),
            Selector::Host(destination) => write!(f, "--host {destination}"),
            Selector::All => f.write_str("--all"),
        }
    }
}
