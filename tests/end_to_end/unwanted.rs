//! A session that no rule wants stays logged in for a while, and is there for the next rule.

use std::time::Duration;

use alknet_tests::load::assert_echo;
use alknet_tests::wait::{wait_until, wait_within};
use alknet_tests::world::port_of;
use alknet_tests::{Sshd, World, targets};
use serde_json::{Value, json};

use crate::real_world;
use crate::sessions::stays;

/// All sessions that the daemon knows.
fn sessions(world: &World) -> Vec<Value> {
    world.ctl(["list-sessions", "--json"]).ok().json().as_array().unwrap().clone()
}

/// A world whose daemon runs with these settings, and a server.
fn world_with(settings: &str) -> (World, Sshd) {
    let world = World::new();
    world.configure(settings);
    let sshd = Sshd::start(&world, "prod");
    world.start();
    (world, sshd)
}

/// A rule was active and is removed.
fn use_once(world: &World, destination: &str) {
    world.add_active("once", &["-L", "0:localhost:80", destination]);
    world.ctl(["remove-forward", "once"]).ok();
}

/// How many sessions the server saw end, with a goodbye or without.
fn ended(sshd: &Sshd) -> usize {
    sshd.count("Disconnected from user") + sshd.count("Closing connection to")
}

#[test]
fn the_next_rule_finds_the_session_that_the_last_one_left() {
    let (world, sshd) = real_world();
    let mut watch = world.watch();
    let echo = targets::echo();
    let to = format!("0:127.0.0.1:{}", echo.port());
    use_once(&world, "prod");

    let kept = world.session("prod");
    assert_eq!((&kept["state"], &kept["reason"]), (&json!("idle"), &json!(null)), "{kept:#}");
    assert_eq!((kept["links"].as_array().unwrap().len(), kept["peer"].is_string()), (1, true), "{kept:#}");
    let end: jiff::Timestamp = kept["idle_until"].as_str().unwrap().parse().unwrap();
    let left = end.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((1790..=1800).contains(&left), "{left} s are left");
    let table = world.ctl(["list-sessions"]).ok().stdout;
    assert!(table.contains("kept for 29m") || table.contains("kept for 30m"), "{table}");

    let added = world.ctl(["add-forward", "--name", "web", "-L", &to, "prod", "--json"]).ok().json();
    assert_eq!(added[0]["status"], "active", "it is active at once: {added:#}");
    assert_echo(port_of(&added[0]));
    world.ctl(["stop", "web"]).ok();
    wait_until("nothing wants it", || world.session("prod")["state"] == "idle");
    let back = world.ctl(["add-forward", "--name", "back", "-R", &to, "prod", "--json"]).ok().json();
    assert_eq!(back[0]["status"], "active", "{back:#}");
    assert_echo(port_of(&back[0]));
    world.ctl(["start", "web"]).ok();
    assert_echo(port_of(&world.wait_status("web", "active")));

    assert_eq!((sshd.logins(), sshd.connections()), (1, 1), "one login for all of them");
    let active = world.session("prod");
    assert_eq!((&active["state"], &active["idle_until"]), (&json!("active"), &json!(null)), "{active:#}");
    world.stop();
    watch.drain();
    let states = watch.seen().iter().filter(|seen| seen.event["event"] == "session_status");
    let states: Vec<&Value> = states.map(|seen| &seen.event["to"]).collect();
    assert_eq!(states, ["connecting", "active", "idle", "active", "idle", "active"], "{}", watch.story());
}

#[test]
fn after_the_idle_timeout_the_session_says_goodbye_and_is_forgotten() {
    let (world, sshd) = world_with("idle_timeout = 2\n");
    let limits = world.ctl(["status", "--json"]).ok().json()["daemon"]["limits"].clone();
    assert_eq!(limits["idle_timeout"], 2, "{limits}");

    use_once(&world, "prod");
    assert_eq!(ended(&sshd), 0, "it is still there");
    wait_within(Duration::from_secs(10), "the server sees the end", || (ended(&sshd) == 1).then_some(()));

    wait_until("it is forgotten", || sessions(&world).is_empty());
    let (echo, mut watch) = (targets::echo(), world.watch());
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    assert_echo(world.port("web"));
    assert_eq!(sshd.logins(), 2);
    let outages = world.ctl(["history", "--json"]).ok().json()["total"]["outages"].clone();
    world.stop();
    watch.drain();
    let is_suspended = |seen: &alknet_tests::watch::Seen| seen.event["to"] == "suspended";
    assert!(!watch.seen().iter().any(is_suspended), "{}", watch.story());
    assert_eq!(outages, 0);
}

#[test]
fn an_idle_timeout_of_0_keeps_it_until_the_setting_or_a_person_says_otherwise() {
    let (world, sshd) = world_with("idle_timeout = 0\n");
    use_once(&world, "prod");

    stays("it is kept", || ended(&sshd) == 0);
    let kept = world.session("prod");
    assert_eq!((&kept["state"], &kept["idle_until"]), (&json!("idle"), &json!(null)), "{kept:#}");
    let table = world.ctl(["list-sessions"]).ok().stdout;
    assert!(table.contains("kept until it is used, disconnected or lost"), "{table}");

    world.ctl(["disconnect", "prod"]).ok();
    wait_until("the server sees the end", || ended(&sshd) == 1);
    assert_eq!(sessions(&world), Vec::<Value>::new());

    use_once(&world, "prod");
    world.configure("idle_timeout = 1\n");
    let reloaded = world.ctl(["reload"]).ok();
    assert!(format!("{}{}", reloaded.stdout, reloaded.stderr).contains("idle_timeout"), "{reloaded:#?}");
    wait_until("the setting holds for it too", || ended(&sshd) == 2 && sessions(&world).is_empty());
}

#[test]
fn a_session_that_nobody_wants_is_not_brought_back_when_it_is_lost() {
    let (world, sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    world.ctl(["stop", "web"]).ok();
    let mut watch = world.watch();

    assert!(0 < sshd.kill_sessions());
    wait_until("the daemon knows", || world.session("prod")["links"] == json!([]));

    stays("nothing connects", || sshd.connections() == 1);
    let outages = world.ctl(["history", "--json"]).ok().json()["total"]["outages"].clone();
    world.stop();
    watch.drain();
    let is_change = |event: &Value| event.as_str().is_some_and(|kind| !["snapshot", "heartbeat"].contains(&kind));
    assert!(!watch.seen().iter().any(|seen| is_change(&seen.event["event"])), "{}", watch.story());
    assert_eq!(outages, 0);
}

#[test]
fn a_session_that_nobody_wants_gives_way_to_one_that_is_wanted() {
    let (world, sshd) = world_with("max_sessions = 1\n");
    let other = Sshd::start(&world, "other");
    use_once(&world, "prod");

    world.add_active("web", &["-L", "0:localhost:80", "other"]);

    wait_until("the server sees the end", || ended(&sshd) == 1);
    assert_eq!(other.logins(), 1);
    let names: Vec<Value> = sessions(&world).iter().map(|session| session["destination"].clone()).collect();
    assert_eq!(names, ["other"]);
}

#[test]
fn a_daemon_that_stops_takes_leave_of_sessions_that_nobody_wants() {
    let (world, sshd) = real_world();
    use_once(&world, "prod");

    world.stop();

    wait_until("the server sees the end", || ended(&sshd) == 1);
}
