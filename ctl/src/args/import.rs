//! What `import` takes.

use std::ffi::OsString;
use std::path::PathBuf;

use alknet_proto::Destination;
use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  alknetctl import                                     every Host of the ssh configuration
  alknetctl import prod --apply                        one of them, and add what it asks for
  alknetctl import -- autossh -M 0 -N -L 8080:db:5432 prod
  alknetctl import --unit /etc/systemd/system/tunnel.service --apply";

/// What `import` takes.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// Hosts of the ssh configuration whose forwards are taken over [default: every Host without a pattern]
    #[arg(value_name = "HOST", conflicts_with_all = ["units", "command"])]
    pub(crate) hosts: Vec<Destination>,
    /// A systemd unit with ssh or autossh commands; may be given several times
    #[arg(long = "unit", value_name = "FILE")]
    pub(crate) units: Vec<PathBuf>,
    /// Add the rules; without it they are only shown
    #[arg(long)]
    pub(crate) apply: bool,
    /// A command of ssh or autossh with its arguments, behind --
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// The line as it is meant: what looks like a command of ssh gets its `--`, what looks like the file of a unit its
/// `--unit`. Everything else stays as it is.
pub(super) fn spelled_out(args: &[OsString]) -> Vec<OsString> {
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    let Some(verb) = place_of_verb(&words).filter(|verb| words[*verb] == "import") else { return args.to_vec() };
    let mut spelled: Vec<OsString> = args[..=verb].to_vec();
    let mut place = verb + 1;
    while place < words.len() {
        let word = words[place];
        if word == "--" {
            break;
        }
        let is_value = takes_value(words[place - 1]);
        if !is_value && begins_a_command(word, place + 1 == words.len()) {
            spelled.push("--".into());
            break;
        }
        let is_unit = word.ends_with(".service") || word.starts_with(['/', '.']);
        if !is_value && is_unit && !word.starts_with('-') {
            spelled.push("--unit".into());
        }
        spelled.push(args[place].clone());
        place += 1;
    }
    spelled.extend_from_slice(&args[place.min(args.len())..]);
    spelled
}

/// Behind the options that every verb takes.
fn place_of_verb(words: &[&str]) -> Option<usize> {
    let mut places = (1..words.len()).filter(|place| !takes_value(words[place - 1]));
    places.find(|place| !words[*place].starts_with('-'))
}

/// Whether the next word belongs to this one.
fn takes_value(word: &str) -> bool {
    ["--socket", "--color", "--timeout", "--unit"].contains(&word)
}

/// `ssh` alone may be the name of a Host.
fn begins_a_command(word: &str, is_last: bool) -> bool {
    let program = word.split_whitespace().next().unwrap_or_default();
    let is_whole_command = program.len() < word.trim().len();
    let file = program.rsplit('/').next().unwrap_or_default();
    ["ssh", "autossh"].contains(&file) && (is_whole_command || !is_last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_and_a_unit_are_known_by_their_looks() {
        for (line, expected) in [
            ("alknetctl import", "alknetctl import"),
            ("alknetctl import prod db", "alknetctl import prod db"),
            ("alknetctl import ssh", "alknetctl import ssh"),
            ("alknetctl import autossh -M 0 -N -L 1:a:1 prod", "alknetctl import -- autossh -M 0 -N -L 1:a:1 prod"),
            (
                "alknetctl --json import --apply /usr/bin/ssh -N prod",
                "alknetctl --json import --apply -- /usr/bin/ssh -N prod",
            ),
            ("alknetctl import -- autossh -N ssh prod", "alknetctl import -- autossh -N ssh prod"),
            ("alknetctl import ./a.service --apply", "alknetctl import --unit ./a.service --apply"),
            ("alknetctl import --unit ssh.service", "alknetctl import --unit ssh.service"),
            ("alknetctl import --unit=/tmp/a.service", "alknetctl import --unit=/tmp/a.service"),
            ("alknetctl import --socket /tmp/s prod", "alknetctl import --socket /tmp/s prod"),
            ("alknetctl --socket import add ssh x", "alknetctl --socket import add ssh x"),
            ("alknetctl add prod -D 1", "alknetctl add prod -D 1"),
            ("alknetctl", "alknetctl"),
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let spelled: Vec<OsString> = expected.split(' ').map(OsString::from).collect();
            assert_eq!(spelled_out(&args), spelled, "{line}");
        }
        let whole = ["alknetctl", "import", "autossh -N -D 1 prod"].map(OsString::from);
        assert_eq!(spelled_out(&whole)[2], "--");
    }
}
