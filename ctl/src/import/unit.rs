//! Reads a systemd unit: its ExecStart commands with what systemd would fill in.

use std::collections::BTreeMap;

use super::command::{command, of_variable};
use super::quoting::of_systemd;
use super::{Remark, Source};

/// What the text of a unit alone does not say.
pub(crate) struct Unit<'a> {
    /// The file as it was named, for messages.
    pub(crate) path: &'a str,
    /// The name of the unit: `tunnel@prod.service`.
    pub(crate) name: &'a str,
    /// The home of whoever asks.
    pub(crate) home: Option<&'a str>,
    /// Who asks.
    pub(crate) user: Option<&'a str>,
    /// Reads a file that EnvironmentFile= names.
    pub(crate) read: &'a dyn Fn(&str) -> Result<String, String>,
}

/// What becomes of the unit `text`: one source for each command of ExecStart=.
pub(crate) fn unit(unit: &Unit<'_>, text: &str) -> Vec<Source> {
    let mut service = Service::default();
    for line in lines(text) {
        service.take(unit, line);
    }
    if service.commands.is_empty() {
        let mut source = Source::new(unit.path);
        source.obstacles.push(Remark::new(unit.path, "this unit has no ExecStart= in a [Service] section"));
        return vec![source];
    }
    let commands = std::mem::take(&mut service.commands);
    commands.iter().flat_map(|line| service.commands_of(unit, line)).collect()
}

/// A line of a unit, whole: what was continued is joined.
struct Line {
    number: usize,
    text: String,
}

/// The lines that say something. A backslash at the end goes on with the next one; comments in between do not end it.
fn lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut open: Option<Line> = None;
    for (index, raw) in text.lines().enumerate() {
        let trimmed = raw.trim();
        if trimmed.starts_with(['#', ';']) || (trimmed.is_empty() && open.is_none()) {
            continue;
        }
        let (part, goes_on) = match trimmed.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (trimmed, false),
        };
        let mut line = match open.take() {
            Some(line) => Line { text: format!("{} {part}", line.text), ..line },
            None => Line { number: index + 1, text: part.to_owned() },
        };
        if goes_on {
            open = Some(line);
        } else {
            line.text = line.text.trim().to_owned();
            lines.push(line);
        }
    }
    lines.extend(open);
    lines
}

/// What the [Service] section said so far.
#[derive(Default)]
struct Service {
    is_open: bool,
    commands: Vec<Line>,
    environment: BTreeMap<String, String>,
    remarks: Vec<Remark>,
}

impl Service {
    fn take(&mut self, unit: &Unit<'_>, line: Line) {
        if line.text.starts_with('[') {
            self.is_open = line.text == "[Service]";
            return;
        }
        let Some((key, value)) = line.text.split_once('=').filter(|_| self.is_open) else { return };
        let value = value.trim();
        match key.trim() {
            // An empty one takes back what was said before.
            "ExecStart" if value.is_empty() => self.commands.clear(),
            "ExecStart" => self.commands.push(Line { text: value.to_owned(), ..line }),
            "Environment" if value.is_empty() => self.environment.clear(),
            "Environment" => self.set(unit, value),
            "EnvironmentFile" => self.read_environment(unit, value),
            "ExecStartPre" | "ExecStartPost" | "ExecStop" | "ExecStopPost" | "ExecReload" if !value.is_empty() => {
                self.remarks.push(Remark::new(format!("{}={value}", key.trim()), "alknetd runs no command"));
            }
            "User" if unit.user != Some(value) => {
                let why = "alknetd takes keys and configuration of whoever runs it";
                let hint = format!("import it where alknetd runs as {value}, or give your own user the key");
                self.remarks.push(Remark::new(format!("User={value}"), why).with_hint(hint));
            }
            _ => {}
        }
    }

