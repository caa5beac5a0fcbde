//! The hosts of a ProxyJump: `[user@]host[:port]` or `ssh://…`, several with commas between them.

use alknet_proto::Destination;

use super::syntax::port;

/// The list as ssh prints it: the last host is written anew, those before it stay as they are.
///
/// # Errors
/// What is wrong, as a fragment.
pub(super) fn normal(text: &str) -> Result<String, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok("none".to_owned());
    }
    let hops = hops(text)?;
    let last = hops.last().ok_or("names no host")?;
    let before = text.rsplit_once(',').map(|(before, _)| before).filter(|before| !before.is_empty());
    let user = last.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let is_number = last.host.contains(':') || last.host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let host = if is_number { format!("[{}]", last.host) } else { last.host.clone() };
    let port = last.port.map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}{user}{host}{port}", before.map(|before| format!("{before},")).unwrap_or_default()))
}

/// The hosts, the nearest first.
///
/// # Errors
/// What is wrong, as a fragment.
pub(super) fn hops(text: &str) -> Result<Vec<Destination>, String> {
    text.split(',').map(|hop| one(hop).ok_or_else(|| format!("`{hop}` is no host to jump over"))).collect()
}

fn one(text: &str) -> Option<Destination> {
    let rest = match text.strip_prefix("ssh://") {
        // A path has no meaning here.
        Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
        None => text,
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some(("", _)) => return None,
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, rest),
    };
    let (host, after) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            (host, after.strip_prefix(':').or(after.is_empty().then_some(""))?)
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    let port = if after.is_empty() { None } else { Some(port(after)?) };
    let is_right = !host.is_empty() && is_harmless(host) && user.as_deref().is_none_or(is_harmless_user);
    is_right.then(|| Destination { user, host: host.to_owned(), port })
}

/// Whether a shell sees nothing in the name of a host but a name.
pub(super) fn is_harmless(host: &str) -> bool {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}".contains(c);
    !host.starts_with('-') && !host.contains(is_bad)
}

/// The same for the name of a user, which may hold a blank or a backslash.
pub(super) fn is_harmless_user(user: &str) -> bool {
    let is_bad = |c: char| c.is_control() || "'`\"$;&<>|(){}".contains(c);
    let words_begin_with_a_dash = user.split(char::is_whitespace).any(|word| word.starts_with('-'));
    !words_begin_with_a_dash && !user.ends_with('\\') && !user.contains(is_bad)
}
