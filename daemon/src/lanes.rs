//! The threads that carry bytes. A link and the connections on it live on one lane, so that a packet goes from one
//! socket to the other without waking another thread; links on other lanes go on meanwhile.
//!
//! Everything that is no byte of a connection (the model, clients, files) stays on the main thread.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// One lane carries some 15 Gbit/s on a small machine: more lanes than this would only cost memory.
const MAX_LANES: usize = 4;

/// All lanes. Dropping it stops their threads; what still runs on them ends where it waits.
#[derive(Debug)]
pub struct Lanes {
    each: Vec<Lane>,
    next: AtomicUsize,
    _stop: Option<DropGuard>,
}

/// One thread that carries bytes.
#[derive(Clone, Debug)]
pub struct Lane {
    number: usize,
    runtime: Handle,
}

impl Lanes {
    /// Starts a lane for each processor, at most four.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptors for it.
    pub fn start() -> io::Result<Lanes> {
        let n_lanes = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_LANES);
        let stop = CancellationToken::new();
        let each = (0..n_lanes).map(|number| Lane::start(number, stop.clone())).collect::<io::Result<_>>()?;
        Ok(Lanes { each, next: AtomicUsize::new(0), _stop: Some(stop.drop_guard()) })
    }

    /// The runtime that calls this is the only lane. For tests.
    pub fn here() -> Lanes {
        let lane = Lane { number: 0, runtime: Handle::current() };
        Lanes { each: vec![lane], next: AtomicUsize::new(0), _stop: None }
    }

    /// A lane for a new destination: each in turn.
    pub fn home(&self) -> Lane {
        let number = self.next.fetch_add(1, Relaxed) % self.each.len();
        self.each[number].clone()
    }

    /// The lane on which the fewest links of a destination are, given the lanes of all of them; its home if that is
    /// one of those.
    pub fn emptiest(&self, home: &Lane, taken: &[usize]) -> Lane {
        let n_taken = |lane: &Lane| taken.iter().filter(|number| **number == lane.number).count();
        let from_home = self.each.iter().cycle().skip(home.number).take(self.each.len());
        from_home.min_by_key(|lane| n_taken(lane)).unwrap_or(home).clone()
    }
}

impl Lane {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Lane> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let lane = Lane { number, runtime: runtime.handle().clone() };
        std::thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            runtime.block_on(stop.cancelled());
            // A lookup that hangs in the system's resolver is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(lane)
    }

    /// Which one it is.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Where its tasks run.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs `task` on it.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.spawn(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn links_of_one_destination_spread_from_its_home_on() {
        let lane = |number| Lane { number, runtime: Handle::current() };
        let lanes = Lanes { each: vec![lane(0), lane(1), lane(2)], next: AtomicUsize::new(1), _stop: None };
        let home = lanes.home();

        let next = |taken: &[usize]| lanes.emptiest(&home, taken).number();

        assert_eq!(home.number(), 1);
        assert_eq!([next(&[]), next(&[1]), next(&[1, 2]), next(&[1, 2, 0]), next(&[2])], [1, 2, 0, 1, 1]);
    }

    #[test]
    fn what_runs_on_a_lane_runs_on_its_thread() {
        let lanes = Lanes::start().unwrap();
        let lane = lanes.home();

        let name = lane.spawn(async { std::thread::current().name().map(str::to_owned) });

        let name = lane.runtime().block_on(name).unwrap();
        assert_eq!(name.as_deref(), Some("lane-0"));
    }
}
