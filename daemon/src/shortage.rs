//! When nothing can be accepted for want of something: how long to pause, until when to say so, how often to log it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long nothing is accepted when the system has no room for another connection. Short, since connections that were
/// given up meanwhile may fill it several times before a living one comes.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// A shortage is over when nothing failed for so long: longer than a pause, so that it does not come and go with each.
const OVER_AFTER: Duration = Duration::from_millis(1500);
/// How often a shortage is logged, however many listeners have it.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The shortage of one listener.
#[derive(Debug, Default)]
pub struct Shortage {
    paused_at: Option<Instant>,
}

impl Shortage {
    /// Pauses from now on; tells whether the shortage is new.
    pub fn begin_pause(&mut self) -> bool {
        self.paused_at.replace(Instant::now()).is_none()
    }

    /// Nothing failed any more.
    pub fn end(&mut self) {
        self.paused_at = None;
    }

    /// Waits until something may be accepted again; not at all without a shortage. Cancel-safe.
    pub async fn pause_is_over(&self) {
        if let Some(at) = self.paused_at {
            tokio::time::sleep_until(at + ACCEPT_PAUSE).await;
        }
    }

    /// Waits until the shortage is over; for ever without one. Cancel-safe.
    pub async fn is_over(&self) {
        match self.paused_at {
            Some(at) => tokio::time::sleep_until(at + OVER_AFTER).await,
            None => std::future::pending().await,
        }
    }
}

/// Logs a shortage, at most once in 10 s for the whole process: all listeners have it at the same time.
pub fn warn(what: &str) {
    static LAST_SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let now = Instant::now();
    let mut last_said = LAST_SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if last_said.is_none_or(|said| LOG_EVERY <= now.saturating_duration_since(said)) {
        *last_said = Some(now);
        drop(last_said);
        tracing::warn!(retry_in = ?ACCEPT_PAUSE, "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shortage_ends_when_nothing_failed_for_longer_than_a_pause() {
        let mut shortage = Shortage::default();
        let begin = Instant::now();

        assert!(shortage.begin_pause());
        shortage.pause_is_over().await;
        assert!(!shortage.begin_pause(), "it goes on");
        shortage.is_over().await;
        shortage.end();

        assert_eq!(begin.elapsed(), ACCEPT_PAUSE + OVER_AFTER);
        assert!(shortage.begin_pause(), "the next one is new");
    }
}
