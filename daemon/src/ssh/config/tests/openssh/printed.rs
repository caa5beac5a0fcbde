//! Prints what was found as ssh prints it.

use std::collections::BTreeSet;

use super::peer::{Peer, Values};
use crate::ssh::config::algorithms;
use crate::ssh::config::directive::{Directive, Family, Syntax};
use crate::ssh::config::reading::Said;
use crate::ssh::config::server::Parts;
use crate::ssh::config::table::DIRECTIVES;
use crate::ssh::config::token::names_a_variable;
use crate::ssh::settings::Settings;

pub(super) struct Printed {
    pub(super) values: Values,
    /// What somebody said.
    pub(super) said: BTreeSet<String>,
}

pub(super) fn printed(said: &Said, settings: &Settings, peer: &Peer) -> Printed {
    let parts = Parts::of(said, settings);
    let mut values = Values::new();
    let mut are_said = BTreeSet::new();
    for row in DIRECTIVES {
        let keyword = row.name.to_lowercase();
        if !said.found.all(row.name).is_empty() {
            are_said.insert(keyword.clone());
        }
        let printed = of(row, said, &parts, peer);
        values.insert(keyword, printed);
    }
    // ssh prints the listening end of a local forward to a socket as if it were dynamic.
    let to_sockets = values["localforward"].iter().filter_map(|forward| forward.split_once(' '));
    let to_sockets: Vec<String> =
        to_sockets.filter(|(_, target)| target.starts_with('/')).map(|(bind, _)| bind.to_owned()).collect();
    values.entry("dynamicforward".to_owned()).or_default().extend(to_sockets);
    values.insert("host".to_owned(), vec![said.alias.clone()]);
    values.insert("hostname".to_owned(), vec![said.host.clone()]);
    values.insert("user".to_owned(), vec![parts.user.clone()]);
    values.insert("port".to_owned(), vec![parts.port.to_string()]);
    for steering in ["match", "include"] {
        values.remove(steering);
    }
    if said.found.is_yes("ClearAllForwardings") {
        for forwards in ["localforward", "remoteforward", "dynamicforward"] {
            values.insert(forwards.to_owned(), Vec::new());
        }
    }
    Printed { values, said: are_said }
}

fn of(row: &Directive, said: &Said, parts: &Parts<'_>, peer: &Peer) -> Vec<String> {
    let keyword = row.name.to_lowercase();
    let found: Vec<String> = said.found.all(row.name).iter().map(|value| value.text.clone()).collect();
    let Some(first) = found.first() else {
        let by_default = match row.name {
            "UserKnownHostsFile" => Some("HOME/.ssh/known_hosts HOME/.ssh/known_hosts2".to_owned()),
            "GlobalKnownHostsFile" => Some("/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2".to_owned()),
            "FingerprintHash" => Some("SHA256".to_owned()),
            _ => row.default.map(str::to_owned),
        };
        let home = directories::BaseDirs::new().unwrap().home_dir().display().to_string();
        let unsaid = matches!(row.syntax, Syntax::Command | Syntax::Jump) || row.name == "RevokedHostKeys";
        return by_default.filter(|_| !unsaid).map(|text| text.replace("HOME", &home)).into_iter().collect();
    };
    let tokens = parts.tokens();
    let path = |text: &String| {
        let is_plain = text.eq_ignore_ascii_case("none") || text == "SSH_AUTH_SOCK" || names_a_variable(text);
        if is_plain { text.clone() } else { tokens.path(text).unwrap().display().to_string() }
    };
    let is_none = first.eq_ignore_ascii_case("none");
    match row.syntax {
        Syntax::Command | Syntax::Jump if is_none => Vec::new(),
        // Both are one thing, and ssh prints the one that counts.
        Syntax::Text if is_none && ["RevokedHostKeys", "ControlPath", "PKCS11Provider"].contains(&row.name) => {
            Vec::new()
        }
        Syntax::Algorithms(family) => {
            let default = peer.default_names(&keyword);
            let all = peer.all_names(match family {
                Family::Kex => "kex",
                Family::Cipher => "cipher",
                Family::Mac => "mac",
                Family::Key => "HostKeyAlgorithms",
                Family::Signature => "sig",
            });
            let names = |names: &[String]| names.iter().map(String::as_str).map(str::to_owned).collect::<Vec<_>>();
            let (default, all) = (names(&default), names(&all));
            let default: Vec<&str> = default.iter().map(String::as_str).collect();
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            vec![algorithms::assembled(first, &default, &all).join(",")]
        }
        Syntax::Files if row.name == "UserKnownHostsFile" => {
            vec![found.iter().map(path).collect::<Vec<_>>().join(" ")]
        }
        Syntax::Files | Syntax::Domains | Syntax::Aliases | Syntax::Opens => vec![found.join(" ")],
        Syntax::Agent => vec![path(first)],
        Syntax::LocalForward | Syntax::RemoteForward | Syntax::DynamicForward => found
            .iter()
            .map(|forward| {
                let fill =
                    |part: &str| if part.contains('/') { tokens.percent(part).unwrap() } else { part.to_owned() };
                forward.split(' ').map(fill).collect::<Vec<_>>().join(" ")
            })
            .collect(),
        Syntax::EachFile | Syntax::Names | Syntax::Assignments => found,
        _ => match row.name {
            "ControlPath" => vec![path(first)],
            "HostKeyAlias" => vec![first.to_lowercase()],
            "RemoteCommand" => vec![tokens.percent(first).unwrap()],
            _ => vec![first.clone()],
        },
    }
}
