//! What is forwarded where: OpenSSH's specs for -L, -R and -D, read once and valid from then on.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a listener listens when the spec names no bind address.
pub const DEFAULT_BIND_ADDRESS: &str = "127.0.0.1";
/// The bind address that stands for every address of the machine.
pub const WILDCARD: &str = "*";
/// The longest path of a Unix socket that the systems take: macOS has 104 bytes with the final NUL.
pub const MAX_SOCKET_PATH_BYTES: usize = if cfg!(target_os = "macos") { 103 } else { 107 };
const MAX_HOST_BYTES: usize = 255;

/// The four kinds of forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardKind {
    /// `-L`: listens here, the server connects to the target.
    Local,
    /// `-R`: the server listens, this machine connects to the target.
    Remote,
    /// `-D`: listens here as a SOCKS server, the server connects to what each client asks for.
    Dynamic,
    /// `-R` without a target: the server listens, this machine is the SOCKS server.
    RemoteDynamic,
}

impl ForwardKind {
    /// Whether the listener is on the server.
    pub fn listens_remotely(self) -> bool {
        match self {
            ForwardKind::Local | ForwardKind::Dynamic => false,
            ForwardKind::Remote | ForwardKind::RemoteDynamic => true,
        }
    }

    /// The option of the command line that asks for this kind.
    pub fn option(self) -> &'static str {
        match self {
            ForwardKind::Local => "-L",
            ForwardKind::Dynamic => "-D",
            ForwardKind::Remote | ForwardKind::RemoteDynamic => "-R",
        }
    }
}

/// What listens, on this machine or on the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Bind {
    /// A TCP port; 0 is a free one.
    Tcp(BindAddress, u16),
    /// A Unix socket.
    Unix(String),
}

/// An address to listen at: an IP address, a host name, `localhost` (both families) or `*` (all).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct BindAddress(String);

impl BindAddress {
    /// The address as text, without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is every address of the machine.
    pub fn is_wildcard(&self) -> bool {
        self.0 == WILDCARD || self.0.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }

    /// Whether programs of other machines may reach it.
    pub fn is_wide(&self) -> bool {
        match self.0.parse::<std::net::IpAddr>() {
            Ok(ip) => !ip.is_loopback(),
            Err(_) => self.0 != "localhost",
        }
    }
}

impl Default for BindAddress {
    fn default() -> Self {
        BindAddress(DEFAULT_BIND_ADDRESS.to_owned())
    }
}

/// What a forwarded connection is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Target {
    /// A TCP port; the host is looked up by the side that connects.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(String),
}

/// A listener, and what its connections are connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Forwarding {
    /// `-L`
    Local(Bind, Target),
    /// `-R` with a target
    Remote(Bind, Target),
    /// `-D`
    Dynamic(Bind),
    /// `-R` without a target
    RemoteDynamic(Bind),
}

impl Forwarding {
    /// Reads the SPEC of `-L`.
    ///
    /// # Errors
    /// One line that names the spec and what is wrong with it.
    pub fn parse_local(spec: &str) -> Result<Self, String> {
        match parse(spec)? {
            (bind, Some(target)) => Ok(Forwarding::Local(bind, target)),
            (_, None) => Err(format!("`-L {spec}` names no target: [bind_address:]port:host:hostport is needed")),
        }
    }

    /// Reads the SPEC of `-R`; without a target it asks for a remote SOCKS proxy.
    ///
    /// # Errors
    /// One line that names the spec and what is wrong with it.
    pub fn parse_remote(spec: &str) -> Result<Self, String> {
        Ok(match parse(spec)? {
            (bind, Some(target)) => Forwarding::Remote(bind, target),
            (bind, None) => Forwarding::RemoteDynamic(bind),
        })
    }

    /// Reads the SPEC of `-D`.
    ///
    /// # Errors
    /// One line that names the spec and what is wrong with it.
    pub fn parse_dynamic(spec: &str) -> Result<Self, String> {
        match parse(spec)? {
            (bind, None) => Ok(Forwarding::Dynamic(bind)),
            (_, Some(_)) => Err(format!("`-D {spec}` names a target: only [bind_address:]port is needed")),
        }
    }

