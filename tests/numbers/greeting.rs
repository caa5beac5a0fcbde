//! How long a new connection waits for a target that speaks first, through alknet and through `ssh -L`.

use std::io::Read;
use std::time::{Duration, Instant};

use alknet_tests::load::connect;
use alknet_tests::ports::free_port;
use alknet_tests::{openssh, targets};

use crate::{Row, median, ms, real_world};

const CONNECTIONS: usize = 100;
/// Alternating, so that a machine that gets slower meanwhile slows both.
const ROUNDS: usize = 5;
const GREETING: &[u8] = b"220 ready\r\n";

pub(crate) fn measure() -> Vec<Row> {
    let (world, _sshd) = real_world("");
    let greeter = targets::greeter(GREETING);
    let target = format!("127.0.0.1:{}", greeter.port());
    world.ctl(["add-forward", "prod", "--name", "web", "--wait", "-L", &format!("0:{target}")]).ok();
    let through_alknet = world.port("web");
    let through_ssh = free_port();
    let option = format!("-L{through_ssh}:{target}");
    let is_open = || std::net::TcpStream::connect(("127.0.0.1", through_ssh)).is_ok();
    let _ssh = openssh::forward(&world, "prod", &[&option], is_open);

    let (mut alknet, mut ssh) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alknet.extend((0..CONNECTIONS / ROUNDS).map(|_| greeted(through_alknet)));
        ssh.extend((0..CONNECTIONS / ROUNDS).map(|_| greeted(through_ssh)));
    }

    let (alknet, ssh) = (median(alknet), median(ssh));
    let ratio = alknet.as_secs_f64() / ssh.as_secs_f64();
    let what =
        |program: &str| format!("new connection to a target that speaks first, median of {CONNECTIONS}, {program}");
    vec![
        Row::beside(what("alknet"), format!("{}, {ratio:.3} of ssh", ms(alknet))),
        Row::beside(what("`ssh -L`"), ms(ssh)),
    ]
}

fn greeted(port: u16) -> Duration {
    let asked = Instant::now();
    let mut stream = connect(port);
    stream.read_exact(&mut [0; GREETING.len()]).unwrap();
    asked.elapsed()
}
