//! From when on: a span such as `7d`, a date, or a moment.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Ten years: beyond it there is no journal.
const MAX_SECONDS: i64 = 3650 * 86_400;

/// How far back, or since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long before now.
    Ago(SignedDuration),
    /// This moment.
    At(Timestamp),
}

impl Since {
    /// The moment that is meant; never later than `now`.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Since::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::UNIX_EPOCH),
            Since::At(moment) => moment.min(now),
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let no = || format!("`{text}` is no time: 7d, 12h, 30m, 2026-01-31 and 2026-01-31T12:00:00Z are");
        if let Some(span) = span(text) {
            return Ok(Since::Ago(span));
        }
        if let Ok(date) = text.parse::<Date>()
            && text.len() == "2026-01-31".len()
        {
            let midnight = date.to_zoned(TimeZone::system()).map_err(|_| no())?;
            return Ok(Since::At(midnight.timestamp()));
        }
        text.parse().map(Since::At).map_err(|_| no())
    }
}

/// A whole number and one unit: weeks, days, hours, minutes or seconds.
fn span(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "w" => 7 * 86_400,
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<i64>().ok()?.checked_mul(unit)?;
    (seconds <= MAX_SECONDS).then(|| SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_a_date_and_a_moment_are_times() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("7d", "2026-01-24T12:00:00Z"),
            ("2w", "2026-01-17T12:00:00Z"),
            ("12h", "2026-01-31T00:00:00Z"),
            ("30m", "2026-01-31T11:30:00Z"),
            ("90s", "2026-01-31T11:58:30Z"),
            ("2026-01-30T12:00:00Z", "2026-01-30T12:00:00Z"),
            ("2026-01-30T13:00:00+01:00", "2026-01-30T12:00:00Z"),
            ("2036-01-30T13:00:00Z", "2026-01-31T12:00:00Z"),
        ] {
            let since: Since = text.parse().unwrap();
            assert_eq!(since.before(now).to_string(), moment, "{text}");
        }
        let midnight = "2026-01-30".parse::<Since>().unwrap().before(now);
        assert_eq!(midnight.to_zoned(TimeZone::system()).strftime("%F %T").to_string(), "2026-01-30 00:00:00");
    }

    #[test]
    fn anything_else_is_refused_with_examples() {
        for text in ["", "d", "7", "-7d", "7 d", "7y", "1.5h", "yesterday", "2026-13-01", "99999999999999999999d", "é"]
        {
            assert!(text.parse::<Since>().is_err(), "{text:?} was taken");
        }
    }
}
