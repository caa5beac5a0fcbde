//! Reads the command line and says in our own words why it cannot be one.

use std::error::Error as _;
use std::ffi::OsString;

use alknet_proto::{Code, Fault, words};
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Cli, Color, import};

/// What a command line asks for.
pub(crate) enum Asked {
    /// A verb.
    Command(Box<Cli>),
    /// A text: help or the version. It may be styled.
    Text(String),
    /// Nothing at all: help, as an error.
    Nothing(String),
    /// What cannot be.
    Impossible(Fault),
}

/// Reads the command line. Beside the answer stands what it says about JSON and colours, as far
/// as it can be read.
pub(crate) fn read(args: &[OsString]) -> (Asked, bool, Color) {
    let args = &import::spelled_out(args);
    match Cli::try_parse_from(args) {
        Ok(cli) => {
            let (json, color) = (cli.global.json, cli.global.color);
            (Asked::Command(Box::new(cli)), json, color)
        }
        Err(error) => {
            let (json, color) = said_anyway(args);
            (refused(&error, args), json, color)
        }
    }
}

/// The options that matter even for a line that cannot be read as a whole.
fn said_anyway(args: &[OsString]) -> (bool, Color) {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--").collect();
    let color = |word| {
        words.iter().any(|arg| arg.strip_prefix("--color=") == Some(word))
            || words.windows(2).any(|pair| pair == ["--color", word])
    };
    let color = match (color("always"), color("never")) {
        (_, true) => Color::Never,
        (true, false) => Color::Always,
        (false, false) => Color::Auto,
    };
    (words.contains(&"--json"), color)
}

fn refused(error: &clap::Error, args: &[OsString]) -> Asked {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Asked::Text(error.render().ansi().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Asked::Nothing(error.render().ansi().to_string()),
        // Clap's kinds grow with clap.
        _ => Asked::Impossible(fault(error, args)),
    }
}

fn fault(error: &clap::Error, args: &[OsString]) -> Fault {
    let rendered = error.render().to_string();
    let message = match (error.kind(), error.source()) {
        // Our own readers name the value and what would be right.
        (ErrorKind::ValueValidation, Some(source)) => source.to_string(),
        _ => first_paragraph(&rendered),
    };
    let hint = tip(&rendered).unwrap_or_else(|| hint(error, args));
    Fault::new(Code::InvalidSpec, words::with_short_quotes(&message)).with_hint(words::with_short_quotes(&hint))
}

/// `error: a list:` and the lines of the list, as one line.
fn first_paragraph(rendered: &str) -> String {
    let text = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// What clap thinks was meant. That a dash may begin a value behind `--` is no help: nothing that is asked for here
/// begins with one.
fn tip(rendered: &str) -> Option<String> {
    let tips = rendered.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    tips.filter(|tip| !tip.contains("as a value, use")).map(str::to_owned).next()
}

fn hint(error: &clap::Error, args: &[OsString]) -> String {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => option.as_str(),
        _ => "",
    };
    if error.kind() == ErrorKind::ValueValidation {
        let name = option.split([' ', '=']).next().unwrap_or_default();
        match name {
            "-L" => return "`-L 8080:localhost:80` carries port 8080 here to port 80 of the server".to_owned(),
            "-R" => return "`-R 9000:localhost:3000` carries port 9000 of the server to port 3000 here".to_owned(),
            "--stats[" => return "`--stats=5` prints what the forwards carry every 5 seconds".to_owned(),
            "-D" => return "`-D 1080` is a SOCKS proxy on port 1080 here".to_owned(),
            "<DESTINATION>" | "[DESTINATION]..." | "--host" => {
                return "[user@]host[:port] or a Host of the ssh configuration is a destination".to_owned();
            }
            _ => {}
        }
    }
    match verb(args) {
        Some(verb) => format!("`alknetctl {verb} --help` says what it takes"),
        None => "`alknetctl --help` lists the verbs".to_owned(),
    }
}

