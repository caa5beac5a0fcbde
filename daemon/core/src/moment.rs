//! A point in time on both clocks: the steady one that decides, the wall clock that people read.

use std::ops::Add;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Now, as the caller of the model saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Decides: it never jumps.
    pub steady: Instant,
    /// Is shown: it is what the system thinks the time is.
    pub wall: Timestamp,
}

impl Moment {
    /// How long ago `earlier` was; zero if it is still to come.
    pub fn since(self, earlier: Moment) -> Duration {
        self.steady.saturating_duration_since(earlier.steady)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, delay: Duration) -> Moment {
        let wall = self.wall.checked_add(delay).unwrap_or(self.wall);
        Moment { steady: self.steady + delay, wall }
    }
}
