//! One reader that stops in the middle of a gigabyte, and everybody else.

use std::io::Read;
use std::time::{Duration, Instant};

use alknet_tests::load::connect;
use alknet_tests::{process, targets};

use crate::Plan;
use crate::report::{Goal, Row};
use crate::rig::{Rig, quantile};

const LENGTH: usize = 1 << 30;
/// A time that counts as never.
const NEVER: f64 = f64::INFINITY;
const ECHOES: usize = 300;

pub(crate) fn measure(rig: &Rig, plan: Plan) -> Vec<Row> {
    let length = if plan.is_quick { LENGTH / 8 } else { LENGTH };
    let source = targets::source(5, length);
    let world = &rig.world;
    let spec = format!("0:127.0.0.1:{}", source.port());
    world.ctl(["add-forward", "near", "--wait", "--name", "big", "-L", &spec]).ok();
    let port = world.port("big");
    let alone = (p50(|| echo(rig.alknet.near.echo)), p50(|| first_byte(port)));

    let mut reader = connect(port);
    reader.read_exact(&mut vec![0; 1 << 20]).unwrap();
    // Until the buffers on the way are full: nothing more goes to the reader then.
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        let now = world.session("near")["bytes_received"].as_u64().unwrap_or_default();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    let beside = (p50(|| echo(rig.alknet.near.echo)), p50(|| first_byte(port)));
    let peak = process::peak_resident_bytes(rig.alknet.pid) as f64 / 1e6;
    let mut rest = vec![0; 1 << 20];
    let mut got = 1 << 20;
    while let Ok(n @ 1..) = reader.read(&mut rest) {
        got += n;
    }
    world.ctl(["remove-forward", "big"]).ok();

    let what = "beside one reader that stalls";
    vec![
        Row::alone(format!("echo {what}, p50, to the same without it"), "times", beside.0 / alone.0, Goal::AtMost(2.0)),
        Row::alone(
            format!("first byte of a new connection of its rule {what}, p50, to the same without it"),
            "times",
            beside.1 / alone.1,
            Goal::AtMost(2.0),
        ),
        Row::alone("resident memory with a stalled reader, peak so far", "MB", peak, Goal::AtMost(150.0)),
        Row::alone(
            "share of its bytes that the reader gets when it reads on",
            "share",
            got as f64 / length as f64,
            Goal::AtLeast(1.0),
        ),
    ]
}

fn p50(mut once: impl FnMut() -> Option<Duration>) -> f64 {
    let mut times = Vec::new();
    for _ in 0..ECHOES {
        match once() {
            Some(time) => times.push(time),
            None => return NEVER,
        }
    }
    quantile(&times, 0.5).as_secs_f64()
}

/// A new connection each time, so that one that hangs is noticed; `None` after 3 s.
fn echo(port: u16) -> Option<Duration> {
    answered(port, Some(b"?"))
}

fn first_byte(port: u16) -> Option<Duration> {
    answered(port, None)
}

fn answered(port: u16, question: Option<&[u8]>) -> Option<Duration> {
    let begin = Instant::now();
    let mut stream = connect(port);
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    if let Some(question) = question {
        std::io::Write::write_all(&mut stream, question).ok()?;
    }
    stream.read_exact(&mut [0]).ok()?;
    Some(begin.elapsed())
}
