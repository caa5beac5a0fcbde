//! Reads the values of one line, and writes them as ssh does.

use super::algorithms;
use super::directive::{Directive, Syntax};
use super::forward;
use super::jump;
use super::words::Line;

/// The values of a line; none where it says nothing, as `ConnectTimeout none`.
///
/// # Errors
/// What is wrong, as a fragment that names the directive.
pub(super) fn values(directive: &Directive, line: &Line<'_>) -> Result<Vec<String>, String> {
    let name = directive.name;
    let words = line.words.as_slice();
    let wrong = |what: String| format!("{name} {what}");
    let one = |text: String| Ok(vec![text]);
    match directive.syntax {
        Syntax::Steering => Ok(Vec::new()),
        Syntax::Text => one(only(name, words)?.to_owned()),
        Syntax::Flag => one(flag(name, only(name, words)?)?.to_owned()),
        Syntax::Choice(choices) => one(choice(name, only(name, words)?, choices)?.to_owned()),
        Syntax::Number => one(number(name, only(name, words)?)?.to_string()),
        Syntax::Time => {
            let text = only(name, words)?;
            if text == "none" {
                return Ok(Vec::new());
            }
            one(seconds(text).ok_or_else(|| wrong(format!("`{text}` is no time")))?.to_string())
        }
        Syntax::Port => {
            let text = only(name, words)?;
            one(port(text)
                .ok_or_else(|| wrong(format!("`{text}` is impossible: 1 to 65535 are possible")))?
                .to_string())
        }
        Syntax::Files | Syntax::Domains | Syntax::Aliases | Syntax::Opens => listed(directive, words),
        Syntax::EachFile => one(only(name, words)?.to_owned()),
        Syntax::Command => one(line.rest.trim_start_matches([' ', '\t', '=']).to_owned()),
        Syntax::Jump => {
            let text = line.rest.trim_start_matches([' ', '\t', '=']);
            let text = text.split('#').next().unwrap_or_default().trim_end();
            one(jump::normal(text).map_err(wrong)?)
        }
        Syntax::Agent => one(agent(name, only(name, words)?)?.to_owned()),
        Syntax::AgentOrFlag => {
            let text = only(name, words)?;
            one(flag(name, text).or_else(|_| agent(name, text))?.to_owned())
        }
        Syntax::Names => match words.iter().find(|word| word.is_empty() || word.contains('=')) {
            Some(word) => Err(wrong(format!("`{word}` is no name of a variable"))),
            None => Ok(words.to_vec()),
        },
        Syntax::Assignments => match words.iter().find(|word| !word.contains('=')) {
            Some(word) => Err(wrong(format!("`{word}` assigns nothing"))),
            None => Ok(words.to_vec()),
        },
        Syntax::Algorithms(family) => {
            let text = only(name, words)?;
            algorithms::check(family, text).map_err(wrong)?;
            one(text.to_owned())
        }
        Syntax::LocalForward => match words {
            [bind, target] => one(forward::normal(forward::Kind::Local, bind, Some(target)).map_err(wrong)?),
            _ => Err(wrong("takes what to listen at and a target".to_owned())),
        },
        Syntax::RemoteForward => match words {
            [bind] => one(forward::normal(forward::Kind::Remote, bind, None).map_err(wrong)?),
            [bind, target] => one(forward::normal(forward::Kind::Remote, bind, Some(target)).map_err(wrong)?),
            _ => Err(wrong("takes what to listen at and a target".to_owned())),
        },
        Syntax::DynamicForward => {
            one(forward::normal(forward::Kind::Dynamic, only(name, words)?, None).map_err(wrong)?)
        }
        Syntax::Mask => {
            let text = only(name, words)?;
            match u32::from_str_radix(text, 8) {
                Ok(mask) if mask <= 0o777 => one(format!("0{mask:o}")),
                Ok(_) | Err(_) => Err(wrong(format!("`{text}` is no mask in octal"))),
            }
        }
        Syntax::Rekey => rekey(name, words),
        Syntax::AddKeys => add_keys(name, words),
        Syntax::Persist => {
            let text = only(name, words)?;
            match text {
                "yes" | "true" => one("yes".to_owned()),
                "no" | "false" => one("no".to_owned()),
                _ => match seconds(text).ok_or_else(|| wrong(format!("`{text}` is no time")))? {
                    0 => one("yes".to_owned()),
                    seconds => one(seconds.to_string()),
                },
            }
        }
        Syntax::Words => match words.first() {
            Some(first) if !first.is_empty() => one(words.join(" ")),
            Some(_) | None => Err(wrong("has no value".to_owned())),
        },
    }
}

fn only<'a>(name: &str, words: &'a [String]) -> Result<&'a str, String> {
    match words {
        [only] if !only.is_empty() => Ok(only),
        [] => Err(format!("{name} has no value")),
        [first, ..] if first.is_empty() => Err(format!("{name} has an empty value")),
        [_, extra, ..] => Err(format!("{name} takes one value; `{extra}` is too much")),
        [_] => Err(format!("{name} has an empty value")),
    }
}

fn flag(name: &str, text: &str) -> Result<&'static str, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok("yes"),
        "no" | "false" => Ok("no"),
        _ => Err(format!("{name} `{text}` is neither yes nor no")),
    }
}

fn choice(name: &str, text: &str, choices: &[(&'static str, &'static str)]) -> Result<&'static str, String> {
    match choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        Some((_, printed)) => Ok(printed),
        None => {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            Err(format!("{name} `{text}` is none of {}", words.join(", ")))
        }
    }
}

