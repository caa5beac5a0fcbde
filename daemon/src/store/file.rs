//! The rules file: its form, how it is read, and how it is replaced so that no crash leaves half of it.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use alknet_core::{SavedRule, SavedRules};
use alknet_proto::{Code, Destination, Fault, ForwardId, ForwardKind, ForwardName, Forwarding, OnSuspend, Stage, Tag};
use serde::{Deserialize, Serialize};

/// Grows when an older daemon could no longer read the file without losing something.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    version: u32,
    next_id: u32,
    rules: Vec<Entry>,
}

/// Read first and alone, so that a newer file is named as one instead of as a broken one.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "RawEntry")]
struct Entry {
    id: ForwardId,
    name: ForwardName,
    destination: Destination,
    kind: ForwardKind,
    spec: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
    on_suspend: OnSuspend,
    #[serde(skip_serializing_if = "is_off")]
    lazy: bool,
    #[serde(skip_serializing_if = "is_off")]
    stopped: bool,
    #[serde(skip_serializing_if = "is_off")]
    accept_new: bool,
    #[serde(skip_serializing_if = "is_zero")]
    idle_timeout_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier_port: Option<u16>,
    #[serde(skip)]
    forwarding: Option<Forwarding>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    id: ForwardId,
    name: ForwardName,
    destination: Destination,
    kind: ForwardKind,
    spec: String,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    on_suspend: OnSuspend,
    #[serde(default)]
    lazy: bool,
    #[serde(default)]
    stopped: bool,
    #[serde(default)]
    accept_new: bool,
    #[serde(default)]
    idle_timeout_seconds: u32,
    earlier_port: Option<u16>,
}

fn is_off(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl TryFrom<RawEntry> for Entry {
    type Error = String;

    fn try_from(raw: RawEntry) -> Result<Self, String> {
        let forwarding = Forwarding::parse(raw.kind, &raw.spec)?;
        Ok(Entry {
            id: raw.id,
            name: raw.name,
            destination: raw.destination,
            kind: raw.kind,
            spec: raw.spec,
            description: raw.description,
            tags: raw.tags,
            on_suspend: raw.on_suspend,
            lazy: raw.lazy,
            stopped: raw.stopped,
            accept_new: raw.accept_new,
            idle_timeout_seconds: raw.idle_timeout_seconds,
            earlier_port: raw.earlier_port,
            forwarding: Some(forwarding),
        })
    }
}

impl From<&SavedRule> for Entry {
    fn from(rule: &SavedRule) -> Self {
        Entry {
            id: rule.id,
            name: rule.name.clone(),
            destination: rule.destination.clone(),
            kind: rule.forwarding.kind(),
            spec: rule.forwarding.spec(),
            description: rule.description.clone(),
            tags: rule.tags.clone(),
            on_suspend: rule.on_suspend,
            lazy: rule.lazy,
            stopped: rule.stopped,
            accept_new: rule.accept_new,
            idle_timeout_seconds: rule.idle_timeout_seconds,
            earlier_port: rule.earlier_port,
            forwarding: None,
        }
    }
}

impl Entry {
    fn into_rule(self) -> Option<SavedRule> {
        Some(SavedRule {
            id: self.id,
            name: self.name,
            destination: self.destination,
            forwarding: self.forwarding?,
            description: self.description,
            tags: self.tags,
            on_suspend: self.on_suspend,
            lazy: self.lazy,
            stopped: self.stopped,
            accept_new: self.accept_new,
            idle_timeout_seconds: self.idle_timeout_seconds,
            earlier_port: self.earlier_port,
        })
    }
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
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
        let hint = "mend that line, or move the file away to start without rules; nothing was changed";
        Problem { line: (0 < error.line()).then(|| error.line()), message, hint }
    }
}

pub(super) fn parse(text: &str) -> Result<SavedRules, Problem> {
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
    }
    let rules = file.rules.into_iter().filter_map(Entry::into_rule).collect();
    Ok(SavedRules { revision: 0, next_id: file.next_id, rules })
}

/// Replaces the file: a new one beside it, synced, renamed over the old one, and the folder synced.
pub(super) fn write(path: &Path, rules: &SavedRules) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("the rules file has no folder"))?;
    let file =
        RulesFile { version: VERSION, next_id: rules.next_id, rules: rules.rules.iter().map(Entry::from).collect() };
    let mut text = serde_json::to_vec_pretty(&file)?;
    text.push(b'\n');
    // Readable for the owner alone: tempfile creates it so.
    let mut beside = tempfile::Builder::new().prefix(".rules-").suffix(".tmp").tempfile_in(folder)?;
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
            lazy: id == 1,
            stopped: id == 2,
            accept_new: id == 3,
            idle_timeout_seconds: id,
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
            ("", "/r/rules.json:1: EOF while parsing a value"),
            ("{\n\"version\": 1,\n\"next_id\": x}", "/r/rules.json:3: expected value"),
            ("{\"version\": 2, \"later\": 1}", "/r/rules.json: a newer alknetd wrote it (version 2, this one reads 1)"),
            ("{\"version\": 1,\n\"next_id\": 1,\n\"rules\": [],\n\"more\": 1}", "/r/rules.json:4: unknown field"),
            (
                "{\"version\":1,\"next_id\":2,\"rules\":[\n{\"id\":\"9e3779b1\",\"name\":\"a\",\"destination\":\"p\",\"kind\":\"local\",\"spec\":\"x\"}]}",
                "/r/rules.json:2: `x` is not a forwarding",
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
