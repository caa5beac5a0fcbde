//! Random histories of the model against a pretended world whose news comes late, interleaved or never.
//!
//! After every step the invariants hold; at the end, when the world is kind and all news has
//! come, the model and the world agree on what is open, on what is on disk and on what is remembered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is surprised")]
#![allow(clippy::print_stderr, reason = "a failed history tells its seed")]

mod dice;
mod history;
mod pretended;
mod watcher;

use history::History;

const HISTORIES: u64 = 20_000;
const STEPS: usize = 40;

#[test]
fn the_model_and_the_world_agree_after_any_history() {
    if let Some(seed) = std::env::var("ALKNET_WORLD_SEED").ok().and_then(|seed| seed.parse().ok()) {
        History::new(seed).run(STEPS);
        return;
    }
    let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let n_requests: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|nth| scope.spawn(move || run_every(nth, n_threads))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).sum()
    });
    assert!(HISTORIES < n_requests, "the histories asked for next to nothing");
}

/// Runs the share of one thread; tells how many requests there were.
fn run_every(nth: u64, n_threads: u64) -> u64 {
    let mut n_requests = 0;
    for seed in (1..=HISTORIES).filter(|seed| seed % n_threads == nth) {
        match std::panic::catch_unwind(|| History::new(seed).run(STEPS)) {
            Ok(requests) => n_requests += requests,
            Err(panic) => {
                eprintln!("history {seed} failed; ALKNET_WORLD_SEED={seed} repeats it alone");
                std::panic::resume_unwind(panic);
            }
        }
    }
    n_requests
}
