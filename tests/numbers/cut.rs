//! The link is reset and the server is still there: how long until bytes flow again, through alknet and through autossh.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use alknet_tests::load::with_limits;
use alknet_tests::ports::free_port;
use alknet_tests::proxy::Proxy;
use alknet_tests::{Sshd, World, openssh, targets};

use crate::{Row, median, ms};

/// In a row, each as soon as bytes flow again after the one before.
const CUTS: usize = 5;

pub(crate) fn measure() -> Vec<Row> {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    // One way to the server for each, so that a cut concerns one of them; the cuts alternate.
    let [to_alknet, to_autossh] = ["prod", "other"].map(|alias| {
        let proxy = Proxy::before(sshd.port());
        world.add_host(alias, proxy.port(), Some(sshd.host_key()));
        proxy
    });
    world.start_with(&[], &[]);
    let echo = targets::echo();
    let target = format!("127.0.0.1:{}", echo.port());
    world.ctl(["add-forward", "prod", "--name", "web", "--wait", "-L", &format!("0:{target}")]).ok();
    let through_alknet = world.port("web");
    let through_autossh = free_port();
    let option = format!("-L{through_autossh}:{target}");
    let is_open = || TcpStream::connect(("127.0.0.1", through_autossh)).is_ok();
    let _autossh = openssh::kept_forward(&world, "other", &[&option], is_open);
    for port in [through_alknet, through_autossh] {
        flows(port).expect("bytes flow before the first cut");
    }

    let (mut alknet, mut autossh) = (Vec::new(), Vec::new());
    for _ in 0..CUTS {
        alknet.push(flows_again(&to_alknet, through_alknet));
        autossh.push(flows_again(&to_autossh, through_autossh));
    }

    let told = |times: &[Duration]| times.iter().map(|time| ms(*time)).collect::<Vec<_>>().join(", ");
    eprintln!("alknet: {}\nautossh: {}", told(&alknet), told(&autossh));
    let (alknet, autossh) = (median(alknet), median(autossh));
    let ratio = alknet.as_secs_f64() / autossh.as_secs_f64();
    let what =
        |program: &str| format!("link reset, server there, until bytes flow again, p50 of {CUTS} in a row, {program}");
    vec![
        Row::new(what("alknet"), "<= 0.5 of autossh", format!("{}, {ratio:.2} of autossh", ms(alknet)), ratio <= 0.5),
        Row::beside(what("`autossh -M 0`"), ms(autossh)),
    ]
}

/// Cuts the way, and says how long it takes until a new connection to `port` carries bytes.
fn flows_again(way: &Proxy, port: u16) -> Duration {
    way.cut();
    let cut = Instant::now();
    while flows(port).is_err() {
        assert!(cut.elapsed() < Duration::from_secs(60), "no bytes flow for a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    cut.elapsed()
}

fn flows(port: u16) -> std::io::Result<()> {
    let mut stream = with_limits(TcpStream::connect(("127.0.0.1", port))?);
    stream.write_all(b"hello")?;
    stream.read_exact(&mut [0; 5])
}
