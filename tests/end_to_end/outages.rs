//! What was: outages, availability, and why, over every end of the daemon.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use alknet_tests::wait::{wait_for, wait_until};
use alknet_tests::world::can_be_root;
use alknet_tests::{Sshd, World};
use serde_json::{Value, json};

use crate::real_world;

/// The history of one forward over the last day.
#[track_caller]
fn history(world: &World, name: &str) -> Value {
    let history = world.ctl(["history", name, "--since", "1d", "--json"]).ok().json();
    assert_eq!(history["forwards"].as_array().map(Vec::len), Some(1), "{history:#}");
    history["forwards"][0].clone()
}

fn codes(forward: &Value) -> Vec<&str> {
    let outages = forward["outages"].as_array().unwrap();
    outages.iter().map(|outage| outage["reason"]["code"].as_str().unwrap()).collect()
}

/// Cuts the session to `prod` and waits until it is back.
fn cut(world: &World, sshd: &Sshd, name: &str) {
    let mut watch = world.watch();
    sshd.kill_sessions();
    watch.until_forward(name, "suspended");
    watch.until_forward(name, "active");
}

#[test]
fn an_outage_is_told_with_its_cause_and_its_length() {
    let (world, sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    cut(&world, &sshd, "web");

    let web = history(&world, "web");
    assert_eq!((&web["outages_total"], codes(&web)), (&json!(1), vec!["connection_lost"]), "{web:#}");
    let outage = &web["outages"][0];
    assert!(outage["ended"].is_string() && 0.0 < outage["seconds"].as_f64().unwrap(), "{outage:#}");
    let percent = web["availability_percent"].as_f64().unwrap();
    assert!(0.0 < percent && percent < 100.0, "{web:#}");
    assert!(web["down_seconds"].as_f64().unwrap() < web["up_seconds"].as_f64().unwrap() + 60.0);
    let shown = world.ctl(["show", "web", "--json"]).ok().json();
    assert_eq!(shown["outages"], json!([outage]), "{shown:#}");
    let text = world.ctl(["history"]).ok().stdout;
    assert!(text.starts_with("NAME") && text.contains("[tcp: connection_lost]"), "{text}");
    assert!(world.ctl(["show", "web"]).ok().stdout.contains("\noutages "));
}

#[test]
fn a_kill_in_an_outage_ends_it_and_the_absence_is_an_outage_of_its_own() {
    let (world, mut sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    let mut watch = world.watch();
    sshd.kill_all();
    watch.until_forward("web", "suspended");
    drop(watch);
    wait_until("the outage is in the journal", || codes(&history(&world, "web")) == ["connection_lost"]);

    world.kill_9();
    let journal = world.path("state/alknet/outages.jsonl");
    let torn = br#"{"v":1,"at":"2026-01-31T12:00:00Z","id":"9e3"#;
    fs::OpenOptions::new().append(true).open(&journal).unwrap().write_all(torn).unwrap();
    sshd.listen();
    world.start();
    world.wait_status("web", "active");

    let web = history(&world, "web");
    assert_eq!(codes(&web), ["connection_lost", "no_daemon"], "{web:#}");
    let [lost, away] = web["outages"].as_array().unwrap().as_slice() else { panic!("{web:#}") };
    assert_eq!(lost["ended"], away["began"], "the one ends where the other begins");
    assert!(away["ended"].is_string(), "{web:#}");
    assert!(away["reason"]["message"].as_str().unwrap().contains("alknetd was not running"));
    assert_eq!(fs::metadata(&journal).unwrap().permissions().mode() & 0o777, 0o600);
    let said = world.ctl(["history", "web"]).ok();
    assert!(said.stderr.contains("1 line of the daemon's journal"), "{}", said.stderr);
}

#[test]
fn an_orderly_restart_is_an_outage_and_a_stop_by_a_person_is_none() {
    let (world, _sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    world.add_active("db", &["-L", "0:localhost:81", "prod"]);
    world.ctl(["stop", "db"]).ok();

    world.restart();
    world.wait_status("web", "active");
    world.ctl(["start", "db"]).ok();
    world.wait_status("db", "active");

    assert_eq!(codes(&history(&world, "web")), ["no_daemon"]);
    let db = history(&world, "db");
    assert_eq!((&db["outages_total"], &db["availability_percent"]), (&json!(0), &json!(100.0)), "{db:#}");
}

#[test]
fn removed_forwards_are_found_by_the_name_they_had() {
    let (world, sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod", "--tag", "shop"]);
    cut(&world, &sshd, "web");
    world.ctl(["remove-forward", "web"]).ok();

    let web = history(&world, "web");
    assert_eq!((web["removed_at"].is_string(), codes(&web)), (true, vec!["connection_lost"]), "{web:#}");
    assert_eq!(history(&world, "@shop")["name"], "web");
    let all = world.ctl(["history", "--json"]).ok().json();
    assert_eq!(all["forwards"].as_array().map(Vec::len), Some(1));
    assert_eq!(all["total"]["outages"], 1);

    let nothing = world.ctl(["history", "nothing", "--json"]).exits(4);
    assert_eq!(nothing.error_code(), "not_found");
    assert_eq!(world.ctl(["history", "--since", "soon"]).code, 2);
}

#[test]
fn a_daemon_without_forwards_has_no_history_and_no_complaint() {
    let world = World::with_daemon();

    let history = world.ctl(["history", "--json"]).ok().json();

    assert_eq!((&history["forwards"], &history["total"]["availability_percent"]), (&json!([]), &Value::Null));
}

#[test]
fn every_place_says_stage_code_message_hint_attempt_and_next_try() {
    let (world, mut sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    let mut watch = world.watch();
    let first = fs::read_to_string(world.path("alknetd.log")).unwrap_or_default().len();

    sshd.kill_all();

    let event = watch.until_forward("web", "suspended").event;
    assert!(event["attempt"].is_u64() && event["retry_at"].is_string(), "{event:#}");
    let web = world.wait_forward("web", "a try failed", |forward| forward["attempt"].as_u64() > Some(0));
    assert_eq!((&web["reason"]["stage"], &web["reason"]["code"]), (&json!("tcp"), &json!("connection_refused")));
    let shown = wait_for("between two tries", || {
        let shown = world.ctl(["show", "web", "--json"]).ok().json();
        shown["retry_at"].is_string().then_some(shown)
    });
    let outage = &shown["outages"][0];
    assert_eq!(
        (&outage["reason"]["code"], &outage["ended"]),
        (&json!("connection_lost"), &Value::Null),
        "the first cause"
    );
    let changes = shown["session"]["history"].as_array().unwrap();
    let last = changes.last().unwrap();
    assert_eq!((&last["reason"], last["attempt"].as_u64() > Some(0)), (&web["reason"], true), "{last:#}");
    assert!(changes.iter().any(|change| change["to"] == "suspended" && change["retry_at"].is_string()));
    assert!(shown["history"].as_array().unwrap().iter().any(|change| change["retry_at"].is_string()));
    for verb in ["list-forwards", "list-sessions", "status", "show"] {
        let arguments = if verb == "show" { vec![verb, "web"] } else { vec![verb] };
        let text = world.ctl(arguments).ok().stdout;
        for word in ["refuses connections", "[tcp: connection_refused]", "retry"] {
            assert!(text.contains(word), "{verb} does not say {word}: {text}");
        }
        assert!(text.contains("hint"), "{verb} gives no hint: {text}");
    }
    let log = fs::read_to_string(world.path("alknetd.log")).unwrap();
    let told = log[first..].lines().filter(|line| line.contains("forward changed") && line.contains("suspended"));
    let told: Vec<&str> = told.collect();
    assert!(!told.is_empty(), "{log}");
    for field in ["stage=\"tcp\"", "code=\"connection_lost\"", "attempt=0", "retry_at="] {
        assert!(told.iter().any(|line| line.contains(field)), "{field} is missing in {told:#?}");
    }
}

#[test]
fn a_full_disk_is_said_once_and_forwards_go_on() {
    if !can_be_root("a small file system is mounted") {
        return;
    }
    let world = World::new();
    let sshd = Sshd::start_with(&world, "prod", "");
    let disk = SmallDisk::mounted(&world);
    world.start();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    disk.fill();

    for _ in 0..3 {
        cut(&world, &sshd, "web");
    }
    wait_until("it is said", || world.daemon_log().contains("outages are not recorded"));
    assert_eq!(codes(&history(&world, "web")), Vec::<&str>::new(), "what happened meanwhile is lost");
    disk.clear();
    cut(&world, &sshd, "web");
    wait_until("it is recorded again", || world.daemon_log().contains("outages are recorded again"));

    assert_eq!(world.daemon_log().matches("outages are not recorded").count(), 1);
    assert_eq!(codes(&history(&world, "web")), ["connection_lost"]);
    world.stop();
}

/// A file system of 64 KiB under the state directory of a world.
struct SmallDisk {
    place: std::path::PathBuf,
}

impl SmallDisk {
    fn mounted(world: &World) -> Self {
        let place = world.path("state");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "alknet-test"])
            .arg(&place)
            .status()
            .expect("mount can be started");
        assert!(mounted.success(), "a tmpfs can be mounted");
        SmallDisk { place }
    }

    /// To the last byte of the journal's last page too.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.place.join("ballast")).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
        let journal = self.place.join("alknet/outages.jsonl");
        let mut journal = fs::OpenOptions::new().append(true).open(journal).unwrap();
        while journal.write_all(b"\n").is_ok() {}
    }

    fn clear(&self) {
        fs::remove_file(self.place.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon of a failed test may still be there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.place).status();
    }
}
