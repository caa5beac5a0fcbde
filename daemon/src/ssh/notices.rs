//! Says what a person should know about a configuration, once and not with every reconnect.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

use super::session::locked;

/// Beyond it, nothing is remembered and everything is said.
const MAX_REMEMBERED: usize = 1000;

static SAID: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Writes the notices into the log that were not written before.
pub(super) fn say(name: &str, notices: &[String]) {
    for notice in notices {
        let is_new = {
            let mut said = locked(&SAID);
            MAX_REMEMBERED <= said.len() || said.insert(notice.clone())
        };
        if is_new {
            tracing::warn!(server = name, "{notice}");
        }
    }
}
