//! A server that falls silent: nothing comes back any more, and nobody says so.

use std::time::{Duration, Instant};

use alknet_tests::load::assert_echo;
use alknet_tests::targets::{self, Target};
use alknet_tests::uploads::Uploads;
use alknet_tests::wait::wait_until;
use alknet_tests::watch::Seen;
use alknet_tests::{Net, Sshd, Watch, World};

/// Links of one destination beside its first one, by default.
const MAX_FURTHER: usize = 2;
/// Interval times count is 3 s; the rest is for a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_millis(4500);
const WHY: &str = "a cable that says nothing is made of network namespaces";

/// A user whose daemon asks every second and gives up after three questions, and a server that he knows as `prod`.
fn quick_world() -> (World, Sshd) {
    let world = World::new();
    world.configure("keepalive_interval_seconds = 1\nkeepalive_count = 3\n");
    let sshd = Sshd::start(&world, "prod");
    world.start();
    (world, sshd)
}

/// As [`quick_world`], with a cable between the two.
struct Apart {
    world: World,
    sshd: Sshd,
    net: Net,
}

impl Apart {
    fn new() -> Option<Self> {
        let net = Net::new(WHY)?;
        let world = World::new();
        world.configure("keepalive_interval_seconds = 1\nkeepalive_count = 3\n");
        let sshd = net.sshd(&world, "prod", "");
        net.on_client(|| world.start());
        Some(Apart { world, sshd, net })
    }

    /// A forward `web` to `target`, active, and its port.
    fn forward_to(&self, target: &Target) -> u16 {
        self.world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", target.port()), "prod"]);
        self.world.port("web")
    }
}

/// Waits until the rule is suspended, and judges when and why.
#[track_caller]
fn assert_noticed(watch: &mut Watch, silent_since: Instant) -> Seen {
    let suspended = watch.until_forward("web", "suspended");
    let took = suspended.at - silent_since;
    assert_eq!(suspended.event["reason"]["code"], "keepalive_lost", "{}", suspended.event);
    assert!(took <= NOTICED_WITHIN, "suspended after {took:?}");
    suspended
}

fn a_silent_cable_under(n_uploads: usize) {
    let Some(apart) = Apart::new() else { return };
    let Apart { world, sshd, net } = &apart;
    let (sink, echo) = net.on_server(|| (targets::sink(), targets::echo()));
    let port = apart.forward_to(&sink);
    world.add_active("echo", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let mut uploads = net.on_client(|| Uploads::start(port, n_uploads));
    // One that waits for a further session is held, and not yet an upload.
    wait_until("every upload has its channel", || {
        n_uploads as u64 <= world.session("prod")["channels"].as_u64().unwrap()
    });
    let mut watch = world.watch();

    net.go_silent();
    let silent_since = Instant::now();

    assert_noticed(&mut watch, silent_since);
    let ends = uploads.ended();
    assert_eq!(ends.len(), n_uploads);
    assert!(silent_since.elapsed() <= NOTICED_WITHIN, "the programs notice too, after {:?}", silent_since.elapsed());
    net.end_silence();
    world.ctl(["retry"]).ok();
    watch.until_forward("web", "active");
    net.on_client(|| assert_echo(world.port("echo")));
    // One before and one after the silence; further ones where the uploads kept the first one busy.
    assert!((2..=2 + MAX_FURTHER).contains(&sshd.logins()), "{} logins", sshd.logins());
}

#[test]
fn a_silent_cable_is_noticed_in_idleness() {
    a_silent_cable_under(0);
}

#[test]
fn a_silent_cable_is_noticed_under_ten_uploads() {
    a_silent_cable_under(10);
}

#[test]
fn a_silent_cable_is_noticed_under_32_uploads() {
    a_silent_cable_under(32);
}

#[test]
fn a_short_silence_costs_nothing() {
    let Some(apart) = Apart::new() else { return };
    let echo = apart.net.on_server(targets::echo);
    let port = apart.forward_to(&echo);
    let stream = apart.net.on_client(|| alknet_tests::load::connect(port));

    apart.net.go_silent();
    std::thread::sleep(Duration::from_millis(1200));
    apart.net.end_silence();

    alknet_tests::load::echo_over(&stream);
    assert_eq!(apart.sshd.logins(), 1, "the session is the same");
    assert_eq!(apart.world.forward("web")["status"], "active");
}

fn a_stopped_server_under(n_uploads: usize) {
    let (world, sshd) = quick_world();
    let (sink, echo) = (targets::sink(), targets::echo());
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", sink.port()), "prod"]);
    world.add_active("echo", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let mut uploads = Uploads::start(world.port("web"), n_uploads);
    let mut watch = world.watch();

    // The server still listens, so that the next session comes at once.
    sshd.freeze_sessions(true);
    let stopped = Instant::now();

    assert_noticed(&mut watch, stopped);
    watch.until_forward("web", "active");
    assert_eq!(uploads.ended().len(), n_uploads);
    assert!(stopped.elapsed() <= NOTICED_WITHIN + Duration::from_secs(1), "all within {:?}", stopped.elapsed());
    assert_echo(world.port("echo"));
    sshd.freeze_sessions(false);
}

#[test]
fn a_stopped_session_process_is_replaced_in_idleness() {
    a_stopped_server_under(0);
}

#[test]
fn a_stopped_session_process_is_replaced_under_ten_uploads() {
    a_stopped_server_under(10);
}

#[test]
fn a_stopped_session_process_is_replaced_under_32_uploads() {
    a_stopped_server_under(32);
}
