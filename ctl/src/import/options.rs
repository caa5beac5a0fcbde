//! Splits a command line of ssh as ssh does: letters that may stand together, values beside or behind them.

/// The letters that take a value, in the ssh of today.
const WITH_VALUE: &str = "bceilmopBDEFIJLOPQRSWw";
/// The letters that take none.
const WITHOUT_VALUE: &str = "1246afgknqstvxyACGKMNTVXY";

/// Whose command line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Ssh,
    /// Its `-M` takes a port, and everything else is ssh's.
    Autossh,
}

/// A part of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `-N`
    Flag(char),
    /// `-L 8080:db:80`
    Value(char, String),
    /// The first word that is no option.
    Host(String),
    /// Everything behind it.
    Command(Vec<String>),
}

/// The parts in their order. The first word that is no option is the host; options may follow it, and the next word
/// begins the command. Behind `--` no word is an option.
///
/// # Errors
/// What ssh itself would refuse.
pub(super) fn parts(program: Program, arguments: &[String]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut has_host = false;
    let mut is_terminated = false;
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if !is_terminated && word == "--" {
            is_terminated = true;
            continue;
        }
        let letters = word.strip_prefix('-').filter(|letters| !is_terminated && !letters.is_empty());
        match letters {
            Some(letters) => take_letters(program, letters, &mut rest, &mut parts)?,
            None if !has_host => {
                has_host = true;
                parts.push(Part::Host(word.clone()));
            }
            None => {
                parts.push(Part::Command([word].into_iter().chain(rest).cloned().collect()));
                return Ok(parts);
            }
        }
    }
    Ok(parts)
}

fn take_letters<'a>(
    program: Program,
    letters: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    parts: &mut Vec<Part>,
) -> Result<(), String> {
    for (at, letter) in letters.char_indices() {
        let takes_value = WITH_VALUE.contains(letter) || (letter == 'M' && program == Program::Autossh);
        if takes_value {
            let beside = &letters[at + letter.len_utf8()..];
            let value = match beside {
                "" => rest.next().cloned().ok_or_else(|| format!("-{letter} has no value"))?,
                beside => beside.to_owned(),
            };
            parts.push(Part::Value(letter, value));
            return Ok(());
        }
        if !WITHOUT_VALUE.contains(letter) {
            return Err(format!("`-{letters}` is no option of ssh"));
        }
        parts.push(Part::Flag(letter));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(program: Program, line: &str) -> String {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match parts(program, &arguments) {
            Ok(parts) => parts.iter().map(show).collect::<Vec<_>>().join(" "),
            Err(why) => format!("error: {why}"),
        }
    }

    fn show(part: &Part) -> String {
        match part {
            Part::Flag(letter) => format!("{letter}"),
            Part::Value(letter, value) => format!("{letter}={value}"),
            Part::Host(host) => format!("@{host}"),
            Part::Command(words) => format!("!{}", words.join("+")),
        }
    }

    #[test]
    fn a_command_line_is_split_as_ssh_splits_it() {
        for (line, expected) in [
            ("-N prod", "N @prod"),
            ("-fNTL 8080:db:80 prod", "f N T L=8080:db:80 @prod"),
            ("-fNTL8080:db:80 prod", "f N T L=8080:db:80 @prod"),
            ("-oPort=22 -o Port=22 prod", "o=Port=22 o=Port=22 @prod"),
            ("-p2222 -p 2222 prod", "p=2222 p=2222 @prod"),
            ("prod -N -L 1:a:1", "@prod N L=1:a:1"),
            ("prod -N uptime -L 1:a:1", "@prod N !uptime+-L+1:a:1"),
            ("-N -- prod -L 1:a:1", "N @prod !-L+1:a:1"),
            ("prod -- -L 1:a:1", "@prod !-L+1:a:1"),
            ("-- -odd", "@-odd"),
            ("-L -N prod", "L=-N @prod"),
            ("- prod", "@- !prod"),
            ("-M -S ctl prod", "M S=ctl @prod"),
            ("-P tag prod", "P=tag @prod"),
            ("-L", "error: -L has no value"),
            ("-NL", "error: -L has no value"),
            ("--help", "error: `--help` is no option of ssh"),
            ("-Z prod", "error: `-Z` is no option of ssh"),
            ("", ""),
        ] {
            assert_eq!(shown(Program::Ssh, line), expected, "{line}");
        }
    }

    #[test]
    fn the_m_of_autossh_takes_a_port() {
        for (line, expected) in [
            ("-M 0 -N prod", "M=0 N @prod"),
            ("-M0 -N prod", "M=0 N @prod"),
            ("-fNM 20000:7 prod", "f N M=20000:7 @prod"),
            ("prod -M 0", "@prod M=0"),
        ] {
            assert_eq!(shown(Program::Autossh, line), expected, "{line}");
        }
    }
}
