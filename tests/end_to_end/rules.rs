//! Rules come, stay, stop and go; what was refused leaves nothing behind.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use alknet_tests::load::{assert_echo, connect};
use alknet_tests::ports::free_port;
use alknet_tests::world::{can_be_root, port_of};
use alknet_tests::{World, targets};
use serde_json::json;

use crate::real_world;

#[test]
fn add_with_a_taken_port_leaves_nothing_behind() {
    let (world, _sshd) = real_world();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let spec = format!("{}:localhost:80", taken.local_addr().unwrap().port());

    let refused = world.ctl(["add-forward", "--json", "--name", "web", "-L", &spec, "prod"]).exits(5);

    assert_eq!(refused.error_code(), "address_in_use");
    assert_eq!(world.forwards(), Vec::<serde_json::Value>::new());
    drop(taken);
    let added = world.add("web", &["-L", &spec, "prod"]);
    assert_eq!(added["name"], "web", "neither the name nor the port was kept");
    world.restart();
    assert_eq!(world.forwards().len(), 1);
}

#[test]
fn several_at_once_are_all_added_or_none() {
    let (world, _sshd) = real_world();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (free, taken_port) = (free_port(), taken.local_addr().unwrap().port());
    let (good, bad) = (format!("{free}:localhost:80"), format!("{taken_port}:localhost:81"));

    world.ctl(["add-forward", "-L", &good, "-L", &bad, "-D", "0", "prod"]).exits(5);

    assert_eq!(world.forwards(), Vec::<serde_json::Value>::new());
    TcpListener::bind(("127.0.0.1", free)).expect("the port that could be had was given back");
    drop(taken);
    world.ctl(["add-forward", "-L", &good, "-L", &bad, "-D", "0", "prod"]).ok();
    assert_eq!(world.forwards().len(), 3);
}

#[test]
fn a_taken_name_is_a_conflict() {
    let (world, _sshd) = real_world();
    world.add("web", &["-L", "0:localhost:80", "prod"]);

    let refused = world.ctl(["add-forward", "--json", "--name", "web", "-L", "0:localhost:81", "prod"]).exits(5);

    assert_eq!(refused.error_code(), "name_in_use");
    assert_eq!(world.forwards().len(), 1);
    assert_eq!(world.forward("web")["target_port"], 80);
}

#[test]
fn remove_answers_after_the_port_is_free() {
    let (world, _sshd) = real_world();
    let echo = targets::echo();
    for n in 0..10 {
        let target = format!("127.0.0.1:{}", echo.port());
        let local = world.add_active("local", &["-L", &format!("0:{target}"), "prod"]);
        let remote = world.add_active("remote", &["-R", &format!("0:{target}"), "prod"]);
        let (local, remote) = (port_of(&local), port_of(&remote));
        let _open = (connect(local), connect(remote));

        world.ctl(["remove-forward", "local", "remote"]).ok();

        for (side, port) in [("local", local), ("remote", remote)] {
            TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| panic!("{side} port, round {n}: {error}"));
        }
    }
    assert_eq!(world.forwards().len(), 0);
}

#[test]
fn stop_frees_the_port_and_start_takes_it_again() {
    let (world, _sshd) = real_world();
    let echo = targets::echo();
    let forward = world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let port = port_of(&forward);

    world.ctl(["stop", "web"]).ok();

    assert_eq!(world.forward("web")["status"], "stopped");
    TcpListener::bind(("127.0.0.1", port)).expect("a stopped rule gives its port back");
    world.ctl(["start", "web"]).ok();
    world.wait_status("web", "active");
    assert_eq!(world.port("web"), port);
    assert_echo(port);
    world.ctl(["restart", "web"]).ok();
    world.wait_status("web", "active");
    assert_echo(world.port("web"));
}

