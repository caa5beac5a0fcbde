//! Everything about a server that has to be known before it is connected to.

use std::path::PathBuf;
use std::time::Duration;

use alknet_proto::{Destination, Reason};

use super::algorithms;
use super::directive::Family as Algorithm;
use super::found::{Found, Value};
use super::reading::Said;
use super::spot::invalid;
use super::token::Tokens;
use super::{SSH_PORT, jump};
use crate::ssh::opens::Opens;
use crate::ssh::session::Keepalive;
use crate::ssh::settings::Settings;

/// The keys that are tried where the configuration names none, in `~/.ssh`.
pub(super) const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// As in OpenSSH: below it, an RSA key is worth nothing.
const MIN_RSA_BITS: u32 = 1024;

/// A server, and how it is reached and logged in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ssh) struct Server {
    /// As the destination or ProxyJump names it.
    pub(in crate::ssh) name: String,
    /// The name or address to connect to.
    pub(in crate::ssh) host: String,
    pub(in crate::ssh) port: u16,
    pub(in crate::ssh) user: String,
    /// How its port is reached.
    pub(in crate::ssh) way: Way,
    /// Key files, in the order in which they are tried.
    pub(in crate::ssh) keys: Vec<PathBuf>,
    /// Somebody chose the keys, so one that is missing is worth a word.
    pub(in crate::ssh) names_keys: bool,
    /// Offer nothing but the keys of `keys`, though the agent has more.
    pub(in crate::ssh) only_these_keys: bool,
    /// Certificates that somebody named; without any, the one beside each key counts.
    pub(in crate::ssh) certificates: Vec<PathBuf>,
    pub(in crate::ssh) agent: Option<PathBuf>,
    pub(in crate::ssh) login: Login,
    pub(in crate::ssh) known: Known,
    pub(in crate::ssh) connecting: Connecting,
    pub(in crate::ssh) offered: Offered,
    pub(in crate::ssh) keepalive: Keepalive,
    /// What a remote SOCKS forward may reach.
    pub(in crate::ssh) opens: Opens,
    /// What a person should know, though it prevents nothing.
    pub(in crate::ssh) notices: Vec<String>,
}

/// How the port of a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ssh) enum Way {
    Direct,
    /// Through a channel of another server.
    Jump(Box<Server>),
    /// Through a program that speaks to it; the command is complete.
    Command(String),
}

/// What may be tried to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ssh) struct Login {
    /// `publickey`, `keyboard-interactive` and `password`, in the order in which they are tried.
    pub(in crate::ssh) methods: Vec<String>,
    /// Names of signatures that keys may make.
    pub(in crate::ssh) key_algorithms: Vec<&'static str>,
    /// RSA keys below are not offered and not believed.
    pub(in crate::ssh) min_rsa_bits: u32,
}

impl Login {
    /// Whether a key may sign in this way; `suffix` is that of a certificate, or empty.
    pub(in crate::ssh) fn allows(&self, algorithm: &str, suffix: &str) -> bool {
        // Kinds with a name of OpenSSH's own have their suffix before the @.
        let plain = algorithm.strip_suffix("@openssh.com").unwrap_or(algorithm);
        let name = if suffix.is_empty() { algorithm.to_owned() } else { format!("{plain}{suffix}") };
        self.key_algorithms.contains(&name.as_str())
    }
}

/// Where its key may be known, and what is done with one that is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ssh) struct Known {
    /// The name to look up instead of host and port.
    pub(in crate::ssh) alias: Option<String>,
    pub(in crate::ssh) user_files: Vec<PathBuf>,
    pub(in crate::ssh) global_files: Vec<PathBuf>,
    /// Keys that are never believed.
    pub(in crate::ssh) revoked: Option<PathBuf>,
    /// Store the key of a server that nothing is known about.
    pub(in crate::ssh) accept_new: bool,
    /// The configuration asks for less care than there is.
    pub(in crate::ssh) says_no_checking: bool,
    /// New names are stored as hashes.
    pub(in crate::ssh) hashes_names: bool,
    /// What authorities may sign with.
    pub(in crate::ssh) authority_algorithms: Vec<&'static str>,
}

/// How the connection is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ssh) struct Connecting {
    /// For the lookup and the TCP connection together.
    pub(in crate::ssh) timeout: Option<Duration>,
    /// How often, with a second between.
    pub(in crate::ssh) attempts: u32,
    pub(in crate::ssh) family: AddressFamily,
    /// The address of this machine that it is made from.
    pub(in crate::ssh) bind_address: Option<String>,
    /// The interface of this machine that it is made from.
    pub(in crate::ssh) bind_interface: Option<String>,
    /// The kernel may not probe an idle connection.
    pub(in crate::ssh) without_tcp_keepalive: bool,
}

/// Which addresses of a server count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ssh) enum AddressFamily {
    #[default]
    Any,
    V4,
    V6,
}

