//! `watch --stats`: what every rule carries is exact, whatever the sessions do, and the rates are those of the time between.

use std::io::Read;

use alknet_tests::content::Content;
use alknet_tests::load::{connect, echoes_whole};
use alknet_tests::wait::wait_for;
use alknet_tests::watch::Seen;
use alknet_tests::{Watch, socks, targets};
use serde_json::Value;

use crate::real_world;

/// What one `stats` event says of the forward `name`; null if it does not name it.
fn of<'a>(event: &'a Value, name: &str) -> &'a Value {
    let forwards = event["forwards"].as_array().map_or(&[][..], Vec::as_slice);
    forwards.iter().find(|forward| forward["name"] == name).unwrap_or(&Value::Null)
}

fn until_carried(watch: &mut Watch, name: &str, sent: u64, received: u64) -> Seen {
    watch.until(&format!("{name} has carried {sent} and {received} bytes"), |event| {
        let stats = &of(event, name)["stats"];
        event["event"] == "stats" && stats["bytes_sent"] == sent && stats["bytes_received"] == received
    })
}

/// What the rates of all events come to, each times its interval: bytes sent and received, and connections.
fn summed_up(watch: &Watch, name: &str) -> (f64, f64, f64) {
    let events = watch.seen().iter().map(|seen| &seen.event).filter(|event| event["event"] == "stats");
    events.fold((0.0, 0.0, 0.0), |(sent, received, connections), event| {
        let (rates, seconds) = (&of(event, name)["rates"], event["interval_seconds"].as_f64().unwrap());
        let grown = |figure: &str| rates[figure].as_f64().unwrap_or(0.0) * seconds;
        (
            sent + grown("bytes_sent_per_second"),
            received + grown("bytes_received_per_second"),
            connections + grown("connections_per_second"),
        )
    })
}

fn assert_near(actual: f64, expected: f64, what: &str) {
    // Rates are rounded to whole bytes, once for each event.
    assert!((actual - expected).abs() < 50.0, "{what}: {actual}, not {expected}");
}

#[test]
fn figures_are_exact_over_several_sessions_and_reconnects_for_every_kind_of_rule() {
    const DOWNLOAD: usize = 40 << 20;
    let (world, sshd) = real_world();
    let (echo, source) = (targets::echo(), targets::source(5, DOWNLOAD));
    let to_echo = format!("0:127.0.0.1:{}", echo.port());
    world.add_active("slow", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    world.add_active("here", &["-L", &to_echo, "prod"]);
    world.add_active("back", &["-R", &to_echo, "prod"]);
    world.add_active("proxy", &["-D", "0", "prod"]);
    let mut watch = world.watch_with(&["--stats=0.2"]);
    let carry = |seed: u64| {
        let bytes = Content::bytes(seed, 1_234_567);
        echoes_whole(connect(world.port("here")), &bytes).unwrap();
        let wanted = socks::Wanted::Name("localhost");
        echoes_whole(socks::through(world.port("proxy"), &wanted, echo.port()), &bytes).unwrap();
    };

    let carry_back = |seed: u64| {
        echoes_whole(connect(world.port("back")), &Content::bytes(seed, 1_234_567)).unwrap();
    };

    carry(1);
    carry_back(1);
    let mut paused = connect(world.port("slow"));
    paused.read_exact(&mut [0]).unwrap();
    wait_for("the session is sealed", || (world.session("prod")["links"][0]["sealed"] == true).then_some(()));
    carry(2);
    assert!(2 <= sshd.logins(), "a further session carries what comes beside the sealed one");
    let mut rest = Vec::new();
    paused.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1, DOWNLOAD);
    drop(paused);
    assert!(0 < sshd.kill_sessions());
    watch.until("the session is lost", |event| event["event"] == "session_status" && event["to"] == "suspended");
    for name in ["here", "back", "proxy"] {
        world.wait_status(name, "active");
    }
    carry(3);
    carry_back(3);

    for (name, n_times) in [("here", 3), ("back", 2), ("proxy", 3)] {
        let each = n_times * 1_234_567;
        let told = until_carried(&mut watch, name, each, each);
        assert_eq!(of(&told.event, name)["stats"], world.forward(name)["stats"]);
        let (sent, received, connections) = summed_up(&watch, name);
        assert_near(sent, each as f64, name);
        assert_near(received, each as f64, name);
        assert!((connections - n_times as f64).abs() < 0.1, "{name}: {connections} connections");
    }
    let (_, received, _) = summed_up(&watch, "slow");
    assert_near(received, DOWNLOAD as f64, "slow");
    let at_rest = watch.until("nothing moves any more", |event| {
        event["event"] == "stats" && of(event, "proxy")["rates"]["bytes_sent_per_second"] == 0
    });
    assert_eq!(of(&at_rest.event, "proxy")["stats"]["bytes_sent"], 3 * 1_234_567);
}

