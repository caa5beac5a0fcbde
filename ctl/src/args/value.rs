//! Reads the values of options, each with a message that says what would be right.

use std::time::Duration;

use alknet_proto::Seq;

/// A year: beyond it nobody waits, and clocks overflow.
const MAX_SECONDS: f64 = 31_536_000.0;
const MIN_PERIOD: f64 = 0.1;
const MAX_PERIOD: f64 = 86_400.0;

/// A number of seconds from 0 to a year, with or without a fraction.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    number(text, 0.0, MAX_SECONDS).ok_or_else(|| format!("`{text}` is no number of seconds: 0 to 31536000 is"))
}

/// A number of seconds after which something is done again.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    number(text, MIN_PERIOD, MAX_PERIOD).ok_or_else(|| format!("`{text}` is no period: 0.1 to 86400 seconds is"))
}

/// A whole number of seconds.
pub(super) fn whole_seconds(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no whole number of seconds: 0 to {} is", u32::MAX))
}

/// The number of a change.
pub(super) fn seq(text: &str) -> Result<Seq, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of a change: the `seq` of an event is"))
}

/// A note for people.
pub(super) fn description(text: &str) -> Result<String, String> {
    alknet_proto::spec::check_description(text).map(|()| text.to_owned())
}

fn number(text: &str, min: f64, max: f64) -> Option<Duration> {
    // `inf`, `nan` and `1e5` are numbers to the standard library and none to a person.
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    (min..=max).contains(&number).then(|| Duration::from_secs_f64(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction_and_have_an_end() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        for text in ["", "-1", "inf", "nan", "1e3", "31536001", "1 s", ".", "1.2.3"] {
            assert!(seconds(text).is_err(), "{text:?} was taken");
        }
        assert!(period("0").is_err());
    }
}
