//! A laptop goes from one network to another: its address changes, its cable is pulled and put in again.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use alknet_tests::load::{assert_echo, connect, echo_over};
use alknet_tests::netns::CLIENT;
use alknet_tests::targets::{self, Target};
use alknet_tests::{Net, Sshd, World};

const OTHER_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);

/// A user whose daemon asks as seldom as it does by default, and a server at the other end of a cable.
struct Apart {
    world: World,
    sshd: Sshd,
    _echo: Target,
    net: Net,
}

impl Apart {
    /// With an active forward `web` to an echo.
    fn new() -> Option<Self> {
        let net = Net::new("another network is made of network namespaces")?;
        let world = World::new();
        let sshd = net.sshd(&world, "prod", "");
        let echo = net.on_server(targets::echo);
        net.on_client(|| world.start());
        world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
        Some(Apart { world, sshd, _echo: echo, net })
    }
}

#[test]
fn another_address_brings_another_session_within_five_seconds() {
    let Some(Apart { world, sshd, net, .. }) = &Apart::new() else { return };
    let mut watch = world.watch();

    let moved = Instant::now();
    net.move_client(CLIENT, OTHER_CLIENT);
    watch.until_forward("web", "suspended");
    let active = watch.until_forward("web", "active");

    let took = active.at - moved;
    assert!(took <= Duration::from_secs(5), "active again after {took:?}; an answer is waited for 5 s elsewhere");
    net.on_client(|| assert_echo(world.port("web")));
    assert_eq!(sshd.logins(), 2);
}

#[test]
fn an_address_that_comes_back_at_once_keeps_its_session() {
    let Some(Apart { world, sshd, net, .. }) = &Apart::new() else { return };
    let stream = net.on_client(|| connect(world.port("web")));

    net.move_client(CLIENT, CLIENT);
    alknet_tests::wait::wait_until("it is asked", || world.daemon_log().contains("asking every session"));

    echo_over(&stream);
    std::thread::sleep(Duration::from_secs(6));
    echo_over(&stream);
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn a_further_address_keeps_the_session() {
    let Some(Apart { world, sshd, net, .. }) = &Apart::new() else { return };
    let stream = net.on_client(|| connect(world.port("web")));

    net.add_address(OTHER_CLIENT);
    alknet_tests::wait::wait_until("it is asked", || world.daemon_log().contains("asking every session"));

    std::thread::sleep(Duration::from_secs(6));
    echo_over(&stream);
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn a_cable_that_is_out_for_a_moment_costs_nothing() {
    let Some(Apart { world, sshd, net, .. }) = &Apart::new() else { return };
    let stream = net.on_client(|| connect(world.port("web")));

    net.plug(false);
    std::thread::sleep(Duration::from_secs(1));
    net.plug(true);

    echo_over(&stream);
    std::thread::sleep(Duration::from_secs(6));
    echo_over(&stream);
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn a_cable_that_was_out_for_long_is_used_as_soon_as_it_is_in() {
    let Some(Apart { world, sshd, net, .. }) = &Apart::new() else { return };
    let mut watch = world.watch();

    let pulled = Instant::now();
    net.plug(false);
    let suspended = watch.until_forward("web", "suspended");
    // Some tries fail meanwhile, so that the next one by itself is far away.
    world.wait_forward("web", "the fourth try failed", |forward| 4 <= forward["attempt"].as_u64().unwrap_or(0));
    let put_in = Instant::now();
    net.plug(true);
    let active = watch.until_forward("web", "active");

    let noticed = suspended.at - pulled;
    assert!(noticed <= Duration::from_secs(7), "noticed after {noticed:?}; the keepalive takes 45 s");
    let took = active.at - put_in;
    assert!(took <= Duration::from_secs(3), "active {took:?} after the cable is in");
    net.on_client(|| assert_echo(world.port("web")));
    assert_eq!(sshd.logins(), 2);
}
