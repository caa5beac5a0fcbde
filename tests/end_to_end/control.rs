//! The control socket: slow, strange, foreign and hostile clients.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use alknet_proto::{Body, Operation, Output, StatusEvent};
use alknet_tests::raw::{self, RawClient};
use alknet_tests::world::can_be_root;
use alknet_tests::{CtlOutput, World};

/// Somebody else, on every Unix.
const NOBODY: u32 = 65534;

#[test]
fn a_slow_watcher_is_cut_off_and_others_are_not() {
    let world = World::with_daemon();
    let mut slow = RawClient::greeted(&world.socket());
    slow.send(&raw::request(1, Operation::Watch { selectors: Vec::new(), since: None, stats_ms: None }));
    let mut quick = world.watch();

    // Each round is 200 events, all of them 16,000: more than the daemon keeps for a client.
    let specs: Vec<String> = (0..100).map(|n| format!("0:target-{n}.invalid:80")).collect();
    let mut add = vec!["add-forward", "--stopped", "--tag", "many", "--description"];
    let description = "x".repeat(250);
    add.push(&description);
    for spec in &specs {
        add.extend(["-L", spec]);
    }
    add.push("nowhere.invalid");
    for _ in 0..80 {
        let begin = Instant::now();
        world.ctl(&add).ok();
        world.ctl(["remove-forward", "@many"]).ok();
        assert!(begin.elapsed() < Duration::from_secs(10), "a slow client slows the daemon");
    }

    world.ctl(["add-forward", "--stopped", "--name", "last", "-L", "0:localhost:80", "nowhere.invalid"]).ok();
    quick.until("the quick watcher sees the last rule", |event| {
        event["event"] == "forward_added" && event["forward"]["name"] == "last"
    });
    assert!(was_told_or_cut_off(&mut slow), "a watcher that missed something was never told so");
}

/// Whether the slow watcher finds a `lagged`, or the end of the connection, behind what was kept for it.
fn was_told_or_cut_off(slow: &mut RawClient) -> bool {
    loop {
        let Ok(message) = slow.read_message() else { return true };
        match message.body {
            Body::Responded(Output::Event(StatusEvent::Lagged(_))) | Body::Error(_) => return true,
            Body::Responded(Output::Event(StatusEvent::ForwardAdded(added)))
                if added.forward.name.as_str() == "last" =>
            {
                return false;
            }
            _ => {}
        }
    }
}

#[test]
fn a_client_of_another_version_is_told_so() {
    let world = World::with_daemon();
    let mut client = RawClient::connect(&world.socket());

    client.send(&raw::hello(900, 901));

    let hello = client.read_frame().unwrap();
    assert!(hello.starts_with(b"alknet"), "the daemon says who it is: {}", hello.escape_ascii());
    let verdict = String::from_utf8_lossy(&client.read_frame().unwrap()).into_owned();
    assert!(verdict.contains("version_mismatch"), "{verdict:?}");
    assert!(verdict.contains("900"), "{verdict:?} names the version of the client");
    assert_eq!(client.read_to_end(), b"", "nothing follows");
    world.ctl(["ping"]).ok();
}

#[test]
fn a_daemon_of_another_version_is_a_conflict() {
    use std::io::Read;

    let world = World::new();
    fs::create_dir(world.path("run/alknet")).unwrap();
    fs::set_permissions(world.path("run/alknet"), Permissions::from_mode(0o700)).unwrap();
    let listener = UnixListener::bind(world.socket()).unwrap();
    let daemon = std::thread::spawn(move || {
        let mut client = RawClient(listener.accept().unwrap().0);
        client.read_frame().unwrap();
        client.send(&raw::hello(900, 901));
        let mut verdict = vec![1, 16];
        verdict.extend(b"version_mismatch\x00\x14upgrade your client.");
        client.send(&raw::framed(&verdict));
        let _ = client.0.read_to_end(&mut Vec::new());
    });

    let refused = world.ctl(["list-forwards", "--json"]).exits(5);

    assert_eq!(refused.error_code(), "version_mismatch");
    daemon.join().unwrap();
}

