//! Words for people: what the system and what a person said, made fit for one line.

use std::io;

/// What of a person's own words is said again; enough to know them by.
const MAX_ECHO: usize = 80;
/// What stands where the system's words end and its numbers and our temporary names begin.
const NUMBER: &str = " (os error";
/// What the standard library puts in front of what the resolver says.
const LOOKUP: &str = "failed to lookup address information: ";

/// What the system says, as a fragment: `no space left on device`, without its number for it.
pub fn of_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => of_system(&error.to_string()),
    }
}

/// As [`of_io`], of an error that is text already.
pub fn of_system(text: &str) -> String {
    let text = text.strip_prefix(LOOKUP).unwrap_or(text);
    let text = text.split(NUMBER).next().unwrap_or_default();
    let mut chars = text.chars();
    let first = chars.next().map(char::to_lowercase).into_iter().flatten();
    // An abbreviation stays one.
    if chars.as_str().starts_with(char::is_uppercase) { text.to_owned() } else { first.chain(chars).collect() }
}

/// A text with what stands in it between two `quotes` cut to 80 characters: nobody reads more of what they wrote.
pub fn with_short_quotes(text: &str) -> String {
    let mut short = String::with_capacity(text.len().min(4 * MAX_ECHO));
    let mut rest = text;
    while let Some((before, quote, quoted, behind)) = next_quoted(rest) {
        short.push_str(before);
        short.push(quote);
        short.push_str(&cut(quoted));
        short.push(quote);
        rest = behind;
    }
    short.push_str(rest);
    short
}

/// At most 80 characters of a text; what was cut shows.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_ECHO) {
        None => text.to_owned(),
        Some(_) => text.chars().take(MAX_ECHO - 1).chain(['…']).collect(),
    }
}

fn next_quoted(text: &str) -> Option<(&str, char, &str, &str)> {
    let start = text.find(['`', '\''])?;
    let quote = if text[start..].starts_with('`') { '`' } else { '\'' };
    let (quoted, behind) = text[start + 1..].split_once(quote)?;
    Some((&text[..start], quote, quoted, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_quoted_without_its_numbers() {
        for (text, words) in [
            ("No space left on device (os error 28)", "no space left on device"),
            ("No space left on device (os error 28) at path \"/s/.rules-x.tmp\"", "no space left on device"),
            ("failed to lookup address information: Name or service not known", "name or service not known"),
            ("EOF while reading", "EOF while reading"),
            ("", ""),
        ] {
            assert_eq!(of_io(&io::Error::other(text)), words, "{text:?}");
        }
        assert_eq!(of_io(&io::ErrorKind::IsADirectory.into()), "it is a directory");
    }

    #[test]
    fn only_long_quotes_are_cut() {
        let long = "ä".repeat(10_000);
        let short = format!("{}…", "ä".repeat(79));

        assert_eq!(with_short_quotes("`8080` and 'x' are it"), "`8080` and 'x' are it");
        assert_eq!(with_short_quotes("it's `open"), "it's `open");
        assert_eq!(
            with_short_quotes(&format!("`{long}` has the port `{long}`")),
            format!("`{short}` has the port `{short}`")
        );
    }
}
