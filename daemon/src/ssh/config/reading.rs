//! From a destination to everything that the configuration says about it, in one reading of the files or in two.

use alknet_proto::{Destination, Reason};

use super::canonical;
use super::file::Reading;
use super::found::Found;
use super::matcher::Subject;
use super::spot::{Source, invalid};
use super::words::Line;
use super::{syntax, table, token};
use crate::ssh::settings::Settings;

/// What was said about a destination, and the host that it comes to.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) found: Found,
    /// The name or address to connect to.
    pub(super) host: String,
    /// The host as the user named it.
    pub(super) alias: String,
}

/// Reads the files, twice where a block or the canonicalization asks for it. `jump` is the way to a host that is
/// jumped over; it comes before what the files say. Blocks.
///
/// # Errors
/// `invalid_config` with file and line; `name_not_resolved` where a name has to be looked up for it.
pub(super) fn read(destination: &Destination, jump: Option<&str>, settings: &Settings) -> Result<Said, Reason> {
    let mut found = Found::default();
    if let Some(user) = &destination.user {
        found.set("User", user.clone(), Source::Destination);
    }
    if let Some(port) = destination.port {
        found.set("Port", port.to_string(), Source::Destination);
    }
    if let Some(jump) = jump {
        found.set("ProxyJump", jump.to_owned(), Source::Destination);
    }
    take_options(settings, &mut found)?;

    let alias = destination.host.as_str();
    let subject = Subject { original: alias, host: alias, is_final: false };
    let mut first = Reading { settings, subject, found: &mut found, wants_final: false };
    first.files()?;
    let wants_final = first.wants_final;

    let named = match found.first("HostName") {
        Some(name) => name.at(token::host_name(&name.text, alias))?,
        None => alias.to_owned(),
    };
    let host = canonical::settle(&named, &found)?;
    let is_canonicalized = found.text("CanonicalizeHostname") != Some("false");
    // What steered the first reading stays as it was then.
    for name in ["CanonicalizeHostname", "CanonicalizeMaxDots", "CanonicalizeFallbackLocal"] {
        if let Some(text) = found.text(name).map(str::to_owned) {
            found.set(name, text, Source::Default);
        }
    }
    if wants_final || is_canonicalized {
        found.set("HostName", host.clone(), Source::Default);
        found.replace("HostName", host.clone());
        let subject = Subject { original: alias, host: &host, is_final: true };
        Reading { settings, subject, found: &mut found, wants_final: false }.files()?;
    }
    Ok(Said { found, host, alias: alias.to_owned() })
}

/// The options of alknet's own configuration, which come before ssh's files.
fn take_options(settings: &Settings, found: &mut Found) -> Result<(), Reason> {
    for option in &settings.ssh_options.lines {
        let wrong = |what: String| invalid(&format!("alknet's configuration, option `{option}`"), what);
        let Some(line) = Line::parse(option).map_err(wrong)? else { continue };
        let Some(directive) = table::find(&line.keyword) else {
            return Err(wrong(format!("`{}` is no directive of ssh", line.keyword)));
        };
        if matches!(directive.syntax, super::directive::Syntax::Steering) {
            return Err(wrong(format!("{} can only stand in a file of ssh", directive.name)));
        }
        let values = syntax::values(directive, &line).map_err(wrong)?;
        found.take(directive, values, &line.words, &Source::Config);
    }
    Ok(())
}