#[test]
fn a_stopped_rule_stays_stopped_over_a_restart() {
    let (world, sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    world.add("never", &["-L", "0:localhost:81", "prod", "--stopped"]);
    world.ctl(["stop", "web"]).ok();
    let logins = sshd.logins();

    world.restart();

    for name in ["web", "never"] {
        assert_eq!(world.forward(name)["status"], "stopped", "{name}");
    }
    assert_eq!(sshd.logins(), logins, "nothing wants the session");
    let left = world.ctl(["restart", "web"]).ok();
    assert_eq!((left.stdout.as_str(), &world.forward("web")["status"]), ("", &serde_json::json!("stopped")));
    assert!(left.stderr.contains("note: web is stopped and was left so"), "{}", left.stderr);
    world.ctl(["start", "web"]).ok();
    world.wait_status("web", "active");
}

#[test]
fn an_ephemeral_rule_is_forgotten_with_the_daemon() {
    let (world, _sshd) = real_world();
    world.add("keep", &["-L", "0:localhost:80", "prod"]);
    assert_eq!(world.add("drop", &["-L", "0:localhost:81", "prod", "--ephemeral"])["ephemeral"], true);

    world.restart();

    let names: Vec<_> = world.forwards().iter().map(|forward| forward["name"].clone()).collect();
    assert_eq!(names, ["keep"]);
}

#[test]
fn a_lazy_rule_connects_with_its_first_connection() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    let forward = world.add("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod", "--lazy"]);
    assert_eq!(forward["lazy"], true);
    assert_eq!(sshd.connections(), 0, "nobody needs the session yet");

    assert_echo(port_of(&forward));

    world.wait_status("web", "active");
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn a_lazy_session_ends_when_nobody_uses_it_and_comes_again() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    let to = format!("0:127.0.0.1:{}", echo.port());
    let forward = world.add("web", &["-L", &to, "prod", "--lazy", "--idle-timeout", "1"]);
    assert_echo(port_of(&forward));

    alknet_tests::wait::wait_until("the session ends", || sshd.session_pids().is_empty());

    assert_echo(port_of(&forward));
    assert_eq!(sshd.logins(), 2);
}

#[test]
fn what_was_asked_for_is_listed_after_a_restart() {
    let (world, _sshd) = real_world();
    let before = world.add(
        "web",
        &[
            "-L",
            "0:localhost:80",
            "prod",
            "--description",
            "the web",
            "--tag",
            "a",
            "--tag",
            "b",
            "--on-suspend",
            "refuse",
        ],
    );
    assert_eq!(before["tags"], json!(["a", "b"]));

    world.restart();

    let after = world.forward("web");
    for field in ["id", "description", "tags", "on_suspend", "lazy", "ephemeral", "bind_port"] {
        assert_eq!(after[field], before[field], "{field}");
    }
}

#[test]
fn a_rule_that_cannot_be_saved_is_refused() {
    if !can_be_root("a full disk is made with mount(8)") {
        return;
    }
    let world = World::new();
    let sshd = alknet_tests::Sshd::start(&world, "prod");
    let disk = SmallDisk::mounted(&world);
    world.start();
    world.add_active("before", &["-L", "0:localhost:80", "prod"]);
    disk.fill();
    let saved = fs::read(world.rules_path()).unwrap();

    let refused = world.ctl(["add-forward", "--json", "--name", "late", "-L", "0:localhost:81", "prod"]).exits(1);

    assert_eq!(refused.error_code(), "not_saved");
    let names = |world: &World| world.forwards().iter().map(|forward| forward["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&world), ["before"]);
    assert_eq!(world.forward("before")["status"], "active", "what runs goes on");
    assert_eq!(fs::read(world.rules_path()).unwrap(), saved, "nothing was overwritten");
    world.kill_9();
    world.start();
    assert_eq!(names(&world), ["before"]);
    disk.clear();
    world.add("late", &["-L", "0:localhost:81", "prod"]);
    assert_eq!(names(&world), ["before", "late"]);
    world.stop();
    drop((disk, sshd));
}

/// A file system of 256 KiB under the state directory of a world.
struct SmallDisk {
    place: std::path::PathBuf,
}

impl SmallDisk {
    fn mounted(world: &World) -> Self {
        let place = world.path("state");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=0700", "alknet-test"])
            .arg(&place)
            .status()
            .expect("mount can be started");
        assert!(mounted.success(), "a tmpfs can be mounted");
        SmallDisk { place }
    }

    fn fill(&self) {
        use std::io::Write;

        let mut ballast = fs::File::create(self.place.join("ballast")).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
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
