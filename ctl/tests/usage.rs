//! The real program where no daemon runs: what it says, and how it ends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end by a panic")]

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs the program with a socket that nobody listens at, and nothing of this user's environment.
fn alknetctl(args: &[&str]) -> Ended {
    let place = TempDir::new().unwrap();
    let output: Output = Command::new(env!("CARGO_BIN_EXE_alknetctl"))
        .args(args)
        .env_clear()
        .env("HOME", place.path())
        .env("ALKNET_SOCKET", place.path().join("none.sock"))
        .output()
        .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn without_a_daemon_every_verb_names_the_command_that_starts_it() {
    for verb in [
        &["list-forwards"][..],
        &["add-forward", "prod", "-D", "1080"],
        &["remove-forward", "web"],
        &["show", "web"],
        &["wait", "web"],
        &["watch"],
        &["status", "--check"],
        &["list-sessions"],
        &["retry"],
        &["disconnect", "prod"],
        &["ping"],
        &["shutdown"],
    ] {
        let ended = alknetctl(verb);

        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""), "{verb:?}");
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 3, "{verb:?}: {}", ended.stderr);
        assert!(lines[0].starts_with("error: no daemon listens at "), "{verb:?}: {}", ended.stderr);
        assert_eq!(lines[1], "", "{verb:?}");
        assert!(lines[2].starts_with("hint: start it with: alknetd"), "{verb:?}: {}", ended.stderr);
    }
}

#[test]
fn without_a_daemon_json_says_so_too() {
    let ended = alknetctl(&["ls", "--json"]);

    let error = &ended.json()["error"];
    assert_eq!(ended.code, Some(3));
    assert_eq!((&error["code"], &error["stage"]), (&json!("no_daemon"), &Value::Null));
    assert!(error["hint"].as_str().unwrap().contains("alknetd"), "{error}");
}

#[test]
fn an_impossible_spec_never_leaves_the_program() {
    for (args, message) in [
        (&["add", "prod", "-L", "8080:db:65536"][..], "error: `8080:db:65536` has an impossible port `65536`"),
        (&["add", "prod", "-D", "1:db:80"], "error: `-D 1:db:80` names a target"),
        (&["add", "prod:70000", "-D", "1"], "error: destination `prod:70000` has an impossible port `70000`"),
        (&["add", "prod", "-D", "1", "-D", "2", "--name", "x"], "error: --name names one forward, and 2 are asked for"),
        (&["rm"], "error: the following required arguments were not provided: <SELECTOR"),
        (&["frobnicate"], "error: unrecognized subcommand 'frobnicate'"),
    ] {
        let ended = alknetctl(args);

        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{args:?}");
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert!(lines[0].starts_with(message), "{args:?}: {}", ended.stderr);
        assert!(lines.len() == 3 && lines[1].is_empty() && lines[2].starts_with("hint: "), "{}", ended.stderr);
    }
}

#[test]
fn a_usage_error_in_json_is_an_object_like_every_other() {
    let ended = alknetctl(&["add", "prod", "-L", "nonsense", "--json"]);

    assert_eq!((ended.code, &ended.json()["error"]["code"]), (Some(2), &json!("invalid_spec")));
}

#[test]
fn version_works_without_a_daemon_and_says_so() {
    let ended = alknetctl(&["version"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.starts_with(concat!("alknetctl ", env!("CARGO_PKG_VERSION"))), "{}", ended.stdout);
    assert!(ended.stderr.starts_with("note: no daemon listens at "), "{}", ended.stderr);

    let ended = alknetctl(&["version", "--json"]);
    assert_eq!((ended.code, &ended.json()["daemon"]), (Some(0), &Value::Null));
    assert_eq!(ended.json()["client"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn completions_and_help_need_no_daemon() {
    for (args, part) in [
        (&["completions", "bash"][..], "complete -F _alknetctl"),
        (&["completions", "zsh"], "#compdef alknetctl"),
        (&["completions", "fish"], "complete -c alknetctl"),
        (&["add-forward", "--help"], "alknetctl add-forward prod -L 8080:localhost:80"),
        (&["--help"], "Exit codes:"),
        (&["--version"], "alknetctl "),
    ] {
        let ended = alknetctl(args);

        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(ended.stdout.contains(part), "{args:?}: {}", ended.stdout);
        assert!(!ended.stdout.contains('\u{1b}'), "no colour goes into a pipe: {args:?}");
    }
}

#[test]
fn completions_in_json_are_one_value() {
    let ended = alknetctl(&["completions", "fish", "--json"]);

    assert_eq!((ended.code, &ended.json()["shell"]), (Some(0), &json!("fish")));
    assert!(ended.json()["script"].as_str().unwrap().contains("complete -c alknetctl"));
}

#[test]
fn colours_come_where_they_are_asked_for() {
    assert!(alknetctl(&["ls", "--color", "always"]).stderr.starts_with("\u{1b}["));
    assert!(alknetctl(&["ls", "--color=never"]).stderr.starts_with("error: "));
}

#[test]
fn forcing_colours_can_be_taken_back() {
    for (value, is_coloured) in [("1", true), ("0", false), ("", false)] {
        let output = Command::new(env!("CARGO_BIN_EXE_alknetctl"))
            .args(["completions", "--help"])
            .env_clear()
            .envs([("CLICOLOR_FORCE", value), ("TERM", "xterm")])
            .output()
            .unwrap();

        assert_eq!(output.stdout.contains(&0x1b), is_coloured, "CLICOLOR_FORCE={value}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_one_clear_line() {
    let ended = Command::new(env!("CARGO_BIN_EXE_alknetctl"))
        .args(["completions", "bash"])
        .stdout(std::fs::File::create("/dev/full").unwrap())
        .output()
        .unwrap();

    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(stderr.starts_with("error: cannot write the output: no space left on device\n\nhint: "), "{stderr}");
}
