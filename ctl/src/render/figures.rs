//! What forwards carry, as lines: those that moved, and how fast.

use std::collections::BTreeMap;

use alknet_proto::event::{ForwardTraffic, Stats};
use alknet_proto::{ForwardId, ForwardStats};

use super::Look;
use super::events::line;
use super::units::{bytes, count};

/// The figures that were shown last, to tell what moved since.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<ForwardId, Shown>);

#[derive(Clone, Copy, Debug)]
struct Shown {
    stats: ForwardStats,
    /// Its line had a rate: the next one says that it came to rest.
    moved: bool,
}

impl Figures {
    /// One line for each forward that is new here, that moved since it was shown, or that came to rest.
    pub(crate) fn lines(&mut self, stats: &Stats, look: &Look) -> String {
        let before = std::mem::take(&mut self.0);
        let mut lines = String::new();
        for forward in &stats.forwards {
            let shown = before.get(&forward.id);
            let has_changed = shown.is_none_or(|shown| shown.stats != forward.stats);
            if has_changed || shown.is_some_and(|shown| shown.moved) {
                lines.push_str(&line(stats.at, forward.name.as_str(), &carried(forward), "", look));
            }
            let moved =
                has_changed && 0 < forward.rates.bytes_sent_per_second + forward.rates.bytes_received_per_second;
            self.0.insert(forward.id, Shown { stats: forward.stats, moved });
        }
        lines
    }
}

/// `3 connections, 12.3 MiB/s down, 1.1 KiB/s up, 5.0 MiB received, 4.0 KiB sent`: down is what is received.
fn carried(forward: &ForwardTraffic) -> String {
    let ForwardTraffic { id: _, name: _, stats, rates } = forward;
    format!(
        "{}, {}/s down, {}/s up, {} received, {} sent",
        count(stats.connections_active, "connection"),
        bytes(rates.bytes_received_per_second),
        bytes(rates.bytes_sent_per_second),
        bytes(stats.bytes_received),
        bytes(stats.bytes_sent)
    )
}

#[cfg(test)]
mod tests {
    use alknet_proto::event::ForwardRates;

    use super::super::tests::{look, plain};
    use super::*;
    use crate::sample::NOW;

    fn traffic(id: u32, name: &str, bytes_received: u64, bytes_received_per_second: u64) -> ForwardTraffic {
        ForwardTraffic {
            id: ForwardId(id),
            name: name.parse().unwrap(),
            stats: ForwardStats {
                connections_active: id.into(),
                bytes_received,
                bytes_sent: 4096,
                ..Default::default()
            },
            rates: ForwardRates { bytes_received_per_second, bytes_sent_per_second: 0, connections_per_second: 0.0 },
        }
    }

    #[test]
    fn what_moved_is_a_line_and_so_is_that_it_came_to_rest() {
        let mut figures = Figures::default();
        let mut told = |forwards: [ForwardTraffic; 2]| {
            let stats = Stats { at: NOW, forwards: forwards.into(), interval_seconds: 2.0 };
            plain(&figures.lines(&stats, &look(true)))
        };

        assert_eq!(
            told([traffic(1, "web", 0, 0), traffic(3, "db", 0, 0)]),
            "12:00:00  web  1 connection, 0 B/s down, 0 B/s up, 0 B received, 4.0 KiB sent\n\
             12:00:00  db  3 connections, 0 B/s down, 0 B/s up, 0 B received, 4.0 KiB sent\n"
        );
        assert_eq!(
            told([traffic(1, "web", 0, 0), traffic(3, "db", 5 << 20, 12_900_000)]),
            "12:00:00  db  3 connections, 12.3 MiB/s down, 0 B/s up, 5.0 MiB received, 4.0 KiB sent\n"
        );
        assert_eq!(
            told([traffic(1, "web", 0, 0), traffic(3, "db", 5 << 20, 0)]),
            "12:00:00  db  3 connections, 0 B/s down, 0 B/s up, 5.0 MiB received, 4.0 KiB sent\n"
        );
        assert_eq!(told([traffic(1, "web", 0, 0), traffic(3, "db", 5 << 20, 0)]), "");
    }
}