/// Algorithms, the best first, by their names on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ssh) struct Offered {
    pub(in crate::ssh) kexes: Vec<&'static str>,
    pub(in crate::ssh) ciphers: Vec<&'static str>,
    pub(in crate::ssh) macs: Vec<&'static str>,
    pub(in crate::ssh) host_keys: Vec<&'static str>,
    /// Kinds of host keys that are known come first.
    pub(in crate::ssh) known_keys_first: bool,
}

/// Makes a server of what was said about it. `way` was settled before.
///
/// # Errors
/// `invalid_config`, with file and line.
pub(super) fn server(said: &Said, settings: &Settings, way: Way) -> Result<Server, Reason> {
    let parts = Parts::of(said, settings);
    let (found, tokens) = (&said.found, parts.tokens());
    let ssh = settings.ssh_folder();
    let paths = |name: &'static str| -> Result<Vec<PathBuf>, Reason> {
        let named = found.all(name).iter().filter(|value| !value.text.eq_ignore_ascii_case("none"));
        named.map(|value| value.at(tokens.path(&value.text))).collect()
    };
    let names_keys = !found.all("IdentityFile").is_empty();
    let keys = match names_keys {
        true => paths("IdentityFile")?,
        false => DEFAULT_KEYS.iter().map(|name| ssh.join(name)).collect(),
    };
    let files = |name: &'static str, otherwise: Vec<PathBuf>| match found.all(name) {
        [] => Ok(otherwise),
        [_, ..] => paths(name),
    };
    let checking = found.text("StrictHostKeyChecking").unwrap_or_default();
    let known = Known {
        alias: found.first("HostKeyAlias").map(|alias| alias.text.to_lowercase()),
        user_files: files("UserKnownHostsFile", vec![ssh.join("known_hosts"), ssh.join("known_hosts2")])?,
        global_files: files("GlobalKnownHostsFile", settings.global_known_hosts.clone())?,
        revoked: paths("RevokedHostKeys")?.pop(),
        accept_new: matches!(checking, "accept-new" | "false"),
        says_no_checking: checking == "false",
        hashes_names: found.is_yes("HashKnownHosts"),
        authority_algorithms: offered(found, "CASignatureAlgorithms", Algorithm::Signature)?,
    };
    let mut notices = found.notices.clone();
    if let Some(value) = found.first("StrictHostKeyChecking").filter(|_| known.says_no_checking) {
        notices.push(format!("{}: StrictHostKeyChecking no means accept-new here", value.source));
    }
    if let Some(value) = found.first("Compression").filter(|value| value.text == "yes") {
        notices.push(format!("{}: Compression is never offered", value.source));
    }
    let interval = number(found, "ServerAliveInterval")?;
    let count = number(found, "ServerAliveCountMax")?;
    Ok(Server {
        way,
        keys,
        names_keys,
        only_these_keys: found.is_yes("IdentitiesOnly"),
        certificates: paths("CertificateFile")?,
        agent: agent(found, &tokens, settings)?,
        login: login(found)?,
        known,
        connecting: connecting(found)?,
        offered: Offered {
            kexes: offered(found, "KexAlgorithms", Algorithm::Kex)?,
            ciphers: offered(found, "Ciphers", Algorithm::Cipher)?,
            macs: offered(found, "MACs", Algorithm::Mac)?,
            host_keys: offered(found, "HostKeyAlgorithms", Algorithm::Key)?,
            known_keys_first: found
                .first("HostKeyAlgorithms")
                .is_none_or(|list| list.text.starts_with('+') || list.text.starts_with('-')),
        },
        keepalive: Keepalive {
            interval: interval.map_or(settings.keepalive_interval, |secs| Duration::from_secs(secs.into())),
            count: count.unwrap_or(settings.keepalive_count),
        },
        opens: match found.all("PermitRemoteOpen") {
            [] => Opens::default(),
            values => Opens::parse(values.iter().map(|value| value.text.as_str())),
        },
        notices,
        name: said.alias.clone(),
        host: said.host.clone(),
        port: parts.port,
        user: parts.user,
    })
}

/// What the tokens are made of.
pub(super) struct Parts<'a> {
    said: &'a Said,
    settings: &'a Settings,
    pub(super) port: u16,
    pub(super) user: String,
    key_alias: String,
    jump: String,
}

