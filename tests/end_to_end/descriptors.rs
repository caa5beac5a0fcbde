//! A daemon that may open only a few files: its connections wait, and everything else goes on.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use alknet_tests::load::assert_echo;
use alknet_tests::wait::wait_until;
use alknet_tests::{Sshd, World, process, targets};
use serde_json::json;

const LIMIT: u64 = 64;
/// More than the limit lets in.
const CONNECTIONS: usize = 100;

#[test]
fn connections_wait_for_descriptors_and_nothing_else_does() {
    let world = World::new();
    let _sshd = Sshd::start(&world, "prod");
    world.start_with_descriptors(LIMIT);
    let echo = targets::echo();
    let spec = format!("0:127.0.0.1:{}", echo.port());
    world.add_active("web", &["-L", &spec, "prod"]);
    world.add_active("db", &["-L", &spec, "prod"]);
    let port = world.port("web");
    assert_echo(port);

    let crowd: Vec<TcpStream> = (0..CONNECTIONS).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();

    let web = world.wait_forward("web", "it says why connections wait", |f| !f["reason"].is_null());
    assert_eq!((&web["status"], &web["reason"]["code"]), (&json!("active"), &json!("too_many_files")));
    let shown = world.ctl(["list-forwards", "web"]).ok().stdout;
    assert!(shown.contains("connections wait: too many files are open (it may have 64)"), "{shown}");

    let cpu = process::cpu_time(world.daemon_pid());
    let begin = Instant::now();
    let mut slowest = Duration::ZERO;
    while begin.elapsed() < Duration::from_secs(3) {
        slowest = slowest.max(world.ctl(["ping"]).ok().took);
    }
    let cpu = process::cpu_time(world.daemon_pid()) - cpu;
    assert!(cpu < Duration::from_millis(600), "{cpu:?} of CPU time in 3 s of pinging");
    assert!(slowest < Duration::from_secs(1), "an answer took {slowest:?}");

    let status = world.ctl(["status", "--json"]).ok().json();
    assert_eq!(status["daemon"]["descriptors_limit"], LIMIT);
    let n_open = status["daemon"]["descriptors_open"].as_u64().unwrap();
    assert!((LIMIT / 2..=LIMIT).contains(&n_open), "{n_open} are open");
    world.ctl(["add-forward", "--name", "new", "--stopped", "-L", &spec, "prod"]).ok();
    assert_eq!(world.forwards().len(), 3, "rules are saved meanwhile, and none is lost");

    let freed = Instant::now();
    drop(crowd);
    assert_echo(port);
    let waited = freed.elapsed();

    assert!(waited < Duration::from_secs(4), "served again after {waited:?}");
    wait_until("the reason goes", || world.forward("web")["reason"].is_null());
    let log = world.daemon_log();
    let n_lines = log.lines().filter(|line| line.contains("connections wait")).count();
    assert!((1..=1 + begin.elapsed().as_secs() / 10).contains(&(n_lines as u64)), "{n_lines} lines\n{log}");
}