fn number(name: &str, text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| *number <= i32::MAX.unsigned_abs());
    number.ok_or_else(|| format!("{name} `{text}` is no number from 0 to {}", i32::MAX))
}

/// A port, by its number or by the name that the system has for it.
pub(in crate::ssh) fn port(text: &str) -> Option<u16> {
    if let Ok(port) = text.parse::<u16>() {
        return (port != 0).then_some(port);
    }
    let is_a_name = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let services = is_a_name.then(|| std::fs::read_to_string("/etc/services").ok())??;
    services.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut fields = line.split_whitespace();
        let (name, port) = (fields.next()?, fields.next()?.strip_suffix("/tcp")?);
        let is_it = name == text || fields.any(|alias| alias == text);
        is_it.then(|| port.parse().ok())?
    })
}

fn agent<'a>(name: &str, text: &'a str) -> Result<&'a str, String> {
    if let Some(variable) = text.strip_prefix('$')
        && !variable.starts_with('{')
    {
        let is_name = !variable.is_empty() && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        return if is_name { Ok(text) } else { Err(format!("{name} `{text}` is no name of a variable")) };
    }
    super::token::environment(text).map_err(|what| format!("{name} {what}"))?;
    Ok(text)
}

/// Seconds, or a sum of numbers with the units s, m, h, d and w.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let mut sum: u32 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next();
        let seconds = match unit.map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        sum = sum.checked_add(number.checked_mul(seconds)?)?;
        rest = &rest[digits + unit.map_or(0, char::len_utf8)..];
    }
    (!text.is_empty() && sum <= i32::MAX.unsigned_abs()).then_some(sum)
}

/// Several words, of which some may only stand alone.
fn listed(directive: &Directive, words: &[String]) -> Result<Vec<String>, String> {
    let name = directive.name;
    if words.is_empty() {
        return Err(format!("{name} has no value"));
    }
    let is_opens = matches!(directive.syntax, Syntax::Opens);
    let mut values = Vec::with_capacity(words.len());
    for word in words {
        if word.is_empty() {
            return Err(format!("{name} has an empty value"));
        }
        let is_lonely = word.eq_ignore_ascii_case("none") || (is_opens && word.eq_ignore_ascii_case("any"));
        if is_lonely {
            if 1 < words.len() {
                return Err(format!("{name} takes `{word}` alone or not at all"));
            }
            return Ok(vec![word.clone()]);
        }
        values.push(match directive.syntax {
            Syntax::Domains => domain(word).ok_or_else(|| format!("{name} `{word}` is no domain"))?,
            Syntax::Aliases => alias(word).ok_or_else(|| format!("{name} `{word}` is not of the form from:to"))?,
            Syntax::Opens => {
                let is_port = |port: &str| port == "*" || self::port(port).is_some();
                match word.rsplit_once(':') {
                    Some((host, port)) if !host.is_empty() && is_port(port) => word.clone(),
                    Some(_) | None => return Err(format!("{name} `{word}` is not of the form host:port")),
                }
            }
            _ => word.clone(),
        });
    }
    Ok(values)
}

fn domain(text: &str) -> Option<String> {
    let is_right = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("..")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let lower = text.to_ascii_lowercase();
    is_right.then(|| lower.strip_suffix('.').unwrap_or(&lower).to_owned())
}

fn alias(text: &str) -> Option<String> {
    if text == "*" {
        return Some("*:*".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    lower.split_once(':').is_some_and(|(_, to)| !to.is_empty()).then_some(lower)
}

fn rekey(name: &str, words: &[String]) -> Result<Vec<String>, String> {
    let (amount, time) = match words {
        [amount] => (amount, None),
        [amount, time] => (amount, Some(time)),
        [] => return Err(format!("{name} has no value")),
        [_, _, extra, ..] => return Err(format!("{name} takes two values; `{extra}` is too much")),
    };
    let bytes = if amount == "default" {
        0
    } else {
        let (digits, factor) = match amount.char_indices().last() {
            Some((at, 'k' | 'K')) => (&amount[..at], 1 << 10),
            Some((at, 'm' | 'M')) => (&amount[..at], 1 << 20),
            Some((at, 'g' | 'G')) => (&amount[..at], 1 << 30),
            Some(_) | None => (amount.as_str(), 1_u64),
        };
        let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        match bytes {
            Some(bytes) if bytes == 0 || 16 <= bytes => bytes,
            Some(_) => return Err(format!("{name} `{amount}` is too small")),
            None => return Err(format!("{name} `{amount}` is no number of bytes")),
        }
    };
    let seconds = match time.map(String::as_str) {
        None | Some("none") => 0,
        Some(time) => seconds(time).ok_or_else(|| format!("{name} `{time}` is no time"))?,
    };
    Ok(vec![format!("{bytes} {seconds}")])
}

fn add_keys(name: &str, words: &[String]) -> Result<Vec<String>, String> {
    let word = |text: &str| match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some("true"),
        "no" | "false" => Some("false"),
        "ask" => Some("ask"),
        "confirm" => Some("confirm"),
        _ => None,
    };
    let wrong = || format!("{name} `{}` is none of yes, no, ask, confirm, and no time", words.join(" "));
    let value = match words {
        [] => return Err(format!("{name} has no value")),
        [text] => match word(text) {
            Some(word) => word.to_owned(),
            None => match seconds(text).ok_or_else(wrong)? {
                0 => "true".to_owned(),
                seconds => seconds.to_string(),
            },
        },
        [text, time] if word(text) == Some("confirm") => match seconds(time).ok_or_else(wrong)? {
            0 => "confirm".to_owned(),
            seconds => format!("confirm {seconds}"),
        },
        [..] => return Err(wrong()),
    };
    Ok(vec![value])
}
