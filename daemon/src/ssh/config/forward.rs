//! The forwards of the configuration, which alknet opens only where somebody makes rules of them.

use super::syntax::port;

/// What a forward listens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Local,
    Remote,
    Dynamic,
}

/// A forward as ssh prints it: `8080 [localhost]:80`, `[::1]:8080 /run/db.sock`.
///
/// # Errors
/// What is wrong, as a fragment.
pub(super) fn normal(kind: Kind, bind: &str, target: Option<&str>) -> Result<String, String> {
    let wrong = || match target {
        Some(target) => format!("`{bind} {target}` is no forward"),
        None => format!("`{bind}` is no forward"),
    };
    let whole = match target {
        Some(target) => format!("{bind}:{target}"),
        None => bind.to_owned(),
    };
    let whole = super::token::environment(&whole)?;
    let fields = fields(whole.trim_start()).ok_or_else(wrong)?;
    let fields: Vec<(&str, bool)> = fields.iter().map(|(text, is_path)| (text.as_str(), *is_path)).collect();
    let listen = |text: &str| match text {
        "0" if kind == Kind::Remote => Some("0".to_owned()),
        text => port(text).map(|port| port.to_string()),
    };
    let at = |host: &str, text: &str| listen(text).map(|port| format!("[{host}]:{port}"));
    let to = |host: &str, text: &str| port(text).map(|port| format!("[{host}]:{port}"));
    let socks =
        |bind: Option<String>| bind.map(|bind| if kind == Kind::Remote { format!("{bind} [socks]:0") } else { bind });
    let both = |bind: Option<String>, target: Option<String>| Some(format!("{} {}", bind?, target?));
    let is_dynamic = kind == Kind::Dynamic || (kind == Kind::Remote && target.is_none());
    let read = match (is_dynamic, fields.as_slice()) {
        (true, [(path, true)]) => socks(Some((*path).to_owned())),
        (true, [(text, false)]) => socks(listen(text)),
        (true, [(host, _), (text, false)]) => socks(at(host, text)),
        (false, [(path, true), (target, true)]) => both(Some((*path).to_owned()), Some((*target).to_owned())),
        (false, [(text, false), (target, true)]) => both(listen(text), Some((*target).to_owned())),
        (false, [(path, true), (host, _), (text, false)]) => both(Some((*path).to_owned()), to(host, text)),
        (false, [(host, _), (text, false), (target, true)]) => both(at(host, text), Some((*target).to_owned())),
        (false, [(text, false), (host, _), (target, false)]) => both(listen(text), to(host, target)),
        (false, [(host, _), (text, false), (name, _), (target, false)]) => both(at(host, text), to(name, target)),
        _ => None,
    };
    read.ok_or_else(wrong)
}

/// The fields between colons, and whether each is a path. Brackets hold colons, a backslash makes one plain.
fn fields(text: &str) -> Option<Vec<(String, bool)>> {
    let mut fields = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let (field, after) = bracketed.split_once(']')?;
            if !after.is_empty() && !after.starts_with(':') {
                return None;
            }
            fields.push((field.to_owned(), field.contains('/')));
            rest = after.strip_prefix(':').unwrap_or(after);
            continue;
        }
        let mut field = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next() {
                None => break rest.len(),
                Some((at, ':')) => break at + 1,
                Some((_, '\\')) => field.push(chars.next()?.1),
                Some((_, c)) => field.push(c),
            }
        };
        let is_path = field.contains('/');
        fields.push((field, is_path));
        rest = &rest[end..];
    }
    Some(fields)
}
