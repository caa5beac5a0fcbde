//! Takes a line of the configuration apart: keyword, the text after it, and its words.

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// In lower case.
    pub(super) keyword: String,
    /// Everything after the keyword, as written.
    pub(super) rest: &'a str,
    /// The words of `rest`, without quotes and without a comment.
    pub(super) words: Vec<String>,
}

impl<'a> Line<'a> {
    /// `None` for an empty line and a comment.
    ///
    /// # Errors
    /// What is wrong with the line, as a fragment.
    pub(super) fn parse(line: &'a str) -> Result<Option<Line<'a>>, String> {
        // A form feed may end a line, and nothing else.
        let mut rest = Some(line.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']).trim_start_matches(BLANKS));
        let Some(keyword) = next_part(&mut rest) else { return Err("a quote is opened and not closed".to_owned()) };
        if keyword.is_empty() || keyword.starts_with('#') {
            return Ok(None);
        }
        let rest = rest.unwrap_or_default().trim_start_matches(BLANKS);
        if rest.is_empty() {
            return Err(format!("{keyword} has no value"));
        }
        let words = words(rest)?;
        Ok(Some(Line { keyword: keyword.to_ascii_lowercase(), rest, words }))
    }
}

/// The next part of a line, up to a blank or to one `=`; text in double quotes belongs together. `None` at the
/// end, and where a quote is not closed.
pub(super) fn next_part(rest: &mut Option<&str>) -> Option<String> {
    let text = rest.take()?;
    let Some(end) = text.find([' ', '\t', '\r', '\n', '"', '=']) else { return Some(text.to_owned()) };
    let (part, after) = (&text[..end], &text[end + 1..]);
    if text[end..].starts_with('"') {
        let (quoted, after) = after.split_once('"')?;
        *rest = Some(after.trim_start_matches(BLANKS));
        return Some(format!("{part}{quoted}"));
    }
    let mut after_blanks = after.trim_start_matches(BLANKS);
    if !text[end..].starts_with('=')
        && let Some(after_sign) = after_blanks.strip_prefix('=')
    {
        after_blanks = after_sign.trim_start_matches(BLANKS);
    }
    *rest = Some(after_blanks);
    Some(part.to_owned())
}

/// Words, of which some may be quoted; `#` begins a comment where a word could begin.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(words),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !matches!(c, ' ' | '\t')) {
            match (c, quote) {
                ('\\', _) if matches!(chars.peek(), Some('"' | '\'' | '\\')) => word.extend(chars.next()),
                ('\\', None) if chars.peek() == Some(&' ') => word.extend(chars.next()),
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("a quote is opened and not closed".to_owned());
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> (String, Vec<String>) {
        let line = Line::parse(line).unwrap().unwrap();
        (line.keyword, line.words)
    }

    #[test]
    fn a_keyword_ends_at_a_blank_or_at_one_sign() {
        for line in ["Port 22", "port=22", "PORT = 22", "\tPort\t22  \r", "\"Port\" 22", "Port \"22\" # the port"] {
            assert_eq!(parts(line), ("port".to_owned(), vec!["22".to_owned()]), "{line}");
        }
        assert_eq!(parts("Port = = 22").1, ["=", "22"]);
    }

    #[test]
    fn quotes_and_backslashes_are_taken_away_as_in_ssh() {
        assert_eq!(
            parts(r#"User "a b" 'c d' e\ f g\h "i\"j" k"l m"n"#).1,
            ["a b", "c d", "e f", r"g\h", "i\"j", "kl mn"]
        );
        assert_eq!(parts("User a#b c # d").1, ["a#b", "c"]);
    }

    #[test]
    fn nothing_is_said_by_comments_and_empty_lines() {
        for line in ["", "   ", "# Port 22", "\t#", "\r"] {
            assert_eq!(Line::parse(line), Ok(None), "{line:?}");
        }
    }

    #[test]
    fn a_line_that_is_cut_off_is_a_mistake() {
        for line in ["Port", "Port =", "User \"a", "User 'a", "\"Port 22"] {
            assert!(Line::parse(line).is_err(), "{line}");
        }
    }
}
