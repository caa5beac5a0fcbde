//! How long one byte takes there and back, alone and beside bulk transfers through the same destination.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use alknet_tests::load::connect;

use crate::Plan;
use crate::bulk::{Direction, Transfers};
use crate::report::{Goal, Row};
use crate::rig::{Rig, Side, median, quantile};

const BULK_TRANSFERS: usize = 4;

pub(crate) fn measure(rig: &Rig, plan: Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    for (beside, what) in [
        (None, "echo, idle"),
        (Some(Direction::Down), "echo under 4 downloads"),
        (Some(Direction::Up), "echo under 4 uploads"),
    ] {
        let measured = rig.interleave(plan.rounds(), |side| beside_transfers(rig, side, beside, plan.window()));
        for (index, share) in ["p50", "p99"].into_iter().enumerate() {
            let goal = match (beside, index) {
                (None, 0) => Goal::RatioAtMost(1.0),
                (None, _) => Goal::None,
                (Some(_), _) => Goal::RatioAtMost(0.3),
            };
            let times = measured.map(|rounds| median(rounds.iter().map(|round| round[index]).collect()));
            rows.push(Row::new(format!("{what}, {share}"), "ms", &times, goal));
        }
    }
    rows
}

fn beside_transfers(rig: &Rig, side: &Side, direction: Option<Direction>, window: Duration) -> [f64; 2] {
    // The connection is there before the transfers, as a person's is.
    let mut echo = Echo::on(side.near.echo);
    echo.once();
    let _transfers = direction.map(|direction| Transfers::start(rig, side.near, direction, BULK_TRANSFERS));
    if direction.is_some() {
        std::thread::sleep(Duration::from_millis(300));
    }
    let (mut times, begin) = (Vec::new(), Instant::now());
    while begin.elapsed() < window {
        times.push(echo.once());
    }
    [quantile(&times, 0.5), quantile(&times, 0.99)].map(|time| time.as_secs_f64() * 1000.0)
}

/// A connection to an echo, and how long it takes.
pub(crate) struct Echo(std::net::TcpStream);

impl Echo {
    pub(crate) fn on(port: u16) -> Self {
        let stream = connect(port);
        stream.set_nodelay(true).unwrap();
        Echo(stream)
    }

    /// One byte there and back.
    pub(crate) fn once(&mut self) -> Duration {
        let begin = Instant::now();
        self.0.write_all(b"?").unwrap();
        self.0.read_exact(&mut [0]).unwrap();
        begin.elapsed()
    }
}
