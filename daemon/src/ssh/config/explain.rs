//! Says value by value what the configuration comes to, and where each value stands.

use std::path::PathBuf;

use alknet_proto::explain::{Setting, Source, Verdict};
use alknet_proto::{Destination, Reason};

use super::directive::Found;
use super::{Server, Settings, read, server};

/// What the configuration comes to for one destination.
pub(in crate::ssh) struct Explained {
    /// Every value.
    pub(in crate::ssh) settings: Vec<Setting>,
    /// What a session would be made with.
    pub(in crate::ssh) server: Server,
    /// The files that were read.
    pub(in crate::ssh) files: Vec<PathBuf>,
    /// Every name behind a Host that is no pattern, in their order, whichever applies.
    pub(in crate::ssh) hosts: Vec<String>,
}

/// A line that applies, with the keyword in lower case.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) keyword: String,
    pub(super) arguments: Vec<String>,
    pub(super) source: Source,
}

/// Reads the configuration files. Blocks.
///
/// # Errors
/// `invalid_config`, with file and line.
pub(in crate::ssh) fn explain(destination: &Destination, settings: &Settings) -> Result<Explained, Reason> {
    let mut found = Found::default();
    read(destination, settings, &mut found)?;
    let detour = found.detour.take();
    let (said, files, hosts) = (found.said.clone(), found.files.clone(), found.hosts.clone());
    let server = server(destination, settings, found)?;
    let mut explained: Vec<Setting> = Vec::new();
    for line in &said {
        let is_known = explained.iter().any(|known| known.keyword.eq_ignore_ascii_case(&line.keyword));
        if is_known && !COUNTS_SEVERAL_TIMES.contains(&line.keyword.as_str()) {
            continue;
        }
        let is_detour = detour.as_ref().is_some_and(|(_, directive)| directive.eq_ignore_ascii_case(&line.keyword));
        let verdict = match line.keyword.as_str() {
            _ if is_detour => Verdict::Refused { why: "a direct connection may reach another host".to_owned() },
            "localforward" | "remoteforward" | "dynamicforward" => {
                Verdict::Ignored { why: "`alknetctl import` makes rules of forwards".to_owned() }
            }
            keyword if HONOURED.iter().any(|name| name.eq_ignore_ascii_case(keyword)) => Verdict::Honoured,
            _ => Verdict::Ignored { why: "this directive is not known".to_owned() },
        };
        let name = HONOURED.iter().chain(&FORWARDS).find(|name| name.eq_ignore_ascii_case(&line.keyword));
        explained.push(Setting {
            keyword: name.map_or_else(|| line.keyword.clone(), |name| (*name).to_owned()),
            values: line.arguments.clone(),
            source: line.source.clone(),
            verdict,
        });
    }
    settle(&mut explained, "HostName", &server.host, None);
    settle(&mut explained, "User", &server.user, destination.user.as_ref().map(|_| Source::Destination));
    settle(&mut explained, "Port", &server.port.to_string(), destination.port.map(|_| Source::Destination));
    Ok(Explained { settings: explained, server, files, hosts })
}

/// Puts the value that holds in the place of the one that was read.
fn settle(settings: &mut Vec<Setting>, keyword: &str, value: &str, said: Option<Source>) {
    let values = vec![value.to_owned()];
    match settings.iter_mut().find(|setting| setting.keyword == keyword) {
        Some(setting) => {
            setting.values = values;
            setting.source = said.unwrap_or_else(|| setting.source.clone());
        }
        None => {
            let source = said.unwrap_or(Source::Default);
            settings.push(Setting { keyword: keyword.to_owned(), values, source, verdict: Verdict::Honoured });
        }
    }
}

const COUNTS_SEVERAL_TIMES: [&str; 4] = ["identityfile", "localforward", "remoteforward", "dynamicforward"];

const FORWARDS: [&str; 3] = ["LocalForward", "RemoteForward", "DynamicForward"];

const HONOURED: [&str; 12] = [
    "HostName",
    "User",
    "Port",
    "IdentityFile",
    "IdentitiesOnly",
    "IdentityAgent",
    "UserKnownHostsFile",
    "GlobalKnownHostsFile",
    "StrictHostKeyChecking",
    "ConnectTimeout",
    "ProxyJump",
    "ProxyCommand",
];
