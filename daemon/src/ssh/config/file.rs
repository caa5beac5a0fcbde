//! Reads one file of the configuration, and the files that it includes.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use alknet_proto::explain::Source;
use alknet_proto::{Code, Reason, Stage};

use crate::ssh::settings::Settings;
use crate::ssh::{pattern, whole_file};

use super::directive::{Directive, Found};
use super::explain::Said;
use super::invalid;

/// As in OpenSSH.
const MAX_DEPTH: usize = 16;

/// Nobody writes a configuration of this size; a device or a log included by mistake is larger.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    file: PathBuf,
    line: usize,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Where a file comes from.
pub(super) struct Origin {
    /// What relative includes are relative to.
    pub(super) base: PathBuf,
    /// Nobody else may be able to write the files of a user.
    pub(super) is_of_user: bool,
}

/// Reads `path`, where it exists, for the host that the user named.
pub(super) fn read(
    path: &Path,
    origin: &Origin,
    host: &str,
    settings: &Settings,
    found: &mut Found,
) -> Result<(), Reason> {
    let mut reading = Reading { origin, host, settings, found };
    reading.file(path, true, 0)
}

struct Reading<'a> {
    origin: &'a Origin,
    host: &'a str,
    settings: &'a Settings,
    found: &'a mut Found,
}

impl Reading<'_> {
    /// `may_apply` is false where the file is included in a block of another host: nothing in it applies then.
    fn file(&mut self, path: &Path, may_apply: bool, depth: usize) -> Result<(), Reason> {
        let Some(text) = text_of(path, self.origin)? else { return Ok(()) };
        self.found.files.push(path.to_owned());
        let mut applies = may_apply;
        for (index, line) in text.lines().enumerate() {
            let spot = Spot { file: path.to_owned(), line: index + 1 };
            let Some((keyword, rest)) = keyword_of(line) else { continue };
            match keyword.as_str() {
                "host" => {
                    applies = may_apply && self.is_host(&words(rest).map_err(|what| invalid(&spot, what))?, &spot)?
                }
                "match" => applies = may_apply && is_match_all(rest),
                "include" => {
                    let names = words(rest).map_err(|what| invalid(&spot, what))?;
                    self.include(&names, &spot, applies, depth)?;
                }
                _ if !applies => {}
                // A command is one text to the end of the line, quotes included.
                "proxycommand" => {
                    let arguments: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
                    self.say(&spot, &keyword, arguments.clone());
                    self.found.take(&Directive { spot: &spot, keyword: &keyword, arguments: &arguments })?;
                }
                _ if !is_honoured(&keyword) => self.say(&spot, &keyword, words(rest).unwrap_or_default()),
                _ => {
                    let arguments = words(rest).map_err(|what| invalid(&spot, what))?;
                    self.say(&spot, &keyword, arguments.clone());
                    self.found.take(&Directive { spot: &spot, keyword: &keyword, arguments: &arguments })?;
                }
            }
        }
        Ok(())
    }

    fn say(&mut self, spot: &Spot, keyword: &str, arguments: Vec<String>) {
        let source =
            Source::File { path: spot.file.display().to_string(), line: u32::try_from(spot.line).unwrap_or(u32::MAX) };
        self.found.said.push(Said { keyword: keyword.to_owned(), arguments, source });
    }

    fn is_host(&mut self, patterns: &[String], spot: &Spot) -> Result<bool, Reason> {
        if patterns.is_empty() {
            return Err(invalid(spot, "Host has no pattern"));
        }
        let names = patterns.iter().filter(|name| !name.starts_with('!') && !name.contains(['*', '?']));
        self.found.hosts.extend(names.cloned());
        Ok(pattern::list_matches(patterns.iter().map(String::as_str), self.host))
    }

    fn include(&mut self, names: &[String], spot: &Spot, applies: bool, depth: usize) -> Result<(), Reason> {
        if names.is_empty() {
            return Err(invalid(spot, "Include names no file"));
        }
        if MAX_DEPTH <= depth {
            return Err(invalid(spot, format!("files include each other more than {MAX_DEPTH} deep")));
        }
        for name in names {
            let path = match name.strip_prefix("~/") {
                Some(rest) => self.settings.home.join(rest),
                None => self.origin.base.join(name),
            };
            for path in expand(&path) {
                self.file(&path, applies, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Whether a line with this keyword is looked into; another program's mistakes in others do no harm.
fn is_honoured(keyword: &str) -> bool {
    [
        "hostname",
        "user",
        "port",
        "identityfile",
        "identitiesonly",
        "identityagent",
        "userknownhostsfile",
        "globalknownhostsfile",
        "stricthostkeychecking",
        "connecttimeout",
        "proxyjump",
    ]
    .contains(&keyword)
}

/// Of all Match lines only the one that always applies is understood; the lines of the others are left out.
fn is_match_all(rest: &str) -> bool {
    words(rest).is_ok_and(|words| matches!(words.as_slice(), [only] if only.eq_ignore_ascii_case("all")))
}

fn text_of(path: &Path, origin: &Origin) -> Result<Option<String>, Reason> {
    let unusable = |why: &str, hint: String| {
        let message = format!("cannot read {}: {why}", path.display());
        Err(Reason::new(Stage::Config, Code::InvalidConfig, message).with_hint(hint))
    };
    match whole_file::read(path, MAX_FILE_BYTES) {
        Ok(Some((metadata, _))) if origin.is_of_user && is_writable_by_others(&metadata) => {
            unusable("other users may write it", format!("chmod go-w '{}', and see who owns it", path.display()))
        }
        Ok(Some((_, bytes))) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Ok(None) => Ok(None),
        Err(why) => unusable(&why, "make it a file that this user can read, or take it away".to_owned()),
    }
}

/// As OpenSSH: the file belongs to the user or to root, and nobody else may write it.
#[cfg(unix)]
fn is_writable_by_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let is_ours = metadata.uid() == 0 || metadata.uid() == nix::unistd::getuid().as_raw();
    !is_ours || metadata.mode() & 0o022 != 0
}

#[cfg(not(unix))]
fn is_writable_by_others(_: &std::fs::Metadata) -> bool {
    false
}

/// `key value`, `key=value`, `key = value`; nothing for an empty line and a comment.
fn keyword_of(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    Some((keyword.to_ascii_lowercase(), rest.strip_prefix('=').unwrap_or(rest).trim_start()))
}

/// Words, of which some may be quoted; `#` begins a comment where a word could begin.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(words),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_whitespace()) {
            match (c, quote) {
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('\\', _) if matches!(chars.peek(), Some('"' | '\'' | '\\')) => word.extend(chars.next()),
                ('\\', None) if chars.peek() == Some(&' ') => word.extend(chars.next()),
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("a quote is opened and not closed".to_owned());
        }
        words.push(word);
    }
}

/// The files that `path` means, in order; `*` and `?` may stand in every part of it.
fn expand(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::new()];
    for part in path.components() {
        let pattern = match part {
            Component::Normal(name) => name.to_string_lossy(),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
                paths.iter_mut().for_each(|path| path.push(part));
                continue;
            }
        };
        if !pattern.contains(['*', '?']) {
            paths.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        paths = paths.iter().flat_map(|folder| matching(folder, &pattern)).collect();
    }
    paths
}

fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // As in a shell, a leading dot is only found by a leading dot.
            (pattern.starts_with('.') || !name.starts_with('.')) && pattern::matches(pattern, &name)
        })
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}
