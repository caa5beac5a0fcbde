//! Notices that the machine slept or that its addresses changed, and says so once for a burst of changes.

use std::time::{Duration, Instant};

use alknet_core::Event;
use tokio::sync::mpsc;

/// How often it is looked whether time was lost. Sleep itself cannot be waited for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Less than this is a busy machine, more is a sleep.
const LEAST_SLEEP: Duration = Duration::from_secs(5);
/// A change of the network comes as many; they are over when none comes for so long.
const QUIET: Duration = Duration::from_millis(500);

/// Tells the model whenever the machine woke up or its network changed. Ends with the inbox.
pub async fn run(inbox: mpsc::Sender<Event>) {
    let (changed, mut changes) = mpsc::channel(1);
    let watching = tokio::spawn(watch_addresses(changed));
    let mut lost_time = LostTime::begin();
    loop {
        let why = tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => match lost_time.since_last_look() {
                Some(slept) => format!("the machine slept for {} s", slept.as_secs()),
                None if inbox.is_closed() => break,
                None => continue,
            },
            Some(()) = changes.recv() => {
                while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
                "the addresses of this machine changed".to_owned()
            }
        };
        tracing::info!(why, "asking every session whether it is alive");
        if inbox.send(Event::Roused).await.is_err() {
            break;
        }
    }
    watching.abort();
}

/// Says when an address comes or goes; ends when nobody listens, or when the system does not tell.
async fn watch_addresses(changed: mpsc::Sender<()>) {
    let mut watch = match netwatcher::watch_interfaces_async::<netwatcher::async_adapter::Tokio>() {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!(%error, "changes of the network are not noticed");
            return;
        }
    };
    loop {
        let update = watch.changed().await;
        if update.is_initial {
            continue;
        }
        // A full channel says the same already.
        if let Err(mpsc::error::TrySendError::Closed(())) = changed.try_send(()) {
            return;
        }
    }
}

/// Compares clocks that count sleep with those that do not.
struct LostTime {
    looked: Instant,
    slept_before: Duration,
}

impl LostTime {
    fn begin() -> Self {
        LostTime { looked: Instant::now(), slept_before: time_asleep() }
    }

    /// How much time was lost since the last look, if it was a sleep: of the machine, or of this process alone.
    fn since_last_look(&mut self) -> Option<Duration> {
        let (now, asleep) = (Instant::now(), time_asleep());
        let slept = asleep.saturating_sub(self.slept_before);
        let frozen = now.saturating_duration_since(self.looked).saturating_sub(LOOK_INTERVAL);
        (self.looked, self.slept_before) = (now, asleep);
        Some(slept.max(frozen)).filter(|lost| LEAST_SLEEP <= *lost)
    }
}

/// How long the machine has slept since it started: the difference of the two clocks that say so.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn time_asleep() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let read = |clock: ClockId| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// The steady clock stands still in a sleep and the wall clock does not. A clock that is set looks like a sleep,
/// which costs one question per session.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn time_asleep() -> Duration {
    use std::sync::OnceLock;
    use std::time::SystemTime;
    static BEGAN: OnceLock<(Instant, SystemTime)> = OnceLock::new();
    let (steady, wall) = BEGAN.get_or_init(|| (Instant::now(), SystemTime::now()));
    wall.elapsed().unwrap_or_default().saturating_sub(steady.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_moment_is_no_sleep_and_a_long_gap_is_one() {
        let mut lost = LostTime::begin();
        assert_eq!(lost.since_last_look(), None);

        lost.looked = Instant::now() - LOOK_INTERVAL - Duration::from_secs(3);
        assert_eq!(lost.since_last_look(), None);

        lost.looked = Instant::now() - LOOK_INTERVAL - Duration::from_secs(60);
        assert!(lost.since_last_look().is_some_and(|lost| Duration::from_secs(59) <= lost));
    }
}