impl<'a> Parts<'a> {
    pub(super) fn of(said: &'a Said, settings: &'a Settings) -> Parts<'a> {
        let jump = said.found.first("ProxyJump").filter(|value| value.text != "none");
        Parts {
            said,
            settings,
            port: said.found.first("Port").and_then(|port| port.text.parse().ok()).unwrap_or(SSH_PORT),
            user: said.found.first("User").map_or_else(|| settings.user.clone(), |user| user.text.clone()),
            key_alias: match said.found.first("HostKeyAlias") {
                Some(alias) => alias.text.to_lowercase(),
                None => said.alias.clone(),
            },
            jump: jump.map(|value| value.text.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn tokens(&self) -> Tokens<'_> {
        Tokens {
            host: &self.said.host,
            alias: &self.said.alias,
            port: self.port,
            user: &self.user,
            key_alias: &self.key_alias,
            jump: &self.jump,
            settings: self.settings,
        }
    }

    /// The hosts to jump over, the nearest first; none where the way is another.
    ///
    /// # Errors
    /// `invalid_config` where a name would mean something to a shell, or the server is its own jump host.
    pub(super) fn hops(&self) -> Result<Vec<Destination>, Reason> {
        match self.said.found.first("ProxyJump").filter(|value| value.text != "none") {
            Some(value) => value.at(jump::hops(&value.text)),
            None => Ok(Vec::new()),
        }
    }

    /// The command that leads to the server, where there is one. What the tokens stand for is seen by a shell,
    /// so it may hold nothing that a shell acts upon.
    ///
    /// # Errors
    /// `invalid_config` where a name would mean something to a shell.
    pub(super) fn command(&self) -> Result<Option<String>, Reason> {
        let named = self.said.found.first("ProxyCommand").filter(|value| !value.text.eq_ignore_ascii_case("none"));
        let Some(value) = named else { return Ok(None) };
        let tokens = self.tokens();
        for name in [tokens.host, tokens.alias, tokens.key_alias] {
            if !jump::is_harmless(name) {
                return Err(invalid(&value.source, format!("ProxyCommand is not run for the host `{name}`")));
            }
        }
        if !jump::is_harmless_user(tokens.user) {
            return Err(invalid(&value.source, format!("ProxyCommand is not run for the user `{}`", tokens.user)));
        }
        value.at(tokens.command(&value.text)).map(Some)
    }
}

fn agent(found: &Found, tokens: &Tokens<'_>, settings: &Settings) -> Result<Option<PathBuf>, Reason> {
    let Some(value) = found.first("IdentityAgent") else { return Ok(settings.auth_sock.clone()) };
    Ok(match value.text.as_str() {
        "none" => None,
        "SSH_AUTH_SOCK" => settings.auth_sock.clone(),
        text => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(variable) => std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from),
            None => Some(value.at(tokens.path(text))?),
        },
    })
}

fn login(found: &Found) -> Result<Login, Reason> {
    let mut methods = vec!["publickey", "keyboard-interactive", "password"];
    if let Some(preferred) = found.first("PreferredAuthentications") {
        let preferred: Vec<String> = preferred.text.to_ascii_lowercase().split(',').map(str::to_owned).collect();
        let rank = |method: &str| preferred.iter().position(|name| name == method);
        methods.retain(|method| rank(method).is_some());
        methods.sort_by_key(|method| rank(method));
    }
    let allows = |method: &&str| match *method {
        "publickey" => found.text("PubkeyAuthentication") != Some("false"),
        "password" => found.is_yes("PasswordAuthentication"),
        _ => found.is_yes("KbdInteractiveAuthentication"),
    };
    Ok(Login {
        methods: methods.into_iter().filter(|method| allows(method)).map(str::to_owned).collect(),
        key_algorithms: offered(found, "PubkeyAcceptedAlgorithms", Algorithm::Key)?,
        min_rsa_bits: number(found, "RequiredRSASize")?.unwrap_or(MIN_RSA_BITS).max(MIN_RSA_BITS),
    })
}

fn connecting(found: &Found) -> Result<Connecting, Reason> {
    let attempts = found.first("ConnectionAttempts");
    if let Some(value) = attempts.filter(|value| value.text == "0") {
        return Err(invalid(&value.source, "ConnectionAttempts is at least 1"));
    }
    let text = |name: &'static str| found.first(name).map(|value| value.text.clone());
    Ok(Connecting {
        timeout: number(found, "ConnectTimeout")?
            .filter(|secs| *secs != 0)
            .map(|secs| Duration::from_secs(secs.into())),
        attempts: number(found, "ConnectionAttempts")?.unwrap_or(1),
        family: match found.text("AddressFamily") {
            Some("inet") => AddressFamily::V4,
            Some("inet6") => AddressFamily::V6,
            Some(_) | None => AddressFamily::Any,
        },
        bind_address: text("BindAddress"),
        bind_interface: text("BindInterface"),
        without_tcp_keepalive: !found.is_yes("TCPKeepAlive"),
    })
}

fn number(found: &Found, name: &'static str) -> Result<Option<u32>, Reason> {
    let read = |value: &Value| value.at(value.text.parse().map_err(|_| format!("{name} is no number")));
    found.first(name).map(read).transpose()
}

/// The algorithms that a directive leaves.
fn offered(found: &Found, name: &'static str, family: Algorithm) -> Result<Vec<&'static str>, Reason> {
    match found.first(name) {
        None => Ok(algorithms::ours(family).to_vec()),
        Some(value) => value.at(algorithms::chosen(family, &value.text).map_err(|what| format!("{name} {what}"))),
    }
}
