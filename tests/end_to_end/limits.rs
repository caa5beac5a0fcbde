//! Limits that a person chose: each is visible, and who meets one is told.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use alknet_tests::load::{assert_echo, connect};
use alknet_tests::wait::wait_for;
use alknet_tests::{Sshd, World, targets};

#[test]
fn a_limit_that_was_chosen_is_shown_and_whoever_meets_it_is_told_its_name() {
    let world = World::new();
    let _sshd = Sshd::start(&world, "prod");
    std::fs::create_dir_all(world.config_path().parent().unwrap()).unwrap();
    let settings = "max_sessions = 1\nmax_connections_per_rule = 1\nbusy_channels_per_session = 5\n";
    std::fs::write(world.config_path(), settings).unwrap();
    world.start();
    let echo = targets::echo();
    let to = format!("0:127.0.0.1:{}", echo.port());
    world.add_active("web", &["-L", &to, "prod"]);

    let limits = world.ctl(["status", "--json"]).ok().json()["daemon"]["limits"].clone();
    let names = ["max_sessions", "max_connections_per_rule", "busy_channels_per_session", "handshakes_per_minute"];
    assert_eq!(names.map(|name| limits[name].as_u64()), [Some(1), Some(1), Some(5), Some(6)], "{limits}");

    assert_echo(world.port("web"));
    let one = connect(world.port("web"));
    wait_for("it is open", || (world.forward("web")["stats"]["connections_active"] == 1).then_some(()));
    // The reset may come while connecting.
    let refused =
        TcpStream::connect(("127.0.0.1", world.port("web"))).and_then(|mut refused| refused.read(&mut [0; 1]));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let refusal = world.ctl(["show", "web", "--json"]).ok().json()["last_refusal"].clone();
    assert_eq!(refusal["reason"]["code"], "session_limit", "{refusal}");
    let message = refusal["reason"]["message"].as_str().unwrap();
    assert!(message.starts_with("1 connection of") && message.contains("max_connections_per_rule"), "{message}");
    drop(one);

    world.ctl(["add", "--name", "late", "-L", &to, "other"]).ok();
    let late = wait_for("there is no room", || {
        let late = world.forward("late");
        (late["status"] == "suspended").then_some(late)
    });
    assert_eq!(late["reason"]["code"], "session_limit", "{late}");
    let message = late["reason"]["message"].as_str().unwrap();
    assert!(message.starts_with("1 session is") && message.contains("max_sessions"), "{message}");
}
