//! Bytes, durations and moments, as people read them.

use std::time::Duration;

use alknet_proto::Reason;
use jiff::Timestamp;

use super::Look;

/// `0 B`, `1023 B`, `1.0 KiB`, `5.2 MiB`, `312 GiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut scaled = count as f64 / 1024.0;
    let mut unit = 0;
    while 999.5 <= scaled && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(scaled < 99.95);
    format!("{scaled:.decimals$} {}", UNITS[unit])
}

/// `1 connection`, `3 connections`.
pub(crate) fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// `12s`, `3m4s`, `2h5m`, `1d3h`: the two largest units.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long ago `since` was; clocks that disagree make no negative time.
pub(super) fn ago(since: Timestamp, look: &Look) -> String {
    span(Duration::try_from(look.now.duration_since(since)).unwrap_or_default())
}

/// How long until `until`, rounded up to whole seconds.
pub(super) fn left(until: Timestamp, look: &Look) -> String {
    let left = Duration::try_from(until.duration_since(look.now)).unwrap_or_default();
    span(Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() != 0)))
}

/// `12:00:01` on the clock on the wall.
pub(super) fn clock(at: Timestamp, look: &Look) -> String {
    at.to_zoned(look.zone.clone()).strftime("%H:%M:%S").to_string()
}

/// The date too: `2026-01-31 12:00:01`.
pub(super) fn date(at: Timestamp, look: &Look) -> String {
    at.to_zoned(look.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Sooner than anybody reads on.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Why, at which stage, and when the next try comes: `no route to prod [tcp: unreachable]; retry 4 in 12 s`.
///
/// `attempt` is how many tries failed; 0 leaves the number out. Empty when there is nothing to say.
pub(super) fn why(reason: Option<&Reason>, attempt: u32, retry_at: Option<Timestamp>, now: Timestamp) -> String {
    let message = reason.map(because);
    let retry = retry_at.map(|at| {
        let number = if attempt == 0 { String::new() } else { format!(" {}", attempt.saturating_add(1)) };
        let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        // Rounded up: `in 1 s` until it is there.
        let seconds = left.as_millis().div_ceil(1000);
        if left < AT_ONCE { format!("retry{number} now") } else { format!("retry{number} in {seconds} s") }
    });
    [message, retry].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The message, and behind it the words that programs decide by: `no route to prod [tcp: unreachable]`.
pub(super) fn because(reason: &Reason) -> String {
    format!("{} [{}: {}]", reason.message, reason.stage.word(), reason.code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{NOW, at};

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (102_400, "100 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 20, "5.0 MiB"),
            (312 << 30, "312 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (seconds, shown) in
            [(0, "0s"), (59, "59s"), (184, "3m4s"), (3600, "1h0m"), (7_500, "2h5m"), (97_200, "1d3h")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn the_next_try_is_counted_down() {
        for (attempt, retry_at, shown) in [
            (3, Some(at(12)), "retry 4 in 12 s"),
            (0, Some(at(1)), "retry in 1 s"),
            (0, Some(NOW + Duration::from_millis(1)), "retry now"),
            (0, Some(NOW + Duration::from_millis(500)), "retry in 1 s"),
            (1, Some(NOW), "retry 2 now"),
            (1, Some(at(-5)), "retry 2 now"),
            (7, None, ""),
        ] {
            assert_eq!(why(None, attempt, retry_at, NOW), shown);
        }
    }
}
