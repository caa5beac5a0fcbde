//! When a session has carried so much, or lived so long, without a new key that it should be replaced.
//!
//! Servers start key exchanges by themselves. One that never does leaves it to us, and one that we start would end a
//! busy session, so a fresh session takes its place instead.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What one key encrypts at most, both ways together: 2^32 blocks of AES, after which OpenSSH too changes its keys.
pub(super) const MAX_BYTES: u64 = 64 << 30;
/// How long one key lives at most.
pub(super) const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// What one session's present key has been through.
#[derive(Debug)]
pub(super) struct Wear {
    began: Instant,
    /// When the present key was agreed on, in milliseconds since `began`.
    key_since: AtomicU64,
    bytes: AtomicU64,
    too_much: Notify,
    limit_bytes: AtomicU64,
}

impl Default for Wear {
    fn default() -> Self {
        Wear {
            began: Instant::now(),
            key_since: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            too_much: Notify::new(),
            limit_bytes: AtomicU64::new(MAX_BYTES),
        }
    }
}

impl Wear {
    /// Takes another limit than [`MAX_BYTES`].
    pub(super) fn limit(&self, bytes: u64) {
        self.limit_bytes.store(bytes, Relaxed);
    }

    /// A key was agreed on.
    pub(super) fn new_key(&self) {
        self.key_since.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.bytes.store(0, Relaxed);
    }

    pub(super) fn add(&self, n_bytes: u64) {
        let before = self.bytes.fetch_add(n_bytes, Relaxed);
        let limit = self.limit_bytes.load(Relaxed);
        if before < limit && limit <= before + n_bytes {
            self.too_much.notify_one();
        }
    }

    /// Waits until the present key is `max_age` old or has encrypted too much.
    pub(super) async fn is_over(&self, max_age: Duration) {
        loop {
            let key_since = self.began + Duration::from_millis(self.key_since.load(Relaxed));
            let until = key_since + max_age;
            if until <= Instant::now() || self.limit_bytes.load(Relaxed) <= self.bytes.load(Relaxed) {
                return;
            }
            // Neither loses anything: both are looked at again.
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.too_much.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_of_a_day_is_old_and_a_new_one_is_not() {
        let wear = Wear::default();

        tokio::time::advance(MAX_AGE - Duration::from_secs(1)).await;
        wear.new_key();
        let early = tokio::time::timeout(MAX_AGE - Duration::from_secs(1), wear.is_over(MAX_AGE)).await;
        let late = tokio::time::timeout(Duration::from_secs(2), wear.is_over(MAX_AGE)).await;

        assert!(early.is_err(), "it has lived for less than a day");
        assert!(late.is_ok(), "it is a day old");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_encrypted_too_much_is_worn() {
        let wear = Wear::default();

        wear.add(MAX_BYTES - 1);
        assert!(tokio::time::timeout(Duration::from_secs(1), wear.is_over(MAX_AGE)).await.is_err());
        wear.add(1);

        assert!(tokio::time::timeout(Duration::from_secs(1), wear.is_over(MAX_AGE)).await.is_ok());
    }
}
