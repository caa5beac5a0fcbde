//! What the ssh configuration says about a destination.
//!
//! `table` has every directive and what is done with it; `reading` finds what applies, `server` makes of it what a
//! session needs, `explain` shows it.

mod algorithms;
mod canonical;
mod directive;
mod exec;
mod explain;
mod file;
mod forward;
mod found;
mod glob;
mod jump;
mod matcher;
mod reading;
mod server;
mod spot;
mod syntax;
mod table;
mod token;
mod words;

use std::path::PathBuf;

use alknet_proto::{Code, Destination, Reason, Stage};

pub(super) use explain::explain;
pub(super) use server::{AddressFamily, Connecting, Known, Offered, Server, Way};

pub(super) use syntax::port;

use super::settings::Settings;

const SSH_PORT: u16 = 22;

/// How many hosts may be jumped over: more are a loop.
const MAX_HOPS: usize = 8;

/// Reads the configuration files. Blocks. Tells which it read, unless one of them could not be read to its end.
///
/// # Errors
/// `invalid_config`, with file and line, also for a line without whose effect the session would be less safe.
pub(super) fn resolve(destination: &Destination, settings: &Settings) -> (Vec<PathBuf>, Result<Server, Reason>) {
    match reading::read(destination, None, settings) {
        Ok(said) => (said.found.files.clone(), made_of(&said, settings, 0)),
        Err(reason) => (Vec::new(), Err(reason)),
    }
}

/// `jump` is the way to a host that is jumped over, where the one behind it says so.
fn resolve_hop(
    destination: &Destination,
    jump: Option<&str>,
    settings: &Settings,
    depth: usize,
) -> Result<Server, Reason> {
    made_of(&reading::read(destination, jump, settings)?, settings, depth)
}

fn made_of(said: &reading::Said, settings: &Settings, depth: usize) -> Result<Server, Reason> {
    if let Some(refusal) = said.found.all_refusals().first() {
        return Err(refusal.reason());
    }
    let way = way(said, settings, depth)?;
    server::server(said, settings, way)
}

fn way(said: &reading::Said, settings: &Settings, depth: usize) -> Result<Way, Reason> {
    let parts = server::Parts::of(said, settings);
    if let Some(command) = parts.command()? {
        return Ok(Way::Command(command));
    }
    let mut hops = parts.hops()?;
    let Some(last) = hops.pop() else { return Ok(Way::Direct) };
    let is_itself = last.host == said.host
        && last.port.unwrap_or(SSH_PORT) == parts.port
        && last.user.as_ref().is_none_or(|user| *user == parts.user);
    if is_itself {
        let message = format!("the way to {} leads over itself", said.alias);
        return Err(Reason::new(Stage::Config, Code::InvalidConfig, message)
            .with_hint("say `ProxyJump none` for the jump host"));
    }
    if MAX_HOPS <= depth + hops.len() {
        let message = format!("the way to {} goes over more than {MAX_HOPS} hosts", said.alias);
        return Err(Reason::new(Stage::Config, Code::InvalidConfig, message)
            .with_hint("a ProxyJump may lead back to itself: see which Host blocks apply to the jump host"));
    }
    // As ssh: the hosts before the last are the way to it; a first one goes its own way.
    let before: Vec<String> = hops.iter().map(Destination::to_string).collect();
    let jump = (!before.is_empty()).then(|| before.join(","));
    let hop = resolve_hop(&last, jump.as_deref(), settings, depth + 1)?;
    Ok(Way::Jump(Box::new(hop)))
}

/// What is offered where the configuration says nothing.
#[cfg(test)]
pub(super) fn offered_by_default() -> Offered {
    let names = |family| algorithms::ours(family).to_vec();
    Offered {
        kexes: names(directive::Family::Kex),
        ciphers: names(directive::Family::Cipher),
        macs: names(directive::Family::Mac),
        host_keys: key_algorithms(),
        known_keys_first: true,
    }
}

/// Kinds of keys where the configuration says nothing.
#[cfg(test)]
pub(super) fn key_algorithms() -> Vec<&'static str> {
    algorithms::ours(directive::Family::Key).to_vec()
}

#[cfg(test)]
mod tests;
