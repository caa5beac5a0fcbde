//! Where a session goes, as the user named it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest host name or alias that is taken, in bytes: DNS ends at 253.
const MAX_HOST_BYTES: usize = 255;
const MAX_USER_BYTES: usize = 64;

/// `[user@]host[:port]`, `ssh://[user@]host[:port]`, or a Host of the ssh configuration.
///
/// Two rules whose destinations are equal share one session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The user who logs in, where the destination names one.
    pub user: Option<String>,
    /// A host name, an address without brackets, or an alias of the ssh configuration.
    pub host: String,
    /// The port of the server, where the destination names one.
    pub port: Option<u16>,
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = match text.strip_prefix("ssh://") {
            Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
            None => text,
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (host, port) = split_port(rest, text)?;
        if let Some(user) = user {
            check_name(user, MAX_USER_BYTES, "user", text)?;
        }
        check_name(host, MAX_HOST_BYTES, "host", text)?;
        Ok(Destination { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

fn split_port<'a>(rest: &'a str, whole: &str) -> Result<(&'a str, Option<u16>), String> {
    let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
        let Some((host, after)) = bracketed.split_once(']') else {
            return Err(format!("destination `{whole}` opens a bracket and does not close it"));
        };
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(format!("destination `{whole}` has text after its bracket")),
        }
    } else {
        match rest.split_once(':') {
            // More than one colon and no brackets is an IPv6 address.
            Some((_, port)) if port.contains(':') => (rest, None),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    let Some(port) = port else { return Ok((host, None)) };
    match port.parse::<u16>() {
        Ok(number) if number != 0 && port.bytes().all(|b| b.is_ascii_digit()) => Ok((host, Some(number))),
        _ => Err(format!("destination `{whole}` has an impossible port `{port}`: 1 to 65535 are possible")),
    }
}

/// Names end up in messages, in patterns and in what a server is told, so what a shell or a
/// terminal would act upon is refused here, once.
fn check_name(name: &str, max: usize, what: &str, whole: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("destination `{whole}` has no {what}"));
    }
    if max < name.len() {
        return Err(format!("the {what} of a destination has at most {max} bytes, this one has {}", name.len()));
    }
    if name.starts_with('-') {
        return Err(format!("the {what} of destination `{whole}` starts with a dash"));
    }
    let is_refused = |c: char| c.is_control() || c.is_whitespace() || "'\"`$\\;&<>|(){}*?!#/".contains(c);
    match name.chars().find(|c| is_refused(*c)) {
        Some(c) => Err(format!("the {what} of the destination contains {c:?}, which no {what} may")),
        None => Ok(()),
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl Serialize for Destination {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Destination {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Destination".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_printed_in_one_way() {
        for (text, shown) in [
            ("prod", "prod"),
            ("me@prod", "me@prod"),
            ("me@prod:2222", "me@prod:2222"),
            ("ssh://me@prod:2222", "me@prod:2222"),
            ("ssh://prod/", "prod"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1]:22", "[::1]:22"),
            ("me@corp@prod", "me@corp@prod"),
        ] {
            assert_eq!(text.parse::<Destination>().map(|d| d.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_destination_is_refused() {
        for text in [
            "",
            "@prod",
            "me@",
            "prod:",
            "prod:0",
            "prod:65536",
            "prod:+22",
            "[::1",
            "[::1]22",
            "-oProxyCommand=x",
            "a b",
            "a;b",
            "a$(b)",
            "pr\u{1b}od",
            "-l@host",
            "me@-x",
            "a/b",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text:?} was taken");
        }
        assert!("h".repeat(256).parse::<Destination>().is_err());
    }
}