    /// Reads what [`Forwarding::spec`] wrote.
    ///
    /// # Errors
    /// One line that names the spec and what is wrong with it.
    pub fn parse(kind: ForwardKind, spec: &str) -> Result<Self, String> {
        match kind {
            ForwardKind::Local => Forwarding::parse_local(spec),
            ForwardKind::Dynamic => Forwarding::parse_dynamic(spec),
            ForwardKind::Remote => match Forwarding::parse_remote(spec)? {
                remote @ Forwarding::Remote(..) => Ok(remote),
                _ => Err(format!("`{spec}` names no target")),
            },
            ForwardKind::RemoteDynamic => match Forwarding::parse_remote(spec)? {
                remote @ Forwarding::RemoteDynamic(_) => Ok(remote),
                _ => Err(format!("`{spec}` names a target")),
            },
        }
    }

    /// The whole spec, with the bind address written out.
    pub fn spec(&self) -> String {
        match self {
            Forwarding::Local(bind, target) | Forwarding::Remote(bind, target) => format!("{bind}:{target}"),
            Forwarding::Dynamic(bind) | Forwarding::RemoteDynamic(bind) => bind.to_string(),
        }
    }

    /// Which of the four it is.
    pub fn kind(&self) -> ForwardKind {
        match self {
            Forwarding::Local(..) => ForwardKind::Local,
            Forwarding::Remote(..) => ForwardKind::Remote,
            Forwarding::Dynamic(_) => ForwardKind::Dynamic,
            Forwarding::RemoteDynamic(_) => ForwardKind::RemoteDynamic,
        }
    }

    /// What listens.
    pub fn bind(&self) -> &Bind {
        match self {
            Forwarding::Local(bind, _)
            | Forwarding::Remote(bind, _)
            | Forwarding::Dynamic(bind)
            | Forwarding::RemoteDynamic(bind) => bind,
        }
    }

    /// What its connections are connected to; a SOCKS client says it itself.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Forwarding::Local(_, target) | Forwarding::Remote(_, target) => Some(target),
            Forwarding::Dynamic(_) | Forwarding::RemoteDynamic(_) => None,
        }
    }
}

impl FromStr for Forwarding {
    type Err = String;

    /// Reads `-L SPEC`, `-R SPEC` and `-D SPEC`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(' ') {
            Some(("-L", spec)) => Forwarding::parse_local(spec),
            Some(("-R", spec)) => Forwarding::parse_remote(spec),
            Some(("-D", spec)) => Forwarding::parse_dynamic(spec),
            Some(_) | None => Err(format!("`{}` is not -L, -R or -D with a forwarding", crate::fault::one_line(text))),
        }
    }
}

impl fmt::Display for Forwarding {
    /// As on the command line: `-L 127.0.0.1:8080:localhost:80`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind().option(), self.spec())
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Tcp(address, port) => write!(f, "{}:{port}", Bracketed(address.as_str())),
            Bind::Unix(path) => write!(f, "{}", Bracketed(path)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp(host, port) => write!(f, "{}:{port}", Bracketed(host)),
            Target::Unix(path) => write!(f, "{}", Bracketed(path)),
        }
    }
}

/// In brackets where a colon or a backslash would be read as something else.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains([':', '\\']) { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

/// One field of a spec. A field with a slash in it is the path of a socket, as in OpenSSH.
struct Field {
    text: String,
    is_path: bool,
}

