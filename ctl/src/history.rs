//! The answer of `history`, put together from its pages.

use alknet_proto::ForwardHistory;
use jiff::Timestamp;
use serde::Serialize;

/// Outages and availability of everything that was selected.
#[derive(Debug, Serialize)]
pub(crate) struct History {
    /// The beginning of the time that was asked for.
    pub(crate) since: Timestamp,
    /// Its end: the clock of the daemon.
    pub(crate) until: Timestamp,
    /// The forwards, by id.
    pub(crate) forwards: Vec<ForwardHistory>,
    /// All of them together.
    pub(crate) total: Total,
    /// Lines of the journal that could not be read and were left out.
    pub(crate) skipped_lines: u64,
}

/// What all forwards come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Total {
    /// How long they were active, in seconds.
    pub(crate) up_seconds: f64,
    /// How long they should have been and were not, in seconds.
    pub(crate) down_seconds: f64,
    /// The first of both together, in percent; `null` when none was meant to be active.
    pub(crate) availability_percent: Option<f64>,
    /// How many outages there were.
    pub(crate) outages: u64,
}

impl History {
    /// With the total over `forwards`.
    pub(crate) fn new(since: Timestamp, until: Timestamp, forwards: Vec<ForwardHistory>, skipped_lines: u64) -> Self {
        // The sum of nothing would be minus zero.
        let up_seconds = forwards.iter().fold(0.0, |sum, forward| sum + forward.up_seconds);
        let down_seconds = forwards.iter().fold(0.0, |sum, forward| sum + forward.down_seconds);
        let all = up_seconds + down_seconds;
        let total = Total {
            up_seconds,
            down_seconds,
            availability_percent: (0.0 < all).then(|| 100.0 * (up_seconds / all)),
            outages: forwards.iter().map(|forward| forward.outages_total).sum(),
        };
        History { since, until, forwards, total, skipped_lines }
    }
}
