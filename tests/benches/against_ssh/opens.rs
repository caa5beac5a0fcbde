//! New connections: how many a second, and how long each takes until its first byte is back.

use std::time::{Duration, Instant};

use alknet_tests::runtime::{block_on, runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Plan;
use crate::report::{Goal, Row};
use crate::rig::{Rig, median, quantile};

const AT_ONCE: usize = 16;

pub(crate) fn measure(rig: &Rig, plan: Plan) -> Vec<Row> {
    let alone = rig.interleave(plan.rounds(), |side| opens(side.near.echo, 1, plan.window() / 2));
    let many = rig.interleave(plan.rounds(), |side| opens(side.near.echo, AT_ONCE, plan.window()));
    let per_second = many.map(|rounds| median(rounds.iter().map(|round| round.per_second).collect()));
    let mut rows =
        vec![Row::new(format!("new connections, {AT_ONCE} at once"), "1/s", &per_second, Goal::RatioAtLeast(1.2))];
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        let of = |rounds: &Vec<Opens>| {
            median(rounds.iter().map(|round| quantile(&round.times, share).as_secs_f64() * 1000.0).collect())
        };
        rows.push(Row::new(format!("new connection to its first byte, {name}"), "ms", &alone.map(of), Goal::None));
    }
    rows
}

struct Opens {
    per_second: f64,
    times: Vec<Duration>,
}

fn opens(port: u16, at_once: usize, window: Duration) -> Opens {
    let begin = Instant::now();
    let times: Vec<Duration> = block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..at_once {
            clients.spawn_on(
                async move {
                    let mut times = Vec::new();
                    while begin.elapsed() < window {
                        times.push(one(port).await);
                    }
                    times
                },
                runtime(),
            );
        }
        clients.join_all().await.concat()
    });
    Opens { per_second: times.len() as f64 / begin.elapsed().as_secs_f64(), times }
}

async fn one(port: u16) -> Duration {
    let begin = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(b"?").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    begin.elapsed()
}