/// Reads `[bind_address:]port`, `[bind_address:]port:host:hostport` and all forms with sockets.
fn parse(spec: &str) -> Result<(Bind, Option<Target>), String> {
    let fields = split(spec)?;
    let port = |field: &Field| parse_port(&field.text, spec);
    let path = |field: &Field| parse_path(&field.text, spec);
    let address = |field: &Field| parse_bind_address(&field.text, spec);
    let host = |field: &Field| parse_host(&field.text, spec);
    let shape: Vec<bool> = fields.iter().map(|field| field.is_path).collect();
    match (fields.as_slice(), shape.as_slice()) {
        ([socket], [true]) => Ok((Bind::Unix(path(socket)?), None)),
        ([bind], [false]) => Ok((Bind::Tcp(BindAddress::default(), port(bind)?), None)),
        ([socket, target], [true, true]) => Ok((Bind::Unix(path(socket)?), Some(Target::Unix(path(target)?)))),
        ([bind, target], [false, true]) => {
            Ok((Bind::Tcp(BindAddress::default(), port(bind)?), Some(Target::Unix(path(target)?))))
        }
        ([bind_address, bind], [false, false]) => Ok((Bind::Tcp(address(bind_address)?, port(bind)?), None)),
        ([socket, to, to_port], [true, false, false]) => {
            Ok((Bind::Unix(path(socket)?), Some(Target::Tcp(host(to)?, target_port(port(to_port)?, spec)?))))
        }
        ([bind_address, bind, target], [false, false, true]) => {
            Ok((Bind::Tcp(address(bind_address)?, port(bind)?), Some(Target::Unix(path(target)?))))
        }
        ([bind, to, to_port], [false, false, false]) => Ok((
            Bind::Tcp(BindAddress::default(), port(bind)?),
            Some(Target::Tcp(host(to)?, target_port(port(to_port)?, spec)?)),
        )),
        ([bind_address, bind, to, to_port], [false, false, false, false]) => Ok((
            Bind::Tcp(address(bind_address)?, port(bind)?),
            Some(Target::Tcp(host(to)?, target_port(port(to_port)?, spec)?)),
        )),
        _ => Err(format!("`{spec}` is not a forwarding: [bind_address:]port:host:hostport is one")),
    }
}

/// Splits at colons; brackets keep an IPv6 address together, a backslash takes the next character as it is.
fn split(spec: &str) -> Result<Vec<Field>, String> {
    if let Some(c) = spec.chars().find(|c| c.is_control()) {
        return Err(format!("the forwarding contains {c:?}, which no forwarding may"));
    }
    let mut fields = Vec::new();
    let mut chars = spec.chars().peekable();
    loop {
        let mut text = String::new();
        if chars.next_if_eq(&'[').is_some() {
            loop {
                match chars.next() {
                    Some(']') => break,
                    Some(c) => text.push(c),
                    None => return Err(format!("`{spec}` opens a bracket and does not close it")),
                }
            }
            if chars.peek().is_some_and(|c| *c != ':') {
                return Err(format!("`{spec}` has text after a bracket"));
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ':') {
                text.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
            }
        }
        fields.push(Field { is_path: text.contains('/'), text });
        if chars.next().is_none() {
            return Ok(fields);
        }
    }
}

fn parse_port(text: &str, spec: &str) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if is_number => Ok(port),
        _ => Err(format!("`{spec}` has an impossible port `{text}`: 0 to 65535 are possible")),
    }
}

fn target_port(port: u16, spec: &str) -> Result<u16, String> {
    if port == 0 { Err(format!("`{spec}` has a target on port 0, which nothing can be on")) } else { Ok(port) }
}

fn parse_host(text: &str, spec: &str) -> Result<String, String> {
    let is_refused = |c: char| c.is_whitespace() || c.is_control();
    if text.is_empty() {
        return Err(format!("`{spec}` has a target without a host"));
    }
    if MAX_HOST_BYTES < text.len() || text.contains(is_refused) {
        return Err(format!("`{spec}` has an impossible host `{text}`"));
    }
    Ok(text.to_owned())
}

fn parse_bind_address(text: &str, spec: &str) -> Result<BindAddress, String> {
    if text.is_empty() || text == WILDCARD {
        return Ok(BindAddress(WILDCARD.to_owned()));
    }
    parse_host(text, spec).map(BindAddress).map_err(|_| format!("`{spec}` has an impossible bind address `{text}`"))
}

