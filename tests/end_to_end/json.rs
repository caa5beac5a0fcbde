//! The JSON that programs outside this repository are written against, field by field.

use std::net::TcpStream;

use alknet_tests::load::assert_echo;
use alknet_tests::ports::free_port;
use alknet_tests::wait::wait_for;
use alknet_tests::{World, targets};
use serde_json::{Map, Value, json};

use crate::real_world;

const FORWARD: [&str; 21] = [
    "id",
    "name",
    "kind",
    "destination",
    "bind_address",
    "bind_port",
    "bind_path",
    "target_host",
    "target_port",
    "target_path",
    "status",
    "reason",
    "since",
    "attempt",
    "retry_at",
    "description",
    "tags",
    "lazy",
    "ephemeral",
    "on_suspend",
    "stats",
];
const STATS: [&str; 5] =
    ["connections_active", "connections_total", "connections_refused", "bytes_sent", "bytes_received"];
const SESSION: [&str; 14] = [
    "destination",
    "state",
    "reason",
    "since",
    "attempt",
    "retry_at",
    "peer",
    "user",
    "server_version",
    "algorithms",
    "round_trip_ms",
    "channels",
    "bytes_sent",
    "bytes_received",
];
const REASON: [&str; 4] = ["stage", "code", "message", "hint"];

/// Adding fields is fine; one that is promised has to be there.
#[track_caller]
fn has(object: &Value, fields: &[&str]) {
    let object = object.as_object().unwrap_or_else(|| panic!("no object: {object}"));
    for field in fields {
        assert!(object.contains_key(*field), "`{field}` is missing in {object:#?}");
    }
}

#[track_caller]
fn is_time(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let is_utc = text.len() >= 20 && text.ends_with('Z') && &text[4..5] == "-" && &text[10..11] == "T";
    assert!(is_utc, "{text} is no time like 2026-01-31T12:00:00Z");
}

#[test]
fn a_forward_is_listed_and_shown_with_every_field() {
    let (world, _sshd) = real_world();
    let echo = targets::echo();
    assert_eq!(world.ctl(["list-forwards", "--json"]).ok().stdout.trim(), "[]", "an empty list is an empty array");
    let spec = format!("0:127.0.0.1:{}", echo.port());
    let forward = world.add_active("web", &["-L", &spec, "prod", "--description", "the web", "--tag", "site"]);

    has(&forward, &FORWARD);
    has(&forward["stats"], &STATS);
    is_time(&forward["since"]);
    let mut known = forward.as_object().unwrap().clone();
    for varies in ["id", "bind_port", "since"] {
        known.remove(varies);
    }
    let expected: Map<String, Value> = json!({
        "name": "web", "kind": "local", "destination": "prod", "bind_address": "127.0.0.1", "bind_path": null,
        "target_host": "127.0.0.1", "target_port": echo.port(), "target_path": null, "status": "active",
        "reason": null, "attempt": 0, "retry_at": null, "description": "the web", "tags": ["site"], "lazy": false,
        "ephemeral": false, "on_suspend": "hold=10", "reclaim": false,
        "stats": { "connections_active": 0, "connections_total": 0, "connections_refused": 0,
                   "bytes_sent": 0, "bytes_received": 0 },
    })
    .as_object()
    .unwrap()
    .clone();
    assert_eq!(known, expected);
    let shown = world.ctl(["show", "web", "--json"]).ok().json();
    for (field, value) in forward.as_object().unwrap() {
        assert_eq!(&shown[field], value, "show has the same {field}");
    }
}

#[test]
fn socks_rules_and_sockets_have_their_own_shape() {
    let world = World::with_daemon();
    for (name, arguments) in [
        ("dynamic", vec!["-D", "0"]),
        ("remote_dynamic", vec!["-R", "1080"]),
        ("remote", vec!["-R", "8080:localhost:80"]),
        ("socket", vec!["-L", "/tmp/never.sock:/tmp/target.sock"]),
    ] {
        let mut add = vec!["add-forward", "--stopped", "--name", name, "nowhere.invalid"];
        add.extend(arguments);
        world.ctl(add).ok();
    }

    for name in ["dynamic", "remote_dynamic", "remote"] {
        assert_eq!(world.forward(name)["kind"], name);
        assert_eq!(world.forward(name)["status"], "stopped");
    }
    for name in ["dynamic", "remote_dynamic"] {
        let forward = world.forward(name);
        assert_eq!((&forward["target_host"], &forward["target_port"]), (&json!(""), &json!(0)), "{name}");
    }
    let socket = world.forward("socket");
    assert_eq!(socket["bind_path"], "/tmp/never.sock");
    assert_eq!(socket["target_path"], "/tmp/target.sock");
    assert_eq!(socket["bind_port"], 0);
}

