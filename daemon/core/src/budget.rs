//! How many handshakes that end in no login one destination may have.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::{HANDSHAKE_BURST, HANDSHAKES_PER_MINUTE};
use crate::moment::Moment;

const MINUTE: Duration = Duration::from_secs(60);

/// What is left of a destination's handshakes. Only those are counted that did not end in a login, whoever asked for them.
///
/// Both hold: not more than the burst without a pause, one more for every share of a minute; and never more than
/// a minute's worth within any minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget {
    /// When all that was spent has come back.
    whole_at: Option<Moment>,
    /// The last ones, at most a minute's worth.
    spent: VecDeque<Moment>,
}

impl Budget {
    /// For a daemon that has just started and does not know what was spent before: one handshake at once, not a burst.
    pub(crate) fn after_start(now: Moment) -> Self {
        Budget { whole_at: Some(now + share() * (HANDSHAKE_BURST - 1)), spent: VecDeque::new() }
    }

    /// A handshake came to nothing.
    pub(crate) fn spend(&mut self, now: Moment) {
        let from = self.whole_at.filter(|whole| now.steady < whole.steady).unwrap_or(now);
        self.whole_at = Some(from + share());
        self.spent.push_back(now);
        while (HANDSHAKES_PER_MINUTE as usize) < self.spent.len() {
            self.spent.pop_front();
        }
    }

    /// How long until a further handshake may begin, beside those that are under way and may fail.
    pub(crate) fn wait(&self, n_under_way: usize, now: Moment) -> Duration {
        let n_under_way = u32::try_from(n_under_way).unwrap_or(u32::MAX);
        let owed = self.whole_at.map_or(Duration::ZERO, |whole| whole.since(now)) + share() * n_under_way;
        let in_steps = owed.saturating_sub(share() * (HANDSHAKE_BURST - 1));
        let first = self.spent.len().checked_sub(HANDSHAKES_PER_MINUTE.saturating_sub(n_under_way) as usize);
        let within_a_minute = match first.and_then(|first| self.spent.get(first)) {
            Some(first) => (*first + MINUTE).since(now),
            None => Duration::ZERO,
        };
        in_steps.max(within_a_minute)
    }

    /// Whether nothing is owed, so that forgetting it makes no difference.
    pub(crate) fn is_whole(&self, now: Moment) -> bool {
        let is_old = self.spent.back().is_none_or(|last| MINUTE <= now.since(*last));
        is_old && self.whole_at.is_none_or(|whole| whole.steady <= now.steady)
    }
}

/// After how long one handshake more is allowed.
fn share() -> Duration {
    MINUTE / HANDSHAKES_PER_MINUTE
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn start() -> Moment {
        Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// The seconds at which handshakes begin where somebody tries as soon as it is allowed, and all fail.
    fn eager(mut budget: Budget, begin: Moment, n: usize) -> Vec<u64> {
        let mut now = begin;
        let mut begun = Vec::new();
        for _ in 0..n {
            now = now + budget.wait(0, now);
            begun.push(now.since(begin).as_secs());
            budget.spend(now);
        }
        begun
    }

    #[test]
    fn three_come_at_once_and_never_more_than_six_within_a_minute() {
        let begun = eager(Budget::default(), start(), 12);
        assert_eq!(begun, [0, 0, 0, 10, 20, 30, 60, 60, 60, 70, 80, 90]);
    }

    #[test]
    fn a_daemon_that_has_just_started_has_one_and_no_burst() {
        let now = start();
        assert_eq!(eager(Budget::after_start(now), now, 4), [0, 10, 20, 30]);
    }

    #[test]
    fn those_under_way_count_as_if_they_failed() {
        let now = start();
        let mut budget = Budget::default();
        assert_eq!(budget.wait(2, now), Duration::ZERO);
        assert_eq!(budget.wait(3, now), seconds(10));
        budget.spend(now);
        assert_eq!(budget.wait(2, now), seconds(10));
    }

    #[test]
    fn what_was_spent_comes_back() {
        let now = start();
        let mut budget = Budget::default();
        budget.spend(now);
        assert!(!budget.is_whole(now + seconds(10)));
        assert!(budget.is_whole(now + seconds(60)));
    }
}
