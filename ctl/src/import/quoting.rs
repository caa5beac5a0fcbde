//! Splits texts into words: as systemd does, and as ssh does in its configuration.

/// The words of a line of a unit, without its quotes and escapes.
///
/// # Errors
/// A quote that stays open.
pub(super) fn of_systemd(line: &str) -> Result<Vec<String>, String> {
    split(line, |chars, _| escaped(chars))
}

/// The words of a value of the ssh configuration.
///
/// # Errors
/// A quote that stays open.
pub(super) fn of_ssh(text: &str) -> Result<Vec<String>, String> {
    split(text, |chars, is_quoted| {
        let may_be_escaped = |c: &char| matches!(c, '"' | '\'' | '\\') || !is_quoted && *c == ' ';
        chars.next_if(may_be_escaped).unwrap_or('\\').to_string()
    })
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Splits at blanks outside of quotes. `behind_backslash` takes what belongs to a backslash, which was read, and says
/// what both stand for; it is told whether that is within quotes.
fn split(text: &str, behind_backslash: impl Fn(&mut Chars<'_>, bool) -> String) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_whitespace()) {
            match (c, quote) {
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('\\', quote) => word.push_str(&behind_backslash(&mut chars, quote.is_some())),
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("a quote is opened and not closed".to_owned());
        }
        words.push(word);
    }
}

/// What stands for the characters behind a backslash. What means nothing stays as it is.
fn escaped(chars: &mut Chars<'_>) -> String {
    let Some(c) = chars.next() else { return "\\".to_owned() };
    let plain = match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        's' => ' ',
        '\\' | '"' | '\'' => c,
        'x' => return coded(chars, 2, 16).unwrap_or_else(|read| format!("\\x{read}")),
        'u' => return coded(chars, 4, 16).unwrap_or_else(|read| format!("\\u{read}")),
        '0'..='7' => {
            let mut digits = c.to_string();
            while digits.len() < 3
                && let Some(digit) = chars.next_if(|c| c.is_digit(8))
            {
                digits.push(digit);
            }
            let code = u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32);
            return code.map_or_else(|| format!("\\{digits}"), String::from);
        }
        other => return format!("\\{other}"),
    };
    plain.to_string()
}

fn coded(chars: &mut Chars<'_>, n_digits: usize, radix: u32) -> Result<String, String> {
    let mut digits = String::new();
    while digits.len() < n_digits
        && let Some(digit) = chars.next_if(|c| c.is_digit(radix))
    {
        digits.push(digit);
    }
    let code = u32::from_str_radix(&digits, radix).ok().filter(|_| digits.len() == n_digits);
    code.and_then(char::from_u32).map(String::from).ok_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_unit_are_those_of_systemd() {
        for (line, expected) in [
            ("a b  c", vec!["a", "b", "c"]),
            (r#"a "b c" 'd e'"#, vec!["a", "b c", "d e"]),
            (r#"-o"A b" c"d"e"#, vec!["-oA b", "cde"]),
            (r#"a\x20b \u00e4 \101 \s"#, vec!["a b", "ä", "A", " "]),
            (r#""a \"b\"" 'it\'s'"#, vec!["a \"b\"", "it's"]),
            (r"\q \x1", vec!["\\q", "\\x1"]),
            (r#""" x"#, vec!["", "x"]),
            ("", vec![]),
        ] {
            assert_eq!(of_systemd(line).unwrap(), expected, "{line}");
        }
        assert!(of_systemd("a 'b").is_err());
    }

    #[test]
    fn the_words_of_a_directive_are_those_of_ssh() {
        for (text, expected) in
            [("8080 db:80", vec!["8080", "db:80"]), (r#""a b" c\ d"#, vec!["a b", "c d"]), (r#"a\"b"#, vec!["a\"b"])]
        {
            assert_eq!(of_ssh(text).unwrap(), expected, "{text}");
        }
        assert!(of_ssh("\"a").is_err());
    }
}
