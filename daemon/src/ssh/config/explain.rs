//! What the configuration comes to, value by value, with who said it and what is done with it.

use std::path::PathBuf;

use alknet_proto::explain::{Hop, Setting, Source as Wire, Verdict as Shown};
use alknet_proto::{Destination, Reason};

use super::directive::{Directive, Syntax, Verdict};
use super::found::{Refusal, Value};
use super::reading::{self, Said};
use super::server::{self, Parts, Server, Way};
use super::spot::Source;
use super::table::DIRECTIVES;
use super::{algorithms, token};
use crate::ssh::settings::{KEEPALIVE_COUNT, KEEPALIVE_INTERVAL, Settings};

/// What the configuration comes to for one destination.
pub(in crate::ssh) struct Explained {
    /// Every value, in the order of the manual.
    pub(in crate::ssh) settings: Vec<Setting>,
    /// What a session would be made with, were nothing refused.
    pub(in crate::ssh) server: Server,
    /// The way there, the nearest first; the last is the server itself.
    pub(in crate::ssh) hops: Vec<Hop>,
    /// The files that were read.
    pub(in crate::ssh) files: Vec<PathBuf>,
    /// Every name behind a Host that is no pattern, in their order, whichever applies.
    pub(in crate::ssh) hosts: Vec<String>,
}

/// Reads the configuration files, and looks names up where they ask for it. Blocks. A line that is refused is no
/// error: it is listed.
///
/// # Errors
/// `invalid_config`, with file and line.
pub(in crate::ssh) fn explain(destination: &Destination, settings: &Settings) -> Result<Explained, Reason> {
    let said = reading::read(destination, None, settings)?;
    let refusals = said.found.all_refusals();
    let parts = Parts::of(&said, settings);
    let (way, unresolved) = match super::way(&said, settings, 0) {
        Ok(way) => (way, None),
        Err(reason) => (Way::Direct, Some(reason.message)),
    };
    let mut server = server::server(&said, settings, way)?;
    let mut hops = hops(&said, &server);
    if let Some(message) = unresolved {
        hops.splice(..0, hops_as_named(&parts, &said, settings));
        // What is refused for the destination itself stands among its directives.
        if refusals.iter().all(|refusal| refusal.reason().message != message) {
            server.notices.push(message);
        }
    }
    let explained = DIRECTIVES.iter().flat_map(|row| explained(row, &said, &parts, settings, &refusals));
    let conditions = refusals.iter().filter(|refusal| refusal.directive.starts_with("Match")).map(condition);
    Ok(Explained {
        settings: explained.chain(conditions).collect(),
        hops,
        server,
        files: said.found.files,
        hosts: said.found.hosts,
    })
}

/// The hosts on the way to a server, the nearest first, and the server.
fn hops(said: &Said, server: &Server) -> Vec<Hop> {
    let source = |name: &'static str| said.found.first(name).map(|value| value.source.on_the_wire());
    let named = source("HostName").filter(|source| *source != Source::Default.on_the_wire());
    let is_through_a_command = matches!(server.way, Way::Command(_));
    let last = hop(server, if is_through_a_command { source("ProxyCommand") } else { named });
    let way = source("ProxyJump");
    let mut hops = vec![last];
    let mut next = &server.way;
    while let Way::Jump(server) = next {
        hops.insert(0, hop(server, way.clone()));
        next = &server.way;
    }
    hops
}

/// The hosts that ProxyJump names, where one of them cannot be looked into to its end.
fn hops_as_named(parts: &Parts<'_>, said: &Said, settings: &Settings) -> Vec<Hop> {
    let Some(source) = said.found.first("ProxyJump").map(|value| value.source.on_the_wire()) else { return Vec::new() };
    let jumps = parts.hops().unwrap_or_default();
    let named = jumps.into_iter().filter_map(|jump| {
        let said = reading::read(&jump, None, settings).ok()?;
        let Parts { user, port, .. } = Parts::of(&said, settings);
        Some(Hop {
            name: said.alias.clone(),
            user,
            host: said.host.clone(),
            port,
            command: None,
            source: source.clone(),
        })
    });
    named.collect()
}

fn hop(server: &Server, source: Option<Wire>) -> Hop {
    Hop {
        name: server.name.clone(),
        user: server.user.clone(),
        host: server.host.clone(),
        port: server.port,
        command: match &server.way {
            Way::Command(command) => Some(command.clone()),
            Way::Direct | Way::Jump(_) => None,
        },
        source: source.unwrap_or(Source::Destination.on_the_wire()),
    }
}

/// A condition of a Match that was not looked into.
fn condition(refusal: &Refusal) -> Setting {
    Setting {
        keyword: "Match".to_owned(),
        values: vec![refusal.directive.trim_start_matches("Match").trim().to_owned()],
        source: refusal.source.on_the_wire(),
        verdict: Shown::Refused { why: refusal.why.clone() },
    }
}

