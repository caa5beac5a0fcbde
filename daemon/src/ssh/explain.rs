//! Answers what the ssh configuration makes of a destination, and which forwards it asks for.

use std::sync::Arc;

use alknet_proto::explain::{FoundForward, Setting, Source, Taken};
use alknet_proto::fault::one_line;
use alknet_proto::operation::PAGE;
use alknet_proto::{Bind, Code, Destination, Explanation, Fault, Forwarding, Reason, Target, frame};

use super::auth::offer::{self, KeyFiles};
use super::config;
use super::settings::Settings;

/// A frame holds 1 MiB; the envelope around an explanation needs far less than the rest.
const MAX_EXPLANATION_BYTES: usize = frame::MAX_BODY_BYTES - 1024;

/// Explains a destination. Reads files and asks the agent; `place` is held until the files were read.
///
/// # Errors
/// [`Code::InvalidConfig`], with file and line.
pub async fn explain<P>(destination: Destination, settings: Arc<Settings>, place: P) -> Result<Explanation, Fault>
where
    P: Send + 'static,
{
    let of = destination.clone();
    let (explained, files) = off_the_loop(place, move || {
        let explained = config::explain(&of, &settings)?;
        let files = KeyFiles::read(&explained.server);
        Ok((explained, files))
    })
    .await?;
    let (keys, mut notices) = offer::offered(&explained.server, files).await;
    notices.extend(explained.server.notices);
    let hops = explained.hops;
    let files = explained.files.iter().map(|path| path.display().to_string()).collect();
    let explanation = Explanation { destination, settings: explained.settings, hops, keys, files, notices };
    match frame::encode(&explanation) {
        Ok(framed) if framed.len() <= MAX_EXPLANATION_BYTES => Ok(explanation),
        Ok(_) | Err(_) => {
            let message =
                format!("the ssh configuration says more about {} than one answer holds", explanation.destination);
            Err(Fault::new(Code::InvalidConfig, message)
                .with_hint("no such configuration was written by a person: see its Include lines"))
        }
    }
}

/// One page of the forwards that the configuration asks for, and whether there are more; without `destinations` those
/// of every Host that is no pattern. Reads files; `place` is held until they were read.
///
/// # Errors
/// [`Code::InvalidConfig`], with file and line.
pub async fn find_forwards<P>(
    destinations: Vec<Destination>,
    skip: u32,
    settings: Arc<Settings>,
    place: P,
) -> Result<(Vec<FoundForward>, bool), Fault>
where
    P: Send + 'static,
{
    off_the_loop(place, move || {
        let are_named = !destinations.is_empty();
        let destinations = if are_named { destinations } else { hosts(&settings)? };
        let mut found = Vec::new();
        for destination in destinations {
            match config::explain(&destination, &settings) {
                Ok(explained) => found.extend(forwards(&destination, &explained.settings)),
                Err(reason) if are_named => return Err(reason),
                // A mistake in the lines of one Host says nothing about the others.
                Err(reason) => found.push(FoundForward {
                    line: format!("Host {destination}"),
                    source: Source::Default,
                    taken: Taken::Not { why: reason.message },
                    destination,
                }),
            }
        }
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(found.len());
        let mut rest = found.split_off(skip);
        let more = PAGE < rest.len();
        rest.truncate(PAGE);
        Ok((rest, more))
    })
    .await
}

/// Every Host that is no pattern, in the order of the files, each once.
fn hosts(settings: &Settings) -> Result<Vec<Destination>, Reason> {
    // The names do not depend on the destination that is asked for.
    let any = Destination { user: None, host: "localhost".to_owned(), port: None };
    let mut hosts: Vec<Destination> = Vec::new();
    for name in config::explain(&any, settings)?.hosts {
        // What cannot be a destination, no forward can go to.
        if let Ok(host) = name.parse::<Destination>()
            && !hosts.contains(&host)
        {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

fn forwards(destination: &Destination, settings: &[Setting]) -> Vec<FoundForward> {
    let said = |keyword: &str| settings.iter().find(|s| s.keyword.eq_ignore_ascii_case(keyword));
    let is_for_all = said("GatewayPorts").is_some_and(|s| s.values.first().is_some_and(|v| v == "yes"));
    let cleared = said("ClearAllForwardings").is_some_and(|s| s.values.first().is_some_and(|v| v == "yes"));
    let found = |setting: &Setting| {
        let taken = if cleared {
            Err("ClearAllForwardings clears it".to_owned())
        } else {
            forwarding(&setting.keyword, &setting.values, is_for_all)?.and_then(without_tokens)
        };
        Some(FoundForward {
            destination: destination.clone(),
            line: one_line(&format!("{} {}", setting.keyword, setting.values.join(" "))),
            source: setting.source.clone(),
            taken: match taken {
                Ok(forwarding) => Taken::Over(forwarding),
                Err(why) => Taken::Not { why: one_line(&why) },
            },
        })
    };
    let mut found: Vec<FoundForward> = settings.iter().filter_map(found).collect();
    // The settings are in the order of the manual; people look for theirs.
    found.sort_by_key(|forward| place_in_file(&forward.source));
    found
}

fn place_in_file(source: &Source) -> Option<(String, u32)> {
    match source {
        Source::File { path, line } => Some((path.clone(), *line)),
        Source::Default | Source::Config | Source::Destination | Source::Environment(_) => None,
    }
}

/// ssh fills in paths anew for each connection; a rule has one path for good.
fn without_tokens(forwarding: Forwarding) -> Result<Forwarding, String> {
    let has_tokens = |path: &str| path.contains('%') || path.contains("${");
    let listens = matches!(forwarding.bind(), Bind::Unix(path) if has_tokens(path));
    let connects = matches!(forwarding.target(), Some(Target::Unix(path)) if has_tokens(path));
    if listens || connects {
        return Err("ssh fills in `%` and `${NAME}` in paths, a rule does not: write the path out".to_owned());
    }
    Ok(forwarding)
}

/// Nothing for a directive that is about something else.
fn forwarding(keyword: &str, values: &[String], is_for_all: bool) -> Option<Result<Forwarding, String>> {
    let spec = values.join(":");
    // As OpenSSH: GatewayPorts decides where a forward of this machine listens that does not say it.
    let listens_here = |parse: fn(&str) -> Result<Forwarding, String>| {
        let bind = values.first().map_or("", String::as_str);
        let names_an_address = bind.contains([':', '/']);
        if is_for_all && !names_an_address { parse(&format!("*:{spec}")) } else { parse(&spec) }
    };
    Some(match (keyword, values) {
        ("LocalForward", [_, _]) => listens_here(Forwarding::parse_local),
        ("DynamicForward", [_]) => listens_here(Forwarding::parse_dynamic),
        ("RemoteForward", [_] | [_, _]) => Forwarding::parse_remote(&spec),
        ("LocalForward", _) => Err("LocalForward takes what listens and what is connected to".to_owned()),
        ("DynamicForward" | "RemoteForward", _) => Err(format!("{keyword} has too many values or none")),
        _ => return None,
    })
}

/// Does what blocks on a thread of its own.
async fn off_the_loop<P, T, W>(place: P, work: W) -> Result<T, Fault>
where
    P: Send + 'static,
    T: Send + 'static,
    W: FnOnce() -> Result<T, Reason> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(place);
        done
    });
    match done.await {
        Ok(done) => Ok(done?),
        Err(error) => {
            tracing::error!(%error, "reading the ssh configuration failed");
            Err(Fault::new(Code::Internal, "alknetd has a defect and cannot read the ssh configuration"))
        }
    }
}
