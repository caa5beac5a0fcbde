//! The rules file: its form, how it is read, and how it is replaced so that no crash leaves half of it.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use alknet_core::{SavedRule, SavedRules, check_spec};
use alknet_proto::{Code, Fault, Stage};
use serde::{Deserialize, Serialize};

/// Grows when an older daemon could no longer read the file without losing something.
const VERSION: u32 = 1;
/// What a file that is being written is called.
const BESIDE_PREFIX: &str = ".rules-";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `version`, `next_id` and `rules`")]
struct RulesFile {
    version: u32,
    next_id: u32,
    rules: Vec<SavedRule>,
}

/// Read first and alone, so that a newer file is named as one instead of as a broken one.
#[derive(Deserialize)]
#[serde(expecting = "an object with `version`, `next_id` and `rules`")]
struct VersionOnly {
    version: u32,
}

/// What is wrong with a rules file, and where.
pub(super) struct Problem {
    line: Option<usize>,
    message: String,
    hint: &'static str,
}

impl Problem {
    pub(super) fn in_file(self, path: &Path) -> Fault {
        let place = match self.line {
            Some(line) => format!("{}:{line}", path.display()),
            None => path.display().to_string(),
        };
        Fault::new(Code::InvalidRules, format!("cannot use the rules in {place}: {}", self.message))
            .at(Stage::LocalIo)
            .with_hint(self.hint)
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        // serde_json says the place itself; it is said in front here.
        let message = match error.is_eof() {
            true => "it ends too early".to_owned(),
            false => text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned(),
        };
        let hint = "mend that line, or move the file away to start without rules; nothing was changed";
        Problem { line: (0 < error.line()).then(|| error.line()), message, hint }
    }
}

pub(super) fn parse(text: &str) -> Result<SavedRules, Problem> {
    if text.trim().is_empty() {
        let hint = "move the file away to start without rules; nothing was changed";
        return Err(Problem { line: None, message: "it is empty".to_owned(), hint });
    }
    let VersionOnly { version } = serde_json::from_str(text)?;
    if VERSION < version {
        let message = format!("a newer alknetd wrote it (version {version}, this one reads {VERSION})");
        let hint = "start the newer alknetd, or move the file away to start without rules; nothing was changed";
        return Err(Problem { line: None, message, hint });
    }
    let file: RulesFile = serde_json::from_str(text)?;
    let mut ids = HashSet::new();
    let mut names = HashSet::new();
    for rule in &file.rules {
        if !ids.insert(rule.id) || !names.insert(rule.name.clone()) {
            let message = format!("the rule `{}` ({}) is there twice", rule.name, rule.id);
            let hint = "remove one of the two; nothing was changed";
            return Err(Problem { line: None, message, hint });
        }
        if let Err(fault) = check_spec(&rule.spec()) {
            let message = format!("the rule `{}` cannot be: {fault}", rule.name);
            return Err(Problem { line: None, message, hint: "mend or remove it; nothing was changed" });
        }
    }
    Ok(SavedRules { revision: 0, next_id: file.next_id, rules: file.rules })
}

/// Removes what a daemon left that was killed while it wrote. The caller holds the lock on the rules.
pub(super) fn sweep(path: &Path) {
    let Some(entries) = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(BESIDE_PREFIX) {
            // What stays does no harm.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Replaces the file: a new one beside it, synced, renamed over the old one, and the folder synced.
pub(super) fn write(path: &Path, rules: &SavedRules) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("the rules file has no folder"))?;
    let file = RulesFile { version: VERSION, next_id: rules.next_id, rules: rules.rules.clone() };
    let mut text = serde_json::to_vec_pretty(&file)?;
    text.push(b'\n');
    // Readable for the owner alone: tempfile creates it so.
    let mut beside = tempfile::Builder::new().prefix(BESIDE_PREFIX).suffix(".tmp").tempfile_in(folder)?;
    beside.write_all(&text)?;
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Without this, a power cut may bring the old file back although the rename was done.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Windows keeps the order of renames itself and opens no folder for syncing.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use alknet_proto::{ForwardId, Forwarding, OnSuspend};

    use super::*;

    fn rules() -> SavedRules {
        let rule = |id: u32, name: &str, forwarding: Result<Forwarding, String>| SavedRule {
            id: ForwardId(id),
            name: name.parse().unwrap(),
            destination: "me@prod:2222".parse().unwrap(),
            forwarding: forwarding.unwrap(),
            description: Some("a \"note\"".to_owned()),
            tags: vec!["db".parse().unwrap()],
            on_suspend: OnSuspend::Refuse,
            lazy: id == 3,
            stopped: id == 2,
            accept_new: id == 1,
            idle_timeout_seconds: if id == 3 { 60 } else { 0 },
            reclaim: id == 2,
            earlier_port: Some(40000),
        };
        SavedRules {
            revision: 0,
            next_id: 5,
            rules: vec![
                rule(1, "web", Forwarding::parse_local("[::1]:8080:db:80")),
                rule(2, "back", Forwarding::parse_remote("9000:localhost:22")),
                rule(3, "socks", Forwarding::parse_dynamic("0")),
                rule(4, "away", Forwarding::parse_remote("/tmp/a b.sock")),
            ],
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.json");

        write(&path, &rules()).unwrap();
        write(&path, &rules()).unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&text).ok(), Some(rules()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_problem_names_file_line_and_what_to_do() {
        for (text, expected) in [
            ("", "/r/rules.json: it is empty"),
            ("{\"version\"", "/r/rules.json:1: it ends too early"),
            ("[]", "/r/rules.json:1: invalid length 0, expected an object with `version`, `next_id` and `rules`"),
            ("{\"version\":1,\"next_id\":1,\"rules\":[[]]}", "invalid length 0, expected a rule"),
            ("{\"version\":1,\"next_id\":1,\"rules\":[7]}", "invalid type: integer `7`, expected a rule"),
            ("{\n\"version\": 1,\n\"next_id\": x}", "/r/rules.json:3: expected value"),
            ("{\"version\": 2, \"later\": 1}", "/r/rules.json: a newer alknetd wrote it (version 2, this one reads 1)"),
            ("{\"version\": 1,\n\"next_id\": 1,\n\"rules\": [],\n\"more\": 1}", "/r/rules.json:4: unknown field"),
            (
                "{\"version\":1,\"next_id\":2,\"rules\":[\n{\"id\":\"9e3779b1\",\"name\":\"a\",\"destination\":\"p\",\"forwarding\":\"-L x\"}]}",
                "/r/rules.json:2: `x` has an impossible port",
            ),
        ] {
            let fault = parse(text).err().unwrap().in_file(Path::new("/r/rules.json"));
            assert!(fault.message.contains(expected), "{text:?}: {}", fault.message);
            assert!(fault.hint.is_some());
        }
    }

    #[test]
    fn a_rule_that_is_there_twice_is_refused() {
        let mut twice = rules();
        twice.rules[1].name = twice.rules[0].name.clone();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.json");
        write(&path, &twice).unwrap();

        let problem = parse(&std::fs::read_to_string(&path).unwrap()).err().unwrap();

        assert_eq!(problem.message, "the rule `web` (3c6ef362) is there twice");
    }
}