#[test]
fn figures_are_those_of_the_selected_rules_only() {
    let (world, _sshd) = real_world();
    let echo = targets::echo();
    let to_echo = format!("0:127.0.0.1:{}", echo.port());
    world.add_active("web", &["--tag", "shown", "-L", &to_echo, "prod"]);
    world.add_active("db", &["-L", &to_echo, "prod"]);
    let mut watch = world.watch_with(&["@shown", "--stats=0.2"]);
    let names = |event: &Value| -> Vec<String> {
        let forwards = event["forwards"].as_array().unwrap();
        forwards.iter().map(|forward| forward["name"].as_str().unwrap().to_owned()).collect()
    };

    let first = watch.until("figures come", |event| event["event"] == "stats");
    world.add_active("ci", &["--tag", "shown", "-L", &to_echo, "prod"]);
    echoes_whole(connect(world.port("ci")), &[7; 100]).unwrap();
    let later = until_carried(&mut watch, "ci", 100, 100);

    assert_eq!(names(&first.event), ["web"]);
    assert_eq!(names(&later.event), ["web", "ci"]);
    let (sent, ..) = summed_up(&watch, "ci");
    assert_near(sent, 100.0, "a rule that came meanwhile began at zero");
}

#[test]
fn a_person_reads_how_fast_it_goes() {
    let (world, _sshd) = real_world();
    let source = targets::source(5, 64 << 20);
    world.add_active("web", &["-L", &format!("0:127.0.0.1:{}", source.port()), "prod"]);
    let mut command = world.ctl_command();
    let mut watching =
        command.args(["watch", "web", "--stats=0.2"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watching.stdout.take().unwrap()));

    connect(world.port("web")).read_to_end(&mut Vec::new()).unwrap();
    let fast = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("MiB/s down")));
    let whole = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(" 0 B/s down")));

    let fast = fast.unwrap().unwrap();
    assert!(fast.contains("  web  ") && fast.contains(", 0 B/s up, "), "{fast}");
    let whole = whole.unwrap().unwrap();
    assert!(whole.ends_with("0 connections, 0 B/s down, 0 B/s up, 64.0 MiB received, 0 B sent"), "{whole}");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn an_interval_that_makes_no_sense_gets_one_line_and_a_hint() {
    let (world, _sshd) = real_world();
    for wrong in ["0", "-1", "0.01", "86401", "99999999999999999999", "soon", "1e3", "nan", "2s", ""] {
        let refused = world.ctl(["watch", &format!("--stats={wrong}")]).exits(2);

        let lines: Vec<&str> = refused.stderr.lines().collect();
        assert_eq!(lines.len(), 3, "{wrong}: {}", refused.stderr);
        assert!(lines[0].starts_with("error: ") && lines[0].contains("0.1 to 86400 seconds"), "{wrong}: {}", lines[0]);
        assert_eq!(lines[2], "hint: `--stats=5` prints what the forwards carry every 5 seconds");
    }
}
