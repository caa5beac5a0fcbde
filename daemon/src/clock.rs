//! The time as the model wants it, and the dice.

use std::time::Instant;

use alknet_core::Moment;

/// Now, on both clocks.
pub fn now() -> Moment {
    Moment { steady: Instant::now(), wall: jiff::Timestamp::now() }
}

/// 0.0 ..= 1.0, to spread retries.
pub fn jitter() -> f64 {
    fastrand::f64()
}