#[test]
fn another_user_is_refused() {
    if !can_be_root("only root can become another user") {
        return;
    }
    let world = World::with_daemon();
    let knock = world.path("knock");
    fs::copy(env!("CARGO_BIN_EXE_knock"), &knock).unwrap();
    let ctl = world.path("alknetctl");
    fs::copy(&alknet_tests::programs::programs().alknetctl, &ctl).unwrap();
    let foreign = |program: &std::path::Path, arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("HOME", "/nonexistent").current_dir("/").uid(NOBODY).gid(NOBODY);
        CtlOutput::of(command)
    };
    let socket = world.socket();

    for open in [world.path(""), knock.clone(), ctl.clone()] {
        fs::set_permissions(open, Permissions::from_mode(0o755)).unwrap();
    }
    let outside = foreign(&knock, &[socket.as_os_str()]);
    assert_eq!(outside.stdout, "cannot connect\n", "the directory keeps others out");

    for loosened in [world.path("run"), world.path("run/alknet"), socket.clone()] {
        fs::set_permissions(loosened, Permissions::from_mode(0o777)).unwrap();
    }
    let refused = foreign(&knock, &[socket.as_os_str()]).ok();
    let is_told_nothing = refused.stdout.starts_with("0 bytes") || refused.stdout.contains("forbidden");
    assert!(is_told_nothing, "the daemon talks to another user: {refused:#?}");
    let told = foreign(&ctl, &["--socket".as_ref(), socket.as_os_str(), "ping".as_ref()]);
    assert_eq!(told.code, 7, "{told:#?}");
    world.ctl(["ping"]).ok();
}

#[test]
fn a_client_in_another_process_namespace_is_served() {
    if !can_be_root("only root can make a namespace everywhere") {
        return;
    }
    let world = World::with_daemon();
    let mut command = world.command(std::path::Path::new("unshare"));
    command.args(["--pid", "--fork"]).arg(&alknet_tests::programs::programs().alknetctl).arg("ping");

    CtlOutput::of(command).ok();
}

#[test]
fn garbage_on_the_socket_ends_that_connection_only() {
    let world = World::with_daemon();
    let mut endless = vec![0xFF; 64];
    endless.extend([0; 64]);

    for (what, bytes) in [
        ("a web request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a length of 0", vec![0, 0, 0, 0]),
        ("a length of 2 MiB", vec![0, 0x20, 0, 0]),
        ("the longest length", endless),
        ("a hello that is none", raw::framed(b"hello, daemon")),
    ] {
        let mut client = RawClient::connect(&world.socket());
        client.send(&bytes);
        client.read_to_end();
        assert_eq!(world.ctl(["ping"]).code, 0, "after {what}");
    }
    for (what, bytes) in [
        ("a length of 0", vec![0, 0, 0, 0]),
        ("a length of 2 MiB", vec![0, 0x20, 0, 0]),
        ("a message that is none", raw::framed(&[0xFF; 40])),
    ] {
        let mut client = RawClient::greeted(&world.socket());
        client.send(&bytes);
        let said = client.read_to_end();
        assert!(!said.is_empty(), "after a greeting {what} ends the connection with a reason");
        assert_eq!(world.ctl(["ping"]).code, 0, "after {what}");
    }
}

#[test]
fn a_client_that_says_nothing_is_not_waited_for_for_ever() {
    let world = World::with_daemon();
    let mut silent = RawClient::connect(&world.socket());

    let begin = Instant::now();
    silent.read_to_end();

    assert!(begin.elapsed() < Duration::from_secs(15), "took {:?}", begin.elapsed());
}

#[test]
fn half_a_frame_and_a_dead_client_disturb_nobody() {
    let world = World::with_daemon();
    for n in 0..50 {
        let mut client = RawClient::greeted(&world.socket());
        let request = raw::ping(1);
        client.send(&request[..n % request.len()]);
    }

    world.ctl(["ping"]).ok();
}

#[test]
fn watch_resumes_where_it_was() {
    let world = World::with_daemon();
    let mut watch = world.watch();
    world.ctl(["add-forward", "--stopped", "--name", "one", "-L", "0:localhost:80", "nowhere.invalid"]).ok();
    let one = watch.until("one is added", |event| event["event"] == "forward_added");
    world.ctl(["add-forward", "--stopped", "--name", "two", "-L", "0:localhost:80", "nowhere.invalid"]).ok();
    let two =
        watch.until("two is added", |event| event["event"] == "forward_added" && event["forward"]["name"] == "two");

    let since = one.event["seq"].to_string();
    let mut resumed = world.watch_with(&["--since", &since]);

    let first = resumed.until("the first event", |_| true);
    assert!(one.event["seq"].as_u64() < first.event["seq"].as_u64(), "{}", first.event);
    assert_ne!(first.event["event"], "snapshot", "the daemon remembers what is so recent");
    if first.event != two.event {
        resumed.until("two is told again", |event| *event == two.event);
    }
    let mut too_old = world.watch_with(&["--since", "99999999"]);
    let first = too_old.until("the first event", |_| true);
    assert_eq!(first.event["event"], "snapshot", "what the daemon does not know begins anew");
    let said = std::fs::read_to_string(world.path("watch.log")).unwrap();
    assert!(said.contains("does not remember what came behind 99999999"), "{said}");
    assert!(!said.contains(&format!("behind {since}")), "{said}");
}
