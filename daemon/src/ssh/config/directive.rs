//! The directives that are honoured; the first value of each wins.

use std::path::PathBuf;
use std::time::Duration;

use alknet_proto::Reason;

use super::explain::Said;
use super::file::Spot;
use super::invalid;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Named<T> {
    pub(super) value: T,
    spot: Spot,
}

impl<T> Named<T> {
    /// Says where the value stands that something is wrong with.
    pub(super) fn at<U>(&self, result: Result<U, String>) -> Result<U, Reason> {
        result.map_err(|what| invalid(&self.spot, what))
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) host_name: Option<Named<String>>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) identity_files: Vec<Named<String>>,
    pub(super) identities_only: Option<bool>,
    pub(super) identity_agent: Option<Named<String>>,
    pub(super) user_known_hosts: Option<Named<Vec<String>>>,
    pub(super) global_known_hosts: Option<Named<Vec<String>>>,
    pub(super) accept_new: Option<bool>,
    /// `Some(None)` is the word `none`.
    pub(super) connect_timeout: Option<Option<Duration>>,
    /// A way to the server that is not the direct one, and its line.
    pub(super) detour: Option<(Spot, &'static str)>,
    /// ProxyJump or ProxyCommand was said, be it `none`.
    is_way_chosen: bool,
    /// Every line that applies, in their order.
    pub(super) said: Vec<Said>,
    pub(super) files: Vec<PathBuf>,
    /// Every name behind a Host that is no pattern.
    pub(super) hosts: Vec<String>,
}

/// A line of a file in its parts.
pub(super) struct Directive<'a> {
    pub(super) spot: &'a Spot,
    /// In lower case.
    pub(super) keyword: &'a str,
    pub(super) arguments: &'a [String],
}

impl Found {
    /// Takes a line that applies to the host. A keyword that is not known is left alone.
    pub(super) fn take(&mut self, line: &Directive<'_>) -> Result<(), Reason> {
        match line.keyword {
            "hostname" => keep(&mut self.host_name, line.named(line.only()?)),
            "user" => keep(&mut self.user, line.only()?),
            "port" => keep(&mut self.port, line.port()?),
            "identityfile" => self.identity_files.push(line.named(line.only()?)),
            "identitiesonly" => keep(&mut self.identities_only, line.yes_or_no()?),
            "identityagent" => keep(&mut self.identity_agent, line.named(line.only()?)),
            "userknownhostsfile" => keep(&mut self.user_known_hosts, line.named(line.all()?)),
            "globalknownhostsfile" => keep(&mut self.global_known_hosts, line.named(line.all()?)),
            "stricthostkeychecking" => keep(&mut self.accept_new, line.accepts_new()?),
            "connecttimeout" => keep(&mut self.connect_timeout, line.time()?),
            "proxyjump" => self.take_way("ProxyJump", line)?,
            "proxycommand" => self.take_way("ProxyCommand", line)?,
            _ => {}
        }
        Ok(())
    }

    /// The first of both counts, as in OpenSSH.
    fn take_way(&mut self, directive: &'static str, line: &Directive<'_>) -> Result<(), Reason> {
        let first = &line.all()?[0];
        if !self.is_way_chosen && !first.eq_ignore_ascii_case("none") {
            self.detour = Some((line.spot.clone(), directive));
        }
        self.is_way_chosen = true;
        Ok(())
    }
}

fn keep<T>(place: &mut Option<T>, value: T) {
    place.get_or_insert(value);
}

impl Directive<'_> {
    fn named<T>(&self, value: T) -> Named<T> {
        Named { value, spot: self.spot.clone() }
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Reason {
        invalid(self.spot, format!("{} {what}", self.keyword))
    }

    fn all(&self) -> Result<Vec<String>, Reason> {
        match self.arguments {
            [] => Err(self.wrong("has no value")),
            [first, ..] if first.is_empty() => Err(self.wrong("has an empty value")),
            all => Ok(all.to_vec()),
        }
    }

    fn only(&self) -> Result<String, Reason> {
        match self.all()?.as_slice() {
            [only] => Ok(only.clone()),
            [_, extra, ..] => Err(self.wrong(format!("takes one value; `{extra}` is too much"))),
            [] => Err(self.wrong("has no value")),
        }
    }

    fn port(&self) -> Result<u16, Reason> {
        let text = self.only()?;
        match text.parse::<u16>() {
            Ok(port) if port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
            Ok(_) | Err(_) => Err(self.wrong(format!("`{text}` is impossible: 1 to 65535 are possible"))),
        }
    }

    fn yes_or_no(&self) -> Result<bool, Reason> {
        let text = self.only()?;
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" => Ok(true),
            "no" | "false" => Ok(false),
            _ => Err(self.wrong(format!("`{text}` is neither yes nor no"))),
        }
    }

    /// `no` and `off` would trust a key that changed; nothing here does, so they mean «store a first key».
    fn accepts_new(&self) -> Result<bool, Reason> {
        let text = self.only()?;
        match text.to_ascii_lowercase().as_str() {
            "accept-new" | "no" | "off" | "false" => Ok(true),
            "yes" | "true" | "ask" => Ok(false),
            _ => Err(self.wrong(format!("`{text}` is none of yes, ask, accept-new, no"))),
        }
    }

    /// Seconds, or OpenSSH's `1h30m`; `none` is no limit of its own.
    fn time(&self) -> Result<Option<Duration>, Reason> {
        let text = self.only()?;
        if text.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        match seconds(&text) {
            Some(0) => Ok(None),
            Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
            None => Err(self.wrong(format!("`{text}` is no time"))),
        }
    }
}

fn seconds(text: &str) -> Option<u64> {
    let mut sum: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next();
        let seconds = match unit.map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        sum = sum.checked_add(number.checked_mul(seconds)?)?;
        rest = &rest[digits + unit.map_or(0, char::len_utf8)..];
    }
    (!text.is_empty()).then_some(sum)
}
