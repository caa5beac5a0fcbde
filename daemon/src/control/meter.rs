//! How fast forwards carry: what one watcher was told last, against the figures of this moment.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use alknet_proto::event::{ForwardRates, Stats};
use alknet_proto::{ForwardId, ForwardStats};

/// The figures that one watcher was told last.
#[derive(Debug)]
pub(super) struct Meter {
    read_at: Instant,
    figures: HashMap<ForwardId, ForwardStats>,
    /// They wait for the watcher: further ones would only wait behind them.
    pub(super) is_awaited: bool,
}

impl Meter {
    /// The first rates are of the time from `now` on.
    pub(super) fn begin(figures: HashMap<ForwardId, ForwardStats>, now: Instant) -> Self {
        Meter { read_at: now, figures, is_awaited: false }
    }

    /// Fills in the rates of figures that were read `now` and that the watcher will be told.
    pub(super) fn measure(&mut self, stats: &mut Stats, now: Instant) {
        let elapsed = now.saturating_duration_since(self.read_at);
        stats.interval_seconds = elapsed.as_secs_f64();
        for forward in &mut stats.forwards {
            // A forward that was not there before has begun at zero since.
            let before = self.figures.get(&forward.id).copied().unwrap_or_default();
            forward.rates = rates(&before, &forward.stats, elapsed);
        }
        self.read_at = now;
        self.figures = stats.forwards.iter().map(|forward| (forward.id, forward.stats)).collect();
    }
}

fn rates(before: &ForwardStats, now: &ForwardStats, elapsed: Duration) -> ForwardRates {
    if elapsed.is_zero() {
        return ForwardRates::default();
    }
    let per_second = |before: u64, now: u64| now.saturating_sub(before) as f64 / elapsed.as_secs_f64();
    ForwardRates {
        bytes_sent_per_second: per_second(before.bytes_sent, now.bytes_sent).round() as u64,
        bytes_received_per_second: per_second(before.bytes_received, now.bytes_received).round() as u64,
        connections_per_second: (per_second(before.connections_total, now.connections_total) * 1000.0).round() / 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use alknet_proto::event::ForwardTraffic;

    use super::*;

    fn stats(id: u32, bytes_sent: u64, connections_total: u64) -> Stats {
        let forward = ForwardTraffic {
            id: ForwardId(id),
            name: "web".parse().unwrap(),
            stats: ForwardStats { bytes_sent, bytes_received: bytes_sent * 2, connections_total, ..Default::default() },
            rates: ForwardRates::default(),
        };
        Stats { at: jiff::Timestamp::UNIX_EPOCH, forwards: vec![forward], interval_seconds: 0.0 }
    }

    fn told(meter: &mut Meter, mut stats: Stats, now: Instant) -> (f64, ForwardRates) {
        meter.measure(&mut stats, now);
        (stats.interval_seconds, stats.forwards[0].rates)
    }

    fn rates_of(bytes_sent_per_second: u64, connections_per_second: f64) -> ForwardRates {
        let bytes_received_per_second = bytes_sent_per_second * 2;
        ForwardRates { bytes_sent_per_second, bytes_received_per_second, connections_per_second }
    }

    #[test]
    fn rates_are_of_the_time_since_the_figures_that_were_told_last() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let begin = stats(1, 1_000_000, 10);
        let mut meter = Meter::begin([(ForwardId(1), begin.forwards[0].stats)].into(), start);

        assert_eq!(told(&mut meter, stats(1, 1_004_000, 13), at(2)), (2.0, rates_of(2000, 1.5)));
        assert_eq!(told(&mut meter, stats(1, 1_004_000, 13), at(4)), (2.0, rates_of(0, 0.0)));
        // The one before was not told: what came meanwhile is spread over the whole time.
        assert_eq!(told(&mut meter, stats(1, 1_012_000, 13), at(8)), (4.0, rates_of(2000, 0.0)));
    }

    #[test]
    fn a_forward_that_was_not_there_before_began_at_zero() {
        let start = Instant::now();
        let mut meter = Meter::begin(HashMap::new(), start);

        let (_, rates) = told(&mut meter, stats(7, 3000, 3), start + Duration::from_secs(3));

        assert_eq!(rates, rates_of(1000, 1.0));
    }

    #[test]
    fn no_time_makes_no_rate() {
        let start = Instant::now();
        let mut meter = Meter::begin(HashMap::new(), start);

        assert_eq!(told(&mut meter, stats(7, 3000, 3), start), (0.0, ForwardRates::default()));
    }
}