/// The verb of the line, by its canonical name.
fn verb(args: &[OsString]) -> Option<String> {
    let command = <Cli as clap::CommandFactory>::command();
    args.iter()
        .skip(1)
        .filter_map(|arg| arg.to_str())
        .find_map(|arg| command.find_subcommand(arg).map(|found| found.get_name().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn impossible(line: &str) -> Fault {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        match read(&args).0 {
            Asked::Impossible(fault) => fault,
            Asked::Command(_) | Asked::Text(_) | Asked::Nothing(_) => panic!("{line:?} was taken"),
        }
    }

    #[test]
    fn an_impossible_line_is_one_message_and_one_hint() {
        for (line, message, hint) in [
            (
                "alknetctl add prod -L 8080:db:65536",
                "`8080:db:65536` has an impossible port `65536`: 0 to 65535 are possible",
                "`-L 8080:localhost:80` carries port 8080 here to port 80 of the server",
            ),
            (
                "alknetctl add prod:0 -D 1080",
                "destination `prod:0` has an impossible port `0`: 1 to 65535 are possible",
                "[user@]host[:port] or a Host of the ssh configuration is a destination",
            ),
            (
                "alknetctl wait web --timeout soon",
                "`soon` is no number of seconds: 0 to 31536000 is",
                "`alknetctl wait --help` says what it takes",
            ),
            (
                "alknetctl rm",
                "the following required arguments were not provided: <SELECTOR|--host <DESTINATION>|--all>",
                "`alknetctl remove-forward --help` says what it takes",
            ),
            (
                "alknetctl add prod",
                "the following required arguments were not provided: <-L <SPEC>|-R <SPEC>|-D <SPEC>>",
                "`alknetctl add-forward --help` says what it takes",
            ),
            (
                "alknetctl add prod -D 1 --idle-timeout -1",
                "`-1` is no whole number of seconds: 0 to 4294967295 is",
                "`alknetctl add-forward --help` says what it takes",
            ),
            (
                "alknetctl ls --timeout -1",
                "`-1` is no number of seconds: 0 to 31536000 is",
                "`alknetctl list-forwards --help` says what it takes",
            ),
            (
                "alknetctl ls -1",
                "unexpected argument '-1' found",
                "`alknetctl list-forwards --help` says what it takes",
            ),
            ("alknetctl frobnicate", "unrecognized subcommand 'frobnicate'", "`alknetctl --help` lists the verbs"),
        ] {
            let fault = impossible(line);

            assert_eq!((fault.message.as_str(), fault.hint.as_deref()), (message, Some(hint)), "{line}");
            assert_eq!(fault.code, Code::InvalidSpec);
        }
    }

    #[test]
    fn what_is_far_too_long_is_not_said_again_as_a_whole() {
        let long = "x".repeat(10_000);
        for line in [
            format!("alknetctl {long}"),
            format!("alknetctl add prod -L 8080:{long}"),
            format!("alknetctl add prod -L 8080:db:{long}"),
            format!("alknetctl add prod:{long} -D 1"),
            format!("alknetctl add prod -D 1 --name {long}"),
            format!("alknetctl show {long}"),
            format!("alknetctl ls --{long}"),
            format!("alknetctl wait web --for {long}"),
        ] {
            let fault = impossible(&line);

            let n_bytes = fault.message.len() + fault.hint.unwrap_or_default().len();
            assert!(n_bytes < 400, "{}: {}", &line[..30], fault.message);
        }
    }

    #[test]
    fn json_and_colours_are_read_even_where_the_rest_is_not() {
        let said = |line: &str| {
            let (asked, json, color) = read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>());
            assert!(matches!(asked, Asked::Impossible(_)), "{line}");
            (json, color)
        };

        assert_eq!(said("alknetctl rm --json"), (true, Color::Auto));
        assert_eq!(said("alknetctl rm --color never --color=always"), (false, Color::Never));
        assert_eq!(said("alknetctl --color=always frobnicate -- --json"), (false, Color::Always));
    }
}