/// The settings of a directive: one, or several where its lines add up, or none where there is nothing to say.
fn explained(
    row: &'static Directive,
    said: &Said,
    parts: &Parts<'_>,
    settings: &Settings,
    refusals: &[Refusal],
) -> Vec<Setting> {
    let verdict = shown(row, refusals);
    let setting = |values: Vec<String>, source: &Source| Setting {
        keyword: row.name.to_owned(),
        values,
        source: source.on_the_wire(),
        verdict: verdict.clone(),
    };
    let found = said.found.all(row.name);
    let Some(first) = found.first() else {
        let values = by_default(row, said, parts, settings);
        if values.is_empty() {
            return Vec::new();
        }
        let setting = setting(values, &Source::Default);
        return vec![Setting { source: source_of_default(row, settings), ..setting }];
    };
    match row.syntax {
        Syntax::LocalForward | Syntax::RemoteForward | Syntax::DynamicForward => {
            found.iter().map(|value| setting(value.words.clone(), &value.source)).collect()
        }
        Syntax::EachFile => {
            found.iter().map(|value| setting(vec![filled_in(row, value, parts)], &value.source)).collect()
        }
        Syntax::Algorithms(family) => {
            let chosen = algorithms::chosen(family, &first.text);
            vec![setting(vec![chosen.map_or(first.text.clone(), |names| names.join(","))], &first.source)]
        }
        _ if row.name == "HostName" => vec![setting(vec![said.host.clone()], &first.source)],
        _ => {
            let values = found.iter().map(|value| filled_in(row, value, parts)).collect();
            vec![setting(values, &first.source)]
        }
    }
}

fn shown(row: &Directive, refusals: &[Refusal]) -> Shown {
    if let Some(refusal) = refusals.iter().find(|refusal| refusal.directive == row.name) {
        return Shown::Refused { why: refusal.why.clone() };
    }
    match row.verdict {
        Verdict::Ignored(why) => Shown::Ignored { why: why.to_owned() },
        // The one value that is not refused is what happens.
        Verdict::Honoured(_) | Verdict::Refused { .. } => Shown::Honoured,
    }
}

fn by_default(row: &Directive, said: &Said, parts: &Parts<'_>, settings: &Settings) -> Vec<String> {
    let ssh = settings.ssh_folder();
    match row.name {
        "HostName" => vec![said.host.clone()],
        "User" => vec![parts.user.clone()],
        "ServerAliveInterval" => vec![settings.keepalive_interval.as_secs().to_string()],
        "ServerAliveCountMax" => vec![settings.keepalive_count.to_string()],
        "IdentityFile" => server::DEFAULT_KEYS.map(|name| ssh.join(name).display().to_string()).to_vec(),
        "UserKnownHostsFile" => {
            ["known_hosts", "known_hosts2"].map(|name| ssh.join(name).display().to_string()).to_vec()
        }
        "GlobalKnownHostsFile" => settings.global_known_hosts.iter().map(|file| file.display().to_string()).collect(),
        "IdentityAgent" => settings.auth_sock.iter().map(|path| path.display().to_string()).collect(),
        _ => match row.syntax {
            Syntax::Algorithms(family) => vec![algorithms::ours(family).join(",")],
            _ => row.default.map(str::to_owned).into_iter().collect(),
        },
    }
}

/// Who is behind a value that ssh's configuration does not say.
fn source_of_default(row: &Directive, settings: &Settings) -> Wire {
    let is_agent_named = std::env::var_os("SSH_AUTH_SOCK").is_some_and(|path| Some(path.into()) == settings.auth_sock);
    match row.name {
        "IdentityAgent" if is_agent_named => Wire::Environment("SSH_AUTH_SOCK".to_owned()),
        "ServerAliveInterval" if settings.keepalive_interval != KEEPALIVE_INTERVAL => Wire::Config,
        "ServerAliveCountMax" if settings.keepalive_count != KEEPALIVE_COUNT => Wire::Config,
        _ => Wire::Default,
    }
}

/// A value with `~`, tokens and variables filled in where that is done.
fn filled_in(row: &Directive, value: &Value, parts: &Parts<'_>) -> String {
    let text = &value.text;
    let tokens = parts.tokens();
    let is_path = matches!(
        row.name,
        "IdentityFile"
            | "CertificateFile"
            | "UserKnownHostsFile"
            | "GlobalKnownHostsFile"
            | "RevokedHostKeys"
            | "IdentityAgent"
            | "ControlPath"
    );
    let is_word = text.eq_ignore_ascii_case("none") || text == "SSH_AUTH_SOCK" || token::names_a_variable(text);
    match is_path && !is_word {
        true => tokens.path(text).map_or_else(|_| text.clone(), |path| path.display().to_string()),
        false => text.clone(),
    }
}
