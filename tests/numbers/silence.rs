//! A link that says nothing any more: how long until its session is given up.

use std::time::{Duration, Instant};

use alknet_tests::uploads::Uploads;
use alknet_tests::{Net, World, targets};

use crate::{Row, ms};

const RUNS: usize = 3;
const GOAL: Duration = Duration::from_millis(4500);

pub(crate) fn measure() -> Vec<Row> {
    [(0, "idle"), (10, "ten uploads in flight")].into_iter().filter_map(|(n, shown)| silence(n, shown)).collect()
}

/// `None` where there can be no network namespaces.
fn silence(n_uploads: usize, shown: &str) -> Option<Row> {
    let mut most = Duration::ZERO;
    for _ in 0..RUNS {
        let net = Net::new("a cable that says nothing is made of network namespaces")?;
        let world = World::new();
        world.configure("keepalive_interval_seconds = 1\nkeepalive_count = 3\n");
        let _sshd = net.sshd(&world, "prod", "");
        let sink = net.on_server(targets::sink);
        net.on_client(|| world.start_with(&[], &[]));
        world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", sink.port()), "prod"]);
        let port = world.port("web");
        let _uploads = net.on_client(|| Uploads::start(port, n_uploads));
        let mut watch = world.watch();

        net.go_silent();
        let silent = Instant::now();
        most = most.max(watch.until_forward("web", "suspended").at - silent);
    }
    Some(Row::new(
        format!("black hole both ways, keepalive 1 s x 3, {shown}, until suspended, {RUNS} runs"),
        "<= 4.5 s",
        format!("at most {}", ms(most)),
        most <= GOAL,
    ))
}
