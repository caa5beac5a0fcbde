//! Waits for a state instead of sleeping.

use std::time::{Duration, Instant};

/// How long a test waits for anything that should happen soon, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);
/// How often a state that nobody reports is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `look` finds something, at most [`LIMIT`].
///
/// # Panics
/// With `what` when the limit is over.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(LIMIT, what, look)
}

/// Waits until `look` finds something, at most `limit`.
///
/// # Panics
/// With `what` when the limit is over.
pub fn wait_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits until `holds` is true, at most [`LIMIT`].
///
/// # Panics
/// With `what` when the limit is over.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
