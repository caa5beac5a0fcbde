//! alknetd as a service of a real `systemd --user`, with the unit file that is shipped.

use std::fs;
use std::path::Path;

use alknet_tests::ctl::CtlOutput;
use alknet_tests::load::assert_echo;
use alknet_tests::systemd_user::install_unit;
use alknet_tests::wait::wait_until;
use alknet_tests::world::can_be_root;
use alknet_tests::{Sshd, SystemdUser, World, targets};
use serde_json::Value;

const WHY_ROOT: &str = "a service manager in namespaces of its own needs it";

/// A user whose service manager runs alknetd.
fn with_service(world: &World) -> SystemdUser<'_> {
    install_unit(world);
    let manager = SystemdUser::start(world);
    manager.systemctl(["enable", "--now", "alknetd"]).ok();
    manager
}

#[test]
fn the_unit_file_is_taken_without_a_word() {
    let world = World::new();
    let unit = install_unit(&world);
    let mut command = world.command(Path::new("systemd-analyze"));

    let verified = CtlOutput::of({
        command.args(["verify", "--user", "--man=no"]).arg(&unit);
        command
    })
    .ok();

    let of_ours: Vec<&str> = verified.stderr.lines().filter(|line| line.contains("alknetd")).collect();
    assert_eq!(of_ours, Vec::<&str>::new());
}

#[test]
fn a_started_service_serves_at_once_and_carries_bytes() {
    if !can_be_root(WHY_ROOT) {
        return;
    }
    let world = World::new();
    let _sshd = Sshd::start(&world, "prod");
    let echo = targets::echo();

    let manager = with_service(&world);

    // Nothing waits here: systemd itself waits until alknetd says that it serves.
    let status = world.ctl(["status", "--json"]).ok().json();
    assert_eq!(manager.property("ActiveState"), "active");
    assert_eq!(manager.property("Type"), "notify");
    assert_eq!(manager.property("MainPID"), status["daemon"]["pid"].to_string());
    assert!(manager.was_notified("READY=1"), "{:#?}", manager.notes());
    manager.systemctl(["is-enabled", "alknetd"]).ok();
    let forward = world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    assert_echo(alknet_tests::world::port_of(&forward));
}

#[test]
fn under_systemd_the_log_goes_to_the_journal_with_its_fields() {
    if !can_be_root(WHY_ROOT) {
        return;
    }
    let world = World::new();

    let manager = with_service(&world);

    let record = manager.wait_journal("serving");
    assert_eq!(record["_TRANSPORT"], "journal", "it is a record of alknetd's own, not a line of its stderr");
    assert_eq!(record["PRIORITY"], "5", "info is «normal but significant»");
    assert_eq!(record["ALKNET_SOCKET"], world.socket().display().to_string());
    assert_eq!(record["_PID"], manager.property("MainPID"));
}

#[test]
fn the_journal_can_be_turned_off() {
    if !can_be_root(WHY_ROOT) {
        return;
    }
    let world = World::new();
    fs::create_dir_all(world.path("config/alknet")).unwrap();
    fs::write(world.config_path(), "log_format = \"json\"\n").unwrap();

    let manager = with_service(&world);

    // systemd puts each line of stderr into the journal as it is.
    let mut lines: Vec<Value> = Vec::new();
    wait_until("the journal has alknetd's JSON lines", || {
        lines = manager.journal();
        !lines.is_empty()
    });
    assert_eq!(lines[0]["_TRANSPORT"], "stdout");
    let line: Value = serde_json::from_str(lines[0]["MESSAGE"].as_str().unwrap()).unwrap();
    assert_eq!(line["level"], "INFO", "{line}");
}

#[test]
fn a_restarted_service_has_its_rules_again() {
    if !can_be_root(WHY_ROOT) {
        return;
    }
    let world = World::new();
    let _sshd = Sshd::start(&world, "prod");
    let echo = targets::echo();
    let manager = with_service(&world);
    let before = world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let pid = manager.property("MainPID");

    manager.systemctl(["restart", "alknetd"]).ok();

    assert_ne!(manager.property("MainPID"), pid);
    assert_eq!(world.forward("web")["id"], before["id"]);
    world.wait_status("web", "active");
    assert_echo(world.port("web"));
}

#[test]
fn a_reload_of_the_service_keeps_its_process() {
    if !can_be_root(WHY_ROOT) {
        return;
    }
    let world = World::new();
    let manager = with_service(&world);
    let pid = manager.property("MainPID");

    manager.systemctl(["reload", "alknetd"]).ok();

    manager.wait_journal("configuration reloaded");
    assert_eq!(manager.property("MainPID"), pid);
    assert_eq!(manager.property("ActiveState"), "active");
}

#[test]
fn a_stopped_service_ends_in_order() {
    if !can_be_root(WHY_ROOT) {
        return;
    }
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    let manager = with_service(&world);
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    manager.systemctl(["stop", "alknetd"]).ok();

    assert_ended_in_order(&manager);
    assert!(!world.socket().exists(), "the socket is gone");
    wait_until("the session ends at the server", || sshd.session_pids().is_empty());
    assert_eq!(manager.wait_journal("stopped")["_TRANSPORT"], "journal");
}

#[test]
fn a_shutdown_by_alknetctl_is_no_failure_to_systemd() {
    if !can_be_root(WHY_ROOT) {
        return;
    }
    let world = World::new();
    let manager = with_service(&world);

    world.ctl(["shutdown"]).ok();

    manager.wait_property("ActiveState", "inactive");
    assert_ended_in_order(&manager);
    assert_eq!(manager.property("NRestarts"), "0");
}

#[test]
fn systemd_brings_a_killed_daemon_back_with_its_rules() {
    if !can_be_root(WHY_ROOT) {
        return;
    }
    let world = World::new();
    let _sshd = Sshd::start(&world, "prod");
    let echo = targets::echo();
    let manager = with_service(&world);
    let before = world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);

    manager.systemctl(["kill", "--signal=KILL", "alknetd"]).ok();

    manager.wait_property("NRestarts", "1");
    manager.wait_property("ActiveState", "active");
    assert_eq!(world.forward("web")["id"], before["id"]);
    world.wait_status("web", "active");
    assert_echo(world.port("web"));
}

#[test]
fn a_configuration_that_cannot_be_used_is_not_tried_again_and_again() {
    if !can_be_root(WHY_ROOT) {
        return;
    }
    let world = World::new();
    fs::create_dir_all(world.path("config/alknet")).unwrap();
    fs::write(world.config_path(), "keepalive = 3\n").unwrap();
    install_unit(&world);
    let manager = SystemdUser::start(&world);

    let started = manager.systemctl(["start", "alknetd"]);

    assert_ne!(started.code, 0, "{started:#?}");
    manager.wait_property("ActiveState", "failed");
    assert_eq!(manager.property("Result"), "exit-code");
    assert_eq!(manager.property("ExecMainStatus"), "2");
    assert_eq!(manager.property("NRestarts"), "0");
    let said = manager.wait_journal_line("config.toml:1");
    assert!(said.contains("keepalive"), "{said}");
}

#[track_caller]
fn assert_ended_in_order(manager: &SystemdUser<'_>) {
    let shown = ["ActiveState", "Result", "ExecMainStatus"].map(|name| manager.property(name));
    assert_eq!(shown, ["inactive", "success", "0"]);
    assert!(manager.was_notified("STOPPING=1"), "{:#?}", manager.notes());
}