#[test]
fn status_has_daemon_sessions_forwards_and_prompts() {
    let (world, sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    assert_echo(world.port("web"));

    let status = world.ctl(["status", "--json"]).ok().json();

    has(&status, &["daemon", "sessions", "forwards", "prompts"]);
    has(&status["daemon"], &["version", "pid", "uptime_seconds", "protocol"]);
    assert_eq!(status["daemon"]["pid"], world.daemon_pid());
    assert_eq!(status["prompts"], json!([]));
    has(&status["forwards"][0], &FORWARD);
    let session = &status["sessions"][0];
    has(session, &SESSION);
    assert_eq!(session["destination"], "prod");
    assert_eq!(session["state"], "active");
    assert_eq!(session["reason"], Value::Null);
    assert_eq!(session["user"], alknet_tests::world::current_user());
    assert_eq!(session["peer"], format!("127.0.0.1:{}", sshd.port()));
    assert!(session["server_version"].as_str().unwrap().contains("OpenSSH"), "{session:#}");
    has(&session["algorithms"], &["kex", "host_key", "cipher"]);
    assert_eq!(session["algorithms"]["host_key"], "ssh-ed25519");
    is_time(&session["since"]);
    assert_eq!(world.ctl(["list-sessions", "--json"]).ok().json()[0]["destination"], "prod");
}

#[test]
fn reasons_and_times_are_there_while_a_rule_is_down() {
    let (world, mut sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    sshd.kill_all();

    let forward = world.wait_forward("web", "a try has failed", |f| f["reason"]["code"] == "connection_refused");

    assert_eq!(forward["status"], "suspended");
    has(&forward["reason"], &REASON);
    assert_eq!(forward["reason"]["stage"], "tcp");
    assert!(1 <= forward["attempt"].as_u64().unwrap(), "{forward:#}");
    let session = world.session("prod");
    has(&session, &SESSION);
    assert!(["suspended", "connecting"].contains(&session["state"].as_str().unwrap()), "{session:#}");
    has(&session["reason"], &REASON);
}

#[test]
fn every_event_of_a_watch_has_its_fields() {
    let (world, sshd) = real_world();
    let mut watch = world.watch();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    sshd.kill_sessions();
    watch.until_forward("web", "suspended");
    watch.until_forward("web", "active");
    world.ctl(["remove-forward", "web"]).ok();
    watch.until("the rule is gone", |event| event["event"] == "forward_removed");

    let mut kinds = Vec::new();
    for seen in watch.seen() {
        let event = &seen.event;
        let kind = event["event"].as_str().unwrap();
        kinds.push(kind);
        match kind {
            "snapshot" => has(event, &["seq", "forwards", "sessions"]),
            "forward_added" => {
                has(event, &["seq", "at", "forward"]);
                has(&event["forward"], &FORWARD);
            }
            "forward_removed" => has(event, &["seq", "at", "id", "name"]),
            "forward_status" => {
                has(event, &["seq", "at", "id", "name", "from", "to", "reason", "retry_at"]);
                is_time(&event["at"]);
            }
            "session_status" => has(event, &["seq", "at", "destination", "from", "to", "reason"]),
            "heartbeat" => has(event, &["seq"]),
            other => panic!("an event that nobody knows: {other}"),
        }
    }
    for kind in ["snapshot", "forward_added", "forward_removed", "forward_status", "session_status"] {
        assert!(kinds.contains(&kind), "{kind} was never told\n{}", watch.story());
    }
    assert_eq!(kinds[0], "snapshot");
    // Every change counts one, and none is missing.
    let seqs: Vec<u64> = watch.seen().iter().filter_map(|seen| seen.event["seq"].as_u64()).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{seqs:?}");
}

#[test]
fn stats_come_when_they_are_asked_for() {
    let (world, _sshd) = real_world();
    let echo = targets::echo();
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", echo.port()), "prod"]);
    let mut watch = world.watch_with(&["--stats=1"]);

    assert_echo(world.port("web"));

    watch.until("the counters have seen it", |event| {
        event["event"] == "stats"
            && event["forwards"][0]["name"] == "web"
            && event["forwards"][0]["stats"]["bytes_received"] == 16
    });
}

#[test]
fn every_other_verb_prints_one_json_value() {
    let (world, _sshd) = real_world();
    let added = world.ctl(["add-forward", "--json", "--name", "web", "-L", "0:localhost:80", "prod", "--wait"]).ok();
    has(&added.json()[0], &FORWARD);
    assert_eq!(added.json()[0]["status"], "active");

    for verb in ["stop", "start", "restart"] {
        let changed = world.ctl([verb, "--json", "web"]).ok().json();
        has(&changed[0], &["id", "name"]);
    }
    let waited = world.ctl(["wait", "--json", "web", "--timeout", "20"]).ok().json();
    has(&waited[0], &FORWARD);
    world.wait_status("web", "active");
    assert_eq!(world.ctl(["retry", "--json", "prod"]).ok().json(), json!([]), "nothing was down");
    assert_eq!(world.ctl(["disconnect", "--json", "prod"]).ok().json(), json!(["prod"]));
    assert_eq!(world.ctl(["retry", "--json", "prod"]).ok().json(), json!(["prod"]));
    has(&world.ctl(["ping", "--json"]).ok().json(), &["ok"]);
    let version = world.ctl(["version", "--json"]).ok().json();
    has(&version["client"], &["version", "protocol"]);
    has(&version["daemon"], &["version", "protocol"]);
    assert_eq!(world.ctl(["remove-forward", "--json", "web"]).ok().json()[0]["name"], "web");
    has(&world.ctl(["shutdown", "--json"]).ok().json(), &["ok"]);
}

#[test]
fn an_error_has_its_four_fields() {
    let world = World::with_daemon();

    let refused = world.ctl(["show", "--json", "nothing"]).exits(4);

    has(&refused.json()["error"], &["code", "message", "hint", "stage"]);
}

#[test]
fn the_last_connection_that_was_refused_is_kept_with_its_reason() {
    let (world, _sshd) = real_world();
    let forward = world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", free_port()), "prod"]);
    assert_eq!(world.ctl(["show", "web", "--json"]).ok().json()["last_refusal"], Value::Null);

    let port = u16::try_from(forward["bind_port"].as_u64().unwrap()).unwrap();
    let _refused = TcpStream::connect(("127.0.0.1", port)).unwrap();

    let refusal = wait_for("the refusal is kept", || {
        let shown = world.ctl(["show", "web", "--json"]).ok().json();
        Some(shown["last_refusal"].clone()).filter(|refusal| !refusal.is_null())
    });
    has(&refusal, &["at", "reason"]);
    assert_eq!(
        (&refusal["reason"]["stage"], &refusal["reason"]["code"]),
        (&json!("target"), &json!("connection_refused"))
    );
    let shown = world.ctl(["show", "web"]).ok().stdout;
    assert!(shown.contains("\nrefused last  "), "{shown}");
}

#[test]
fn what_is_over_is_null() {
    let (world, _sshd) = real_world();
    let mut watch = world.watch();
    let added = world.add("web", &["-L", "0:localhost:80", "prod"]);
    let active = watch.until_forward("web", "active");
    assert_eq!(active.event["bind_port"], added["bind_port"]);
    let session = || world.ctl(["list-sessions", "--json"]).ok().json()[0].clone();
    wait_for("the round trip is measured", || session()["round_trip_ms"].as_f64());
    world.ctl(["status", "--check", "-q"]).ok();

    world.ctl(["disconnect", "prod"]).ok();

    for field in ["round_trip_ms", "algorithms", "peer"] {
        assert_eq!(session()[field], Value::Null, "{field}");
    }
    let checked = world.ctl(["status", "--check", "-q"]).exits(3);
    assert_eq!((checked.stdout.as_str(), checked.stderr.as_str()), ("", ""));
}
