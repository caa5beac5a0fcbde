//! Fills in `~`, `%h` and `${NAME}` in values of the configuration.

use std::path::PathBuf;

use alknet_proto::Reason;

use crate::ssh::settings::Settings;

use super::directive::Named;

/// What can be filled in.
pub(super) struct Tokens<'a> {
    pub(super) host: &'a str,
    pub(super) alias: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) settings: &'a Settings,
}

/// A HostName: `%h` is the name that the user gave.
pub(super) fn host_name(text: &str, alias: &str) -> Result<String, String> {
    percent(text, |token| (token == 'h').then(|| alias.to_owned()))
}

impl Tokens<'_> {
    /// A path: `~` is the home, a relative one is relative to it.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let text = environment(text)?;
        let text = percent(&text, |token| {
            Some(match token {
                'd' => self.settings.home.display().to_string(),
                'h' => self.host.to_owned(),
                'n' => self.alias.to_owned(),
                'p' => self.port.to_string(),
                'r' => self.user.to_owned(),
                'u' => self.settings.user.clone(),
                _ => return None,
            })
        })?;
        match text.strip_prefix('~') {
            Some("") => Ok(self.settings.home.clone()),
            Some(rest) if rest.starts_with('/') => Ok(self.settings.home.join(rest.trim_start_matches('/'))),
            Some(_) => Err(format!("`{text}`: the home of another user is not looked up")),
            // The daemon runs in no folder that means anything to its user.
            None => Ok(self.settings.home.join(text)),
        }
    }

    /// A list of files; `None` where the configuration has none.
    pub(super) fn files(&self, named: &Option<Named<Vec<String>>>) -> Result<Option<Vec<PathBuf>>, Reason> {
        let Some(named) = named else { return Ok(None) };
        if let [only] = named.value.as_slice()
            && only.eq_ignore_ascii_case("none")
        {
            return Ok(Some(Vec::new()));
        }
        named.value.iter().map(|text| named.at(self.path(text))).collect::<Result<_, _>>().map(Some)
    }
}

fn percent(text: &str, meaning: impl Fn(char) -> Option<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            filled.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => filled.push('%'),
            Some(token) => match meaning(token) {
                Some(value) => filled.push_str(&value),
                None => return Err(format!("`%{token}` has no meaning in `{text}`")),
            },
            None => return Err(format!("`{text}` ends with a single `%`")),
        }
    }
    Ok(filled)
}

fn environment(text: &str) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("`{text}` opens `${{` and does not close it"));
        };
        let value = std::env::var(name).map_err(|_| format!("the environment has no `{name}`"))?;
        filled.push_str(before);
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