fn parse_path(text: &str, spec: &str) -> Result<String, String> {
    if MAX_SOCKET_PATH_BYTES < text.len() {
        return Err(format!(
            "the socket path in `{spec}` has {} bytes; the system takes at most {MAX_SOCKET_PATH_BYTES}",
            text.len()
        ));
    }
    if !text.starts_with('/') {
        return Err(format!("the socket path `{text}` in `{spec}` is not absolute; write it from / on"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(forwarding: Result<Forwarding, String>) -> String {
        forwarding.map_or_else(|error| format!("error: {error}"), |f| f.to_string())
    }

    #[test]
    fn every_form_of_a_local_spec_is_read() {
        for (spec, whole) in [
            ("8080:localhost:80", "-L 127.0.0.1:8080:localhost:80"),
            ("0:db:5432", "-L 127.0.0.1:0:db:5432"),
            ("*:8080:db:80", "-L *:8080:db:80"),
            (":8080:db:80", "-L *:8080:db:80"),
            ("0.0.0.0:8080:db:80", "-L 0.0.0.0:8080:db:80"),
            ("localhost:8080:db:80", "-L localhost:8080:db:80"),
            ("[::1]:8080:[fd00::2]:80", "-L [::1]:8080:[fd00::2]:80"),
            ("8080:/run/db.sock", "-L 127.0.0.1:8080:/run/db.sock"),
            ("10.0.0.1:8080:/run/db.sock", "-L 10.0.0.1:8080:/run/db.sock"),
            ("/tmp/a.sock:db:80", "-L /tmp/a.sock:db:80"),
            ("/tmp/a.sock:/run/db.sock", "-L /tmp/a.sock:/run/db.sock"),
            ("/tmp/a\\:b:db:80", "-L [/tmp/a:b]:db:80"),
        ] {
            let read = Forwarding::parse_local(spec);
            assert_eq!(shown(read.clone()), whole, "{spec}");
            let again = Forwarding::parse(ForwardKind::Local, &read.unwrap().spec());
            assert_eq!(shown(again), whole, "what was written is read back");
        }
    }

    #[test]
    fn a_remote_spec_without_a_target_is_a_socks_proxy() {
        assert_eq!(Forwarding::parse_remote("1080").unwrap().kind(), ForwardKind::RemoteDynamic);
        assert_eq!(Forwarding::parse_remote("*:1080").unwrap().kind(), ForwardKind::RemoteDynamic);
        assert_eq!(Forwarding::parse_remote("9000:localhost:22").unwrap().kind(), ForwardKind::Remote);
        assert_eq!(Forwarding::parse_remote("/run/x.sock:localhost:22").unwrap().kind(), ForwardKind::Remote);
    }

    #[test]
    fn every_form_of_a_dynamic_spec_is_read() {
        assert_eq!(shown(Forwarding::parse_dynamic("1080")), "-D 127.0.0.1:1080");
        assert_eq!(shown(Forwarding::parse_dynamic("[::1]:1080")), "-D [::1]:1080");
        assert_eq!(shown(Forwarding::parse_dynamic("/tmp/socks")), "-D /tmp/socks");
    }

    #[test]
    fn what_cannot_be_forwarded_is_refused() {
        for spec in [
            "",
            "8080",
            "localhost:8080",
            "8080:db",
            "8080:db:0",
            "8080:db:65536",
            "65536:db:80",
            "x:db:80",
            "8080::80",
            "8080:db:80:90:100",
            "-1:db:80",
            "+80:db:80",
            "[::1:8080:db:80",
            "[::1]x:8080:db:80",
            "80 80:db:80",
            "8080:d b:80",
            "8080:db:80\n",
            "a/b:db:80",
            "8080:sock/et",
        ] {
            assert!(Forwarding::parse_local(spec).is_err(), "{spec:?} was taken");
        }
        assert!(Forwarding::parse_local(&format!("/{}:db:80", "x".repeat(120))).is_err());
        assert!(Forwarding::parse_dynamic("8080:db:80").is_err());
    }

    #[test]
    fn a_wide_bind_address_is_known_as_one() {
        for (spec, wide) in [
            ("8080:a:1", false),
            ("localhost:8080:a:1", false),
            ("[::1]:8080:a:1", false),
            ("*:8080:a:1", true),
            ("0.0.0.0:8080:a:1", true),
            ("10.0.0.1:8080:a:1", true),
            ("box:8080:a:1", true),
        ] {
            let Ok(Forwarding::Local(Bind::Tcp(address, _), _)) = Forwarding::parse_local(spec) else {
                panic!("{spec}")
            };
            assert_eq!(address.is_wide(), wide, "{spec}");
        }
    }
}
