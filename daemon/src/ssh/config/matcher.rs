//! Whether the lines below a Match apply.

use alknet_proto::Reason;

use super::file::Reading;
use super::found::Refusal;
use super::spot::{Source, Spot, invalid};
use super::token::Tokens;
use super::words::next_part;
use super::{exec, token};
use crate::ssh::pattern;

/// Whom the blocks are held against.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// As the user named it.
    pub(super) original: &'a str,
    /// What Host is about: `original`, and in the second reading the name that it came to.
    pub(super) host: &'a str,
    pub(super) is_final: bool,
}

/// Reads the conditions of a Match. `may_apply` is false within a block of another host.
///
/// # Errors
/// `invalid_config` where a condition is not one.
pub(super) fn applies(
    reading: &mut Reading<'_>,
    conditions: &str,
    spot: &Spot,
    may_apply: bool,
) -> Result<bool, Reason> {
    let wrong = |what: String| Err(invalid(spot, what));
    let host = host_so_far(reading).map_err(|what| invalid(spot, what))?;
    let mut rest = Some(conditions);
    let mut holds = true;
    let mut n_conditions = 0;
    while let Some(word) = next_part(&mut rest).filter(|word| !word.is_empty() && !word.starts_with('#')) {
        let (is_negated, name) = match word.strip_prefix('!') {
            Some(name) => (true, name.to_ascii_lowercase()),
            None => (false, word.to_ascii_lowercase()),
        };
        if name == "all" {
            let more = next_part(&mut rest).filter(|more| !more.is_empty() && !more.starts_with('#'));
            if 1 < n_conditions || more.is_some() {
                return wrong("Match all stands alone".to_owned());
            }
            return Ok(may_apply && holds && !is_negated);
        }
        n_conditions += 1;
        if matches!(name.as_str(), "final" | "canonical") {
            reading.wants_final |= name == "final";
            holds &= reading.subject.is_final != is_negated;
            continue;
        }
        let may_be_empty = matches!(name.as_str(), "tagged" | "command");
        let argument = next_part(&mut rest).filter(|text| may_be_empty || (!text.is_empty() && !text.starts_with('#')));
        let Some(argument) = argument else { return wrong(format!("Match {name} has no value")) };
        let list = || pattern::list_matches(argument.split(','), "");
        let is_so = match name.as_str() {
            "host" => matches_host(&argument, &host),
            "originalhost" => matches_host(&argument, reading.subject.original),
            "user" => {
                let user = reading.found.first("User").map_or(reading.settings.user.as_str(), |user| &user.text);
                pattern::list_matches(argument.split(','), user)
            }
            "localuser" => pattern::list_matches(argument.split(','), &reading.settings.user),
            "tagged" => {
                let tag = reading.found.first("Tag").map_or("", |tag| &tag.text);
                if argument.is_empty() { tag.is_empty() } else { pattern::list_matches(argument.split(','), tag) }
            }
            // A session that only carries forwards.
            "sessiontype" => pattern::list_matches(argument.split(','), "none"),
            "command" => argument.is_empty() || list(),
            "exec" => {
                if !holds || !may_apply {
                    continue;
                }
                if !reading.settings.ssh_options.may_run_match_exec {
                    reading.found.refuse(refused_exec(spot));
                    holds = false;
                    continue;
                }
                run(reading, &argument, &host, spot)?
            }
            "localnetwork" | "version" => {
                reading.found.refuse(Refusal {
                    directive: "Match",
                    source: Source::File(spot.clone()),
                    why: format!("the condition `{name}` is not looked into, so nobody knows what applies"),
                    hint: "say the lines in another way for this host".to_owned(),
                });
                false
            }
            _ => return wrong(format!("Match knows no condition `{name}`")),
        };
        holds &= is_so != is_negated;
    }
    if n_conditions == 0 {
        return wrong("Match has no condition".to_owned());
    }
    Ok(may_apply && holds)
}

fn matches_host(patterns: &str, host: &str) -> bool {
    let (patterns, host) = (patterns.to_lowercase(), host.to_lowercase());
    pattern::list_matches(patterns.split(','), &host)
}

/// What the host is called as far as it is known.
fn host_so_far(reading: &Reading<'_>) -> Result<String, String> {
    match reading.found.first("HostName") {
        Some(name) if reading.subject.is_final => Ok(name.text.clone()),
        Some(name) => token::host_name(&name.text, reading.subject.host),
        None => Ok(reading.subject.host.to_owned()),
    }
}

fn refused_exec(spot: &Spot) -> Refusal {
    Refusal {
        directive: "Match exec",
        source: Source::File(spot.clone()),
        why: "it runs a command whenever the daemon connects, which is not allowed".to_owned(),
        hint: "allow it with `match_exec = true` in alknet's configuration, or take the line away".to_owned(),
    }
}

fn run(reading: &Reading<'_>, command: &str, host: &str, spot: &Spot) -> Result<bool, Reason> {
    let found = &*reading.found;
    let tokens = Tokens {
        host,
        alias: reading.subject.original,
        port: found.first("Port").and_then(|port| port.text.parse().ok()).unwrap_or(super::SSH_PORT),
        user: found.first("User").map_or(reading.settings.user.as_str(), |user| &user.text),
        key_alias: found.first("HostKeyAlias").map_or(host, |alias| &alias.text),
        jump: "",
        settings: reading.settings,
    };
    let wrong = |what: String| invalid(spot, format!("Match exec: {what}"));
    let command = tokens.percent(command).map_err(wrong)?;
    exec::succeeds(&command).map_err(wrong)
}
