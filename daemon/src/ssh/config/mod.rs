//! What the ssh configuration says about a destination.

mod directive;
mod explain;
mod file;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use alknet_proto::{Code, Destination, Reason, Stage};

use super::settings::Settings;
use directive::Found;
pub(super) use explain::{Explained, explain};

const SSH_PORT: u16 = 22;

/// The keys that are tried where the configuration names none, in `~/.ssh`.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Everything about a server that has to be known before it is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// The name or address to connect to, and to look up in known_hosts.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// Key files, in the order in which they are tried.
    pub(super) keys: Vec<PathBuf>,
    /// Somebody chose the keys, so one that is missing is worth a word.
    pub(super) names_keys: bool,
    /// Offer nothing but the keys of `keys`, though the agent has more.
    pub(super) only_these_keys: bool,
    pub(super) agent: Option<PathBuf>,
    pub(super) user_known_hosts: Vec<PathBuf>,
    pub(super) global_known_hosts: Vec<PathBuf>,
    /// Store the key of a server that nothing is known about.
    pub(super) accept_new: bool,
    /// For the lookup and the TCP connection together.
    pub(super) connect_timeout: Option<Duration>,
}

/// Reads the configuration files. Blocks.
///
/// # Errors
/// `invalid_config`, with file and line.
pub(super) fn resolve(destination: &Destination, settings: &Settings) -> Result<Server, Reason> {
    let mut found = Found::default();
    read(destination, settings, &mut found)?;
    server(destination, settings, found)
}

fn read(destination: &Destination, settings: &Settings, found: &mut Found) -> Result<(), Reason> {
    let user_file = file::Origin { base: settings.ssh_folder(), is_of_user: true };
    file::read(&settings.ssh_config, &user_file, &destination.host, settings, found)?;
    let global_base = settings.global_ssh_config.parent().map_or_else(PathBuf::new, PathBuf::from);
    let global_file = file::Origin { base: global_base, is_of_user: false };
    file::read(&settings.global_ssh_config, &global_file, &destination.host, settings, found)
}

fn server(destination: &Destination, settings: &Settings, found: Found) -> Result<Server, Reason> {
    if let Some((spot, directive)) = &found.detour {
        let message =
            format!("{spot}: {directive} is not supported yet, and a direct connection may reach another host");
        return Err(Reason::new(Stage::Config, Code::InvalidConfig, message)
            .with_hint(format!("take the line away for this host, or say `{directive} none`")));
    }
    let host = match &found.host_name {
        Some(name) => name.at(token::host_name(&name.value, &destination.host))?,
        None => destination.host.clone(),
    };
    let port = destination.port.or(found.port).unwrap_or(SSH_PORT);
    let user = destination.user.clone().or(found.user.clone()).unwrap_or_else(|| settings.user.clone());
    let tokens = token::Tokens { host: &host, alias: &destination.host, port, user: &user, settings };

    let ssh = settings.ssh_folder();
    let mut keys = Vec::new();
    for named in &found.identity_files {
        if !named.value.eq_ignore_ascii_case("none") {
            let path = named.at(tokens.path(&named.value))?;
            if !keys.contains(&path) {
                keys.push(path);
            }
        }
    }
    let names_keys = !found.identity_files.is_empty();
    if !names_keys {
        keys = DEFAULT_KEYS.iter().map(|name| ssh.join(name)).collect();
    }
    let agent = match &found.identity_agent {
        None => settings.auth_sock.clone(),
        Some(named) if named.value.eq_ignore_ascii_case("none") => None,
        Some(named) if named.value == "SSH_AUTH_SOCK" => settings.auth_sock.clone(),
        Some(named) => match named.value.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(variable) => std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from),
            None => Some(named.at(tokens.path(&named.value))?),
        },
    };
    Ok(Server {
        keys,
        names_keys,
        only_these_keys: found.identities_only.unwrap_or(false),
        agent,
        user_known_hosts: tokens
            .files(&found.user_known_hosts)?
            .unwrap_or_else(|| vec![ssh.join("known_hosts"), ssh.join("known_hosts2")]),
        global_known_hosts: tokens
            .files(&found.global_known_hosts)?
            .unwrap_or_else(|| settings.global_known_hosts.clone()),
        accept_new: found.accept_new.unwrap_or(false),
        connect_timeout: found.connect_timeout.flatten(),
        host,
        port,
        user,
    })
}

fn invalid(spot: &file::Spot, what: impl std::fmt::Display) -> Reason {
    Reason::new(Stage::Config, Code::InvalidConfig, format!("{spot}: {what}"))
        .with_hint("see ssh_config(5) for what may stand there; `ssh -G HOST` shows what ssh makes of it")
}

#[cfg(test)]
mod tests;
