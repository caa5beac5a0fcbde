//! Reads a whole command: what stands before the program, the program, and its options.

use super::options::Program;
use super::{Remark, Source, quoting, ssh};

/// The longest name of a source that is made of a command, in characters.
const MAX_NAME: usize = 200;

/// What becomes of a command, given as its words; or as one word that has all of them, as it was copied from somewhere.
pub(crate) fn command(words: &[String]) -> Source {
    if let [only] = words
        && only.contains(char::is_whitespace)
        && let Ok(within) = quoting::of_ssh(only)
    {
        return of_words(&within);
    }
    of_words(words)
}

fn of_words(words: &[String]) -> Source {
    let mut name: String = words.join(" ").chars().take(MAX_NAME).collect();
    if MAX_NAME < words.join(" ").chars().count() {
        name.push('…');
    }
    let mut source = Source::new(name);
    let mut rest = words;
    while let Some((first, behind)) = rest.split_first() {
        match Before::of(first) {
            Before::Nothing => {
                rest = behind;
                if first.starts_with("AUTOSSH_") {
                    source.left_out.push(of_variable(first));
                }
            }
            Before::Obstacle(why) => {
                source.obstacles.push(Remark::new(first, why).with_hint("give the ssh or autossh command itself"));
                return source;
            }
            Before::Program(program) => {
                ssh::read(program, behind, &mut source);
                return source;
            }
        }
    }
    source.obstacles.push(Remark::new(source.name.clone(), "there is no ssh or autossh command in it"));
    source
}

/// What a word in front of the options is.
enum Before {
    /// It changes nothing about the forwards.
    Nothing,
    Program(Program),
    Obstacle(&'static str),
}

impl Before {
    fn of(word: &str) -> Before {
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| is_variable(name));
        let file = word.rsplit(['/', '\\']).next().unwrap_or(word);
        match file.strip_suffix(".exe").unwrap_or(file) {
            _ if is_assignment => Before::Nothing,
            "ssh" | "slogin" => Before::Program(Program::Ssh),
            "autossh" => Before::Program(Program::Autossh),
            "env" | "nohup" | "exec" | "setsid" => Before::Nothing,
            "sudo" | "doas" | "su" | "runuser" => Before::Obstacle("it runs as another user, and alknetd runs as one"),
            "sshpass" => Before::Obstacle("it gives a password; a rule logs in with a key"),
            "sh" | "bash" | "dash" | "zsh" => Before::Obstacle("a shell is not looked into"),
            _ => Before::Obstacle("this is neither ssh nor autossh"),
        }
    }
}

/// `AUTOSSH_GATETIME=0`, or any other variable of autossh.
pub(super) fn of_variable(assignment: &str) -> Remark {
    let name = assignment.split('=').next().unwrap_or_default();
    let why = match name {
        "AUTOSSH_PORT" => "alknetd asks the server itself whether it is there, without ports of its own",
        "AUTOSSH_PATH" => "alknetd runs no ssh",
        "AUTOSSH_LOGFILE" | "AUTOSSH_LOGLEVEL" | "AUTOSSH_DEBUG" => "alknetd has a log of its own",
        "AUTOSSH_PIDFILE" => "alknetd has no pid file; `alknetctl status` shows it",
        _ => "alknetd connects again for ever, at once after a loss and then with pauses of up to 30 s",
    };
    Remark::new(assignment, why)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
