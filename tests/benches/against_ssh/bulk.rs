//! Downloads and uploads: how fast, how even, and how much CPU time they cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use alknet_tests::runtime::{block_on, runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Plan;
use crate::report::{Goal, Row};
use crate::rig::{Both, Ports, Rig, Side, median, wait_at_most};

const CHUNK_BYTES: usize = 256 << 10;
const MIB: f64 = (1 << 20) as f64;
/// Until windows and buffers have the size they keep.
const WARM_UP: Duration = Duration::from_millis(500);
/// Over the long way OpenSSH's server takes its time to enlarge its own buffers.
const FAR_WARM_UP: Duration = Duration::from_millis(2000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Down,
    Up,
}

/// Transfers that run until this is dropped.
pub(crate) struct Transfers {
    counts: Vec<Arc<AtomicU64>>,
    _running: JoinSet<()>,
}

impl Transfers {
    /// Starts `n` of them and waits until each has moved something.
    pub(crate) fn start(rig: &Rig, ports: Ports, direction: Direction, n: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut running = JoinSet::new();
        let mut counts = Vec::new();
        for _ in 0..n {
            let number = NEXT.fetch_add(1, SeqCst);
            let count = rig.tally.of(number);
            counts.push(count.clone());
            match direction {
                Direction::Down => running.spawn_on(download(ports.flood, count), runtime()),
                Direction::Up => running.spawn_on(upload(ports.sink, number), runtime()),
            };
        }
        let all_move = wait_at_most(Duration::from_secs(10), || counts.iter().all(|count| 0 < count.load(SeqCst)));
        assert!(all_move, "every transfer gets something through");
        Transfers { counts, _running: running }
    }

    fn moved(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(SeqCst)).collect()
    }
}

impl Drop for Transfers {
    /// What comes next is not measured beside what is still ending.
    fn drop(&mut self) {
        let mut running = std::mem::take(&mut self._running);
        block_on(running.shutdown());
    }
}

async fn download(port: u16, count: Arc<AtomicU64>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        count.fetch_add(n as u64, SeqCst);
    }
}

async fn upload(port: u16, number: u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let buffer = vec![0x5A; CHUNK_BYTES];
    if stream.write_u64(number).await.is_ok() {
        while stream.write_all(&buffer).await.is_ok() {}
    }
}

/// What came of transfers of a limited time.
#[derive(Clone, Copy, Debug)]
struct Moved {
    mib_per_second: f64,
    /// The slowest connection to the fastest.
    evenness: f64,
    cpu_seconds_per_gb: f64,
}

fn run(rig: &Rig, side: &Side, ports: Ports, direction: Direction, n: usize, window: Duration) -> Moved {
    let transfers = Transfers::start(rig, ports, direction, n);
    std::thread::sleep(if ports.flood == side.far.flood { FAR_WARM_UP } else { WARM_UP });
    let (before, cpu, begin) = (transfers.moved(), side.cpu_time(), Instant::now());
    std::thread::sleep(window);
    let (after, cpu, took) = (transfers.moved(), side.cpu_time() - cpu, begin.elapsed());
    let each: Vec<f64> = after.iter().zip(&before).map(|(after, before)| (after - before) as f64).collect();
    let total: f64 = each.iter().sum();
    let (least, most) = (each.iter().copied().fold(f64::MAX, f64::min), each.iter().copied().fold(0.0, f64::max));
    Moved {
        mib_per_second: total / MIB / took.as_secs_f64(),
        evenness: least / most,
        cpu_seconds_per_gb: cpu.as_secs_f64() / (total / 1e9),
    }
}

pub(crate) fn near(rig: &Rig, plan: Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    for (direction, what) in [(Direction::Down, "download"), (Direction::Up, "upload")] {
        for n in [1, 4, 16] {
            let moved = rig.interleave(plan.rounds(), |side| run(rig, side, side.near, direction, n, plan.window()));
            let figure = |figure: fn(&Moved) -> f64| moved.map(|all| median(all.iter().map(figure).collect()));
            let goal = Goal::RatioAtLeast(if n == 1 { 1.1 } else { 1.0 });
            rows.push(Row::new(shown(what, n), "MiB/s", &figure(|moved| moved.mib_per_second), goal));
            let cpu = figure(|moved| moved.cpu_seconds_per_gb);
            rows.push(Row::new(format!("{}, CPU", shown(what, n)), "s/GB", &cpu, Goal::RatioAtMost(0.8)));
            if n == 16 {
                let evenness = figure(|moved| moved.evenness);
                rows.push(Row::new(
                    format!("{}, slowest to fastest", shown(what, n)),
                    "share",
                    &evenness,
                    Goal::AtLeast(0.8),
                ));
            }
        }
    }
    rows
}

pub(crate) fn far(rig: &Rig, plan: Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    for (direction, what) in [(Direction::Down, "far download"), (Direction::Up, "far upload")] {
        for n in [1, 4] {
            let measure = |side: &Side| run(rig, side, side.far, direction, n, plan.window()).mib_per_second;
            let moved: Both<f64> = rig.interleave(plan.rounds().min(3), measure).map(|all| median(all.clone()));
            let is_goal = direction == Direction::Down && n == 1;
            let goal = if is_goal { Goal::RatioAtLeast(5.0) } else { Goal::None };
            rows.push(Row::new(shown(what, n), "MiB/s", &moved, goal));
        }
    }
    rows
}

fn shown(what: &str, n: usize) -> String {
    if n == 1 { format!("{what}, 1 connection") } else { format!("{what}, {n} connections") }
}
