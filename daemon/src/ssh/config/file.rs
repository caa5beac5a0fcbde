//! Reads one file of the configuration, and the files that it includes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alknet_proto::{Code, Reason, Stage};

use super::found::Found;
use super::matcher::{self, Subject};
use super::spot::{Source, Spot, invalid};
use super::words::Line;
use super::{glob, syntax, table, token};
use crate::ssh::settings::Settings;
use crate::ssh::{pattern, whole_file};

/// As in OpenSSH.
const MAX_DEPTH: usize = 16;

/// Nobody writes a configuration of this size; a device or a log included by mistake is larger.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Nobody writes a line of this size.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// One reading of the files for one host.
pub(super) struct Reading<'a> {
    pub(super) settings: &'a Settings,
    /// Whom the blocks are held against.
    pub(super) subject: Subject<'a>,
    pub(super) found: &'a mut Found,
    /// A block asks for a second reading, when the name of the host is settled.
    pub(super) wants_final: bool,
}

/// Where a file stands among the others.
#[derive(Clone, Copy)]
struct Place {
    /// What relative includes are relative to, and whether `~` may be said.
    is_of_user: bool,
    /// Blocks may begin to apply; false within a block of another host.
    may_apply: bool,
    /// Nobody else may be able to write it.
    is_guarded: bool,
    depth: usize,
}

impl Reading<'_> {
    /// Reads the user's file and then the machine's, where they exist. Blocks.
    ///
    /// # Errors
    /// `invalid_config` with file and line.
    pub(super) fn files(&mut self) -> Result<(), Reason> {
        let (user, global) = (self.settings.ssh_config.clone(), self.settings.global_ssh_config.clone());
        let place = Place { is_of_user: true, may_apply: true, is_guarded: true, depth: 0 };
        self.file(&user, true, place)?;
        self.file(&global, true, Place { is_of_user: false, is_guarded: false, ..place })?;
        Ok(())
    }

    /// False where there is no such file.
    fn file(&mut self, path: &Path, applies: bool, place: Place) -> Result<bool, Reason> {
        let Some(bytes) = bytes_of(path, place.is_guarded)? else { return Ok(false) };
        let file: Arc<Path> = path.into();
        if !self.found.files.iter().any(|known| known == path) {
            self.found.files.push(path.to_owned());
        }
        let mut applies = applies;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let spot = Spot { file: file.clone(), line: index + 1 };
            if MAX_LINE_BYTES < line.len() {
                let size = line.len() >> 10;
                return Err(invalid(&spot, format!("the line has {size} KiB; {} are possible", MAX_LINE_BYTES >> 10)));
            }
            if line.contains(&0) {
                return Err(invalid(&spot, "the line contains a NUL byte"));
            }
            self.line(&String::from_utf8_lossy(line), spot, &mut applies, place)?;
        }
        Ok(true)
    }

    fn line(&mut self, text: &str, spot: Spot, applies: &mut bool, place: Place) -> Result<(), Reason> {
        let Some(line) = Line::parse(text).map_err(|what| invalid(&spot, what))? else { return Ok(()) };
        match line.keyword.as_str() {
            "host" => {
                if let Some(index) = line.words.iter().position(String::is_empty) {
                    return Err(invalid(&spot, format!("pattern {} of Host is empty", index + 1)));
                }
                let names = line.words.iter().filter(|name| !name.starts_with('!') && !name.contains(['*', '?']));
                if !self.subject.is_final {
                    self.found.hosts.extend(names.cloned());
                }
                let patterns = line.words.iter().map(String::as_str);
                *applies = place.may_apply && pattern::list_matches(patterns, self.subject.host);
            }
            "match" => *applies = matcher::applies(self, line.rest, &spot, place.may_apply)?,
            "include" => self.include(&line.words, &spot, *applies, place)?,
            keyword => match table::find(keyword) {
                Some(directive) => {
                    let values = syntax::values(directive, &line).map_err(|what| invalid(&spot, what))?;
                    if *applies {
                        self.found.take(directive, values, &line.words, &Source::File(spot));
                    }
                }
                None if self.is_to_be_ignored(keyword) => {}
                None => {
                    return Err(invalid(&spot, format!("`{keyword}` is no directive of ssh"))
                        .with_hint(format!("mend the word, or say `IgnoreUnknown {keyword}` above the line")));
                }
            },
        }
        Ok(())
    }

    fn is_to_be_ignored(&self, keyword: &str) -> bool {
        let patterns = self.found.first("IgnoreUnknown").map(|value| value.text.to_lowercase());
        patterns.is_some_and(|patterns| pattern::list_matches(patterns.split(','), keyword))
    }

    fn include(&mut self, names: &[String], spot: &Spot, applies: bool, place: Place) -> Result<(), Reason> {
        if MAX_DEPTH <= place.depth {
            return Err(invalid(spot, format!("files include each other more than {MAX_DEPTH} deep")));
        }
        let place = Place { may_apply: place.may_apply && applies, is_guarded: true, depth: place.depth + 1, ..place };
        for name in names {
            let path = self.path_of(name, place.is_of_user).map_err(|what| invalid(spot, what))?;
            for path in glob::expand(&path) {
                let is_chosen_by_pattern = glob::is_pattern(name);
                if is_chosen_by_pattern && path.is_dir() {
                    continue;
                }
                let is_there = self.file(&path, applies, place).map_err(|reason| at_include(spot, reason))?;
                if !is_there && !is_chosen_by_pattern {
                    self.found.notice(spot, &format!("Include names {}, which does not exist", path.display()));
                }
            }
        }
        Ok(())
    }

    fn path_of(&self, name: &str, is_of_user: bool) -> Result<PathBuf, String> {
        if name.is_empty() {
            return Err("Include has an empty name".to_owned());
        }
        if name.starts_with('~') {
            return if is_of_user {
                token::home(name, self.settings)
            } else {
                Err(format!("Include `{name}`: a file of the machine has no home"))
            };
        }
        let base = match is_of_user {
            true => self.settings.ssh_folder(),
            false => self.settings.global_ssh_config.parent().map_or_else(PathBuf::new, PathBuf::from),
        };
        Ok(base.join(name))
    }
}

/// How a message begins that is about a whole file.
const CANNOT_READ: &str = "cannot read ";

/// Names the line that includes a file which cannot be read.
fn at_include(spot: &Spot, mut reason: Reason) -> Reason {
    if reason.message.starts_with(CANNOT_READ) {
        reason.message = format!("{spot}: {}", reason.message);
    }
    reason
}

fn bytes_of(path: &Path, is_guarded: bool) -> Result<Option<Vec<u8>>, Reason> {
    let unusable = |why: &str, hint: String| {
        let message = format!("{CANNOT_READ}{}: {why}", path.display());
        Err(Reason::new(Stage::Config, Code::InvalidConfig, message).with_hint(hint))
    };
    match whole_file::read(path, MAX_FILE_BYTES) {
        Ok(Some((metadata, _))) if is_guarded && is_writable_by_others(&metadata) => {
            unusable("other users may write it", format!("chmod go-w '{}', and see who owns it", path.display()))
        }
        Ok(Some((_, bytes))) => Ok(Some(bytes)),
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
