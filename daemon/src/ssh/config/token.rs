//! Fills in `~`, `%h` and `${NAME}` in values of the configuration.

use std::fmt::Write;
use std::path::PathBuf;

use sha1::{Digest, Sha1};

use crate::ssh::settings::Settings;

/// What can be filled in.
pub(super) struct Tokens<'a> {
    pub(super) host: &'a str,
    /// The host as the user named it.
    pub(super) alias: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
    /// The name of the host in known_hosts, where it has one of its own.
    pub(super) key_alias: &'a str,
    /// ProxyJump, or nothing.
    pub(super) jump: &'a str,
    pub(super) settings: &'a Settings,
}

/// A HostName: `%h` is the name that the user gave.
pub(super) fn host_name(text: &str, alias: &str) -> Result<String, String> {
    percent(text, |token| (token == 'h').then(|| alias.to_owned()))
}

/// Whether the text is `$NAME`, as IdentityAgent takes it.
pub(super) fn names_a_variable(text: &str) -> bool {
    text.starts_with('$') && !text.starts_with("${")
}

/// A path that begins with `~`: the home of the user, or that of another one.
pub(super) fn home(text: &str, settings: &Settings) -> Result<PathBuf, String> {
    let rest = text.strip_prefix('~').unwrap_or(text);
    let (user, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let home = match user {
        "" => settings.home.clone(),
        user => home_of(user).ok_or_else(|| format!("`{text}`: there is no user `{user}` here"))?,
    };
    let rest = rest.trim_start_matches('/');
    Ok(if rest.is_empty() { home } else { home.join(rest) })
}

#[cfg(unix)]
fn home_of(user: &str) -> Option<PathBuf> {
    nix::unistd::User::from_name(user).ok().flatten().map(|user| user.dir)
}

#[cfg(not(unix))]
fn home_of(_: &str) -> Option<PathBuf> {
    None
}

impl Tokens<'_> {
    /// A path: `~` is the home, a relative one is relative to it.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let path = match text.starts_with('~') {
            true => home(text, self.settings)?.display().to_string(),
            false => text.to_owned(),
        };
        let mut filled = String::with_capacity(path.len());
        let mut rest = path.as_str();
        // A `%` in the value of a variable is one.
        while let Some(start) = rest.find("${") {
            let end = rest[start..].find('}').map_or(rest.len(), |length| start + length + 1);
            filled.push_str(&self.percent(&rest[..start])?);
            filled.push_str(&environment(&rest[start..end])?);
            rest = &rest[end..];
        }
        filled.push_str(&self.percent(rest)?);
        // The daemon runs in no folder that means anything to its user.
        Ok(self.settings.home.join(filled))
    }

    /// The text with its `%` filled in.
    pub(super) fn percent(&self, text: &str) -> Result<String, String> {
        percent(text, |token| self.of(token))
    }

    /// A command that leads to the server: only what names the server is filled in.
    pub(super) fn command(&self, text: &str) -> Result<String, String> {
        percent(text, |token| if "hknpr".contains(token) { self.of(token) } else { None })
    }

    fn of(&self, token: char) -> Option<String> {
        Some(match token {
            'C' => self.hash(),
            'L' => self.this_host().split('.').next().unwrap_or_default().to_owned(),
            'd' => self.settings.home.display().to_string(),
            'h' => self.host.to_owned(),
            'i' => user_id(),
            'j' => self.jump.to_owned(),
            'k' => self.key_alias.to_owned(),
            'l' => self.this_host(),
            'n' => self.alias.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'u' => self.settings.user.clone(),
            _ => return None,
        })
    }

    fn this_host(&self) -> String {
        this_host()
    }

    /// A name for the connection that says nothing about it.
    fn hash(&self) -> String {
        let mut hash = Sha1::new();
        for part in [&self.this_host(), self.host, &self.port.to_string(), self.user, self.jump] {
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().fold(String::with_capacity(40), |mut text, byte| {
            // Writing into a text does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(unix)]
fn this_host() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(not(unix))]
fn this_host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default().to_lowercase()
}

#[cfg(unix)]
fn user_id() -> String {
    nix::unistd::getuid().to_string()
}

#[cfg(not(unix))]
fn user_id() -> String {
    "0".to_owned()
}

fn percent(text: &str, meaning: impl Fn(char) -> Option<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            filled.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => filled.push('%'),
            Some(token) => match meaning(token) {
                Some(value) => filled.push_str(&value),
                None => return Err(format!("`%{token}` has no meaning in `{text}`")),
            },
            None => return Err(format!("`{text}` ends with a single `%`")),
        }
    }
    Ok(filled)
}

/// The text with `${NAME}` filled in.
pub(super) fn environment(text: &str) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("`{text}` opens `${{` and does not close it"));
        };
        let value = std::env::var(name).map_err(|_| format!("the environment has no `{name}`"))?;
        filled.push_str(before);
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