    fn set(&mut self, unit: &Unit<'_>, value: &str) {
        let words = of_systemd(value).and_then(|words| words.iter().map(|word| specifiers(unit, word)).collect());
        let words: Vec<String> = match words {
            Ok(words) => words,
            Err(why) => return self.remarks.push(Remark::new(format!("Environment={value}"), why)),
        };
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => self.variable(name, value),
                None => self.remarks.push(Remark::new(format!("Environment={word}"), "it has no `=`")),
            }
        }
    }

    fn variable(&mut self, name: &str, value: &str) {
        if name.starts_with("AUTOSSH_") {
            self.remarks.push(of_variable(&format!("{name}={value}")));
        }
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// A file that may be missing has a dash in front.
    fn read_environment(&mut self, unit: &Unit<'_>, value: &str) {
        let (path, may_miss) = match value.strip_prefix('-') {
            Some(path) => (path, true),
            None => (value, false),
        };
        let text = specifiers(unit, path).and_then(|path| (unit.read)(&path));
        match text {
            Ok(text) => {
                for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
                    let Some((name, value)) = line.split_once('=') else { continue };
                    let value = of_systemd(value).map_or_else(|_| value.to_owned(), |words| words.join(" "));
                    self.variable(name.trim(), &value);
                }
            }
            Err(_) if may_miss => {}
            Err(why) => self.remarks.push(Remark::new(format!("EnvironmentFile={value}"), why)),
        }
    }

    /// The commands of one ExecStart=: a lone `;` stands between two.
    fn commands_of(&self, unit: &Unit<'_>, line: &Line) -> Vec<Source> {
        let place = format!("{}:{}", unit.path, line.number);
        let words = match of_systemd(&line.text) {
            Ok(words) => words,
            Err(why) => {
                let mut source = Source::new(place);
                source.obstacles.push(Remark::new(format!("ExecStart={}", line.text), why));
                return vec![source];
            }
        };
        let commands = words.split(|word| word == ";").filter(|words| !words.is_empty());
        commands.map(|words| self.source(unit, &place, words)).collect()
    }

    fn source(&self, unit: &Unit<'_>, place: &str, words: &[String]) -> Source {
        let mut source = match self.filled_in(unit, words) {
            Ok(words) => command(&words),
            Err(remark) => {
                let mut source = Source::new(place);
                source.obstacles.push(remark);
                source
            }
        };
        source.name = place.to_owned();
        source.left_out.extend(self.remarks.iter().cloned());
        source
    }

    /// The words as systemd would run them: without the signs in front of the program, with specifiers and variables.
    fn filled_in(&self, unit: &Unit<'_>, words: &[String]) -> Result<Vec<String>, Remark> {
        let Some((program, arguments)) = words.split_first() else { return Ok(Vec::new()) };
        let bare = program.trim_start_matches(['-', '@', '+', '!', ':', '|']);
        let signs = &program[..program.len() - bare.len()];
        let mut filled = Vec::new();
        // Behind `@` stands the name under which the program runs.
        let arguments = if signs.contains('@') { arguments.get(1..).unwrap_or_default() } else { arguments };
        for word in [bare.to_owned()].iter().chain(arguments) {
            let word = specifiers(unit, word).map_err(|why| Remark::new(word, why))?;
            if signs.contains(':') {
                filled.push(word);
            } else {
                filled.extend(self.variables(&word)?);
            }
        }
        Ok(filled)
    }

    /// `$NAME` alone becomes words, `${NAME}` a part of one, `$$` a dollar.
    fn variables(&self, word: &str) -> Result<Vec<String>, Remark> {
        let value = |name: &str| {
            self.environment.get(name).cloned().ok_or_else(|| {
                Remark::new(word, format!("the unit does not say what ${name} is"))
                    .with_hint("write the value into the command, and import it with `alknetctl import -- COMMAND`")
            })
        };
        if let Some(name) = word.strip_prefix('$').filter(|name| is_name(name)) {
            return Ok(value(name)?.split_whitespace().map(str::to_owned).collect());
        }
        let mut filled = String::new();
        let mut rest = word;
        while let Some((before, behind)) = rest.split_once('$') {
            filled.push_str(before);
            if let Some(behind) = behind.strip_prefix('$') {
                filled.push('$');
                rest = behind;
            } else if let Some((name, behind)) = behind.strip_prefix('{').and_then(|behind| behind.split_once('}')) {
                filled.push_str(&value(name)?);
                rest = behind;
            } else {
                filled.push('$');
                rest = behind;
            }
        }
        filled.push_str(rest);
        Ok(vec![filled])
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Fills in `%i` and the like.
fn specifiers(unit: &Unit<'_>, word: &str) -> Result<String, String> {
    let stem = unit.name.rsplit_once('.').map_or(unit.name, |(stem, _)| stem);
    let instance = stem.split_once('@').map(|(_, instance)| instance).filter(|instance| !instance.is_empty());
    let no_instance = || {
        let prefix = stem.split('@').next().unwrap_or(stem);
        format!("it needs an instance: copy the file to {prefix}@INSTANCE.service, and import that")
    };
    let mut filled = String::new();
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            filled.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => filled.push('%'),
            Some('i') => filled.push_str(instance.ok_or_else(no_instance)?),
            Some('I') => filled.push_str(&instance.ok_or_else(no_instance)?.replace('-', "/")),
            Some('n') => filled.push_str(unit.name),
            Some('N') => filled.push_str(stem),
            Some('p') => filled.push_str(stem.split('@').next().unwrap_or(stem)),
            Some('h') => filled.push_str(unit.home.ok_or("nobody knows what %h is here")?),
            Some('u') => filled.push_str(unit.user.ok_or("nobody knows what %u is here")?),
            Some(other) => return Err(format!("what %{other} stands for is not known here")),
            None => return Err("it ends with a single %".to_owned()),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
