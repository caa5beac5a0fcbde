//! Outages and availability, computed from lines: what happened on the left, what is measured below.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_860_800 + second).unwrap()
}

fn code(word: &str) -> Reason {
    Reason::new(Stage::Tcp, Code::from_word(word).unwrap(), word)
}

/// `10 suspended timed_out`, `20 started 15`, `30 stopped`; a rule that a person stopped is `halted`.
fn record(line: &str) -> Record {
    let words: Vec<&str> = line.split_whitespace().collect();
    let moment = at(words[0].parse().unwrap());
    let state = match words[1] {
        "started" => {
            return Record::Started { at: moment, last_alive: words.get(2).map(|alive| at(alive.parse().unwrap())) };
        }
        "stopped" => return Record::Stopped { at: moment },
        "starting" => State::Starting,
        "active" => State::Active,
        "suspended" => State::Suspended,
        "error" => State::Error,
        "halted" => State::Stopped,
        "removed" => State::Removed,
        other => panic!("{other}"),
    };
    Record::Rule(RuleRecord {
        at: moment,
        id: ForwardId(1),
        name: "web".parse().unwrap(),
        destination: "prod".parse().unwrap(),
        tags: Vec::new(),
        state,
        reason: words.get(2).map(|word| code(word)),
    })
}

fn told(lines: &str, since: i64, until: i64) -> String {
    let lines = lines.split(',').map(str::trim).filter(|line| !line.is_empty());
    let timelines = Timelines::of(lines.map(record));
    let Measured { up_seconds, down_seconds, outages } =
        timelines.rules.values().next().unwrap().measure(at(since), at(until));
    let shown: Vec<String> = outages
        .iter()
        .map(|outage| {
            let from = outage.began.as_second() - at(0).as_second();
            let to = outage.ended.map_or("now".to_owned(), |end| (end.as_second() - at(0).as_second()).to_string());
            let why = outage.reason.as_ref().map(|reason| reason.code.to_string()).unwrap_or_default();
            let last = outage.last_reason.as_ref().map(|reason| format!(" then {}", reason.code)).unwrap_or_default();
            format!("{from}-{to} {why}{last}")
        })
        .collect();
    format!("up {up_seconds}, down {down_seconds}: {}", shown.join(", "))
}

#[test]
fn outages_and_availability_follow_from_the_lines() {
    for (what, lines, expected) in [
        ("never down", "0 starting, 10 active", "up 90, down 0: "),
        ("one cut", "0 active, 20 suspended timed_out, 30 active", "up 90, down 10: 20-30 timed_out"),
        ("goes on", "0 active, 80 suspended timed_out", "up 80, down 20: 80-now timed_out"),
        (
            "the first cause stays, the last one is told too",
            "0 active, 20 suspended connection_lost, 30 error host_key_changed, 40 active",
            "up 80, down 20: 20-40 connection_lost then host_key_changed",
        ),
        (
            "the same cause is told once",
            "0 active, 20 suspended timed_out, 30 error timed_out, 40 active",
            "up 80, down 20: 20-40 timed_out",
        ),
        (
            "starting is not yet meant to be there",
            "0 starting, 50 suspended timed_out, 60 active",
            "up 40, down 10: 50-60 timed_out",
        ),
        ("a lazy rule that connects is no outage", "0 active, 20 starting, 30 active", "up 90, down 0: "),
        (
            "a person's stop ends an outage and does not count",
            "0 active, 20 suspended timed_out, 30 halted, 90 active",
            "up 30, down 10: 20-30 timed_out",
        ),
        ("so does a removal", "0 active, 20 suspended timed_out, 30 removed", "up 20, down 10: 20-30 timed_out"),
        (
            "a start that tries again goes on with it",
            "0 active, 20 error auth_refused, 30 starting, 40 active",
            "up 80, down 20: 20-40 auth_refused",
        ),
        (
            "a line that says the same again",
            "0 active, 5 active, 20 suspended timed_out, 20 suspended timed_out, 30 active",
            "up 90, down 10: 20-30 timed_out",
        ),
        (
            "killed while active",
            "0 started, 0 active, 50 started 40, 50 starting, 52 active",
            "up 88, down 12: 40-52 no_daemon",
        ),
        (
            "killed in an outage: it ends with the daemon, and the absence is one of its own",
            "0 started, 0 active, 20 suspended connection_lost, 50 started 40, 52 suspended connection_refused, 60 active",
            "up 60, down 40: 20-40 connection_lost, 40-52 no_daemon, 52-60 connection_refused",
        ),
        (
            "killed twice before it came back",
            "0 started, 0 active, 50 started 40, 60 started 55, 70 active",
            "up 70, down 30: 40-70 no_daemon",
        ),
        (
            "ended in order",
            "0 started, 0 active, 40 stopped, 50 started 45, 51 active",
            "up 89, down 11: 40-51 no_daemon",
        ),
        ("not started again", "0 started, 0 active, 40 stopped", "up 40, down 60: 40-now no_daemon"),
        (
            "stopped by a person while the daemon was away",
            "0 active, 10 halted, 40 stopped, 50 started 45, 60 active",
            "up 50, down 0: ",
        ),
        (
            "removed while the daemon was away",
            "0 active, 40 stopped, 40 removed, 50 started 45",
            "up 40, down 0: 40-40 no_daemon",
        ),
        (
            "no sign of life but the last line",
            "0 active, 30 suspended timed_out, 40 active, 60 started, 61 active",
            "up 69, down 31: 30-40 timed_out, 40-61 no_daemon",
        ),
    ] {
        assert_eq!(told(lines, 0, 100), expected, "{what}");
    }
}

#[test]
fn only_what_lies_in_the_time_counts_and_an_outage_keeps_its_true_beginning() {
    let lines = "0 active, 20 suspended timed_out, 40 active, 60 suspended unreachable, 70 active";

    assert_eq!(told(lines, 30, 100), "up 50, down 20: 20-40 timed_out, 60-70 unreachable");
    assert_eq!(told(lines, 50, 100), "up 40, down 10: 60-70 unreachable");
    assert_eq!(told(lines, 65, 68), "up 0, down 3: 60-70 unreachable");
    assert_eq!(told(lines, 75, 100), "up 25, down 0: ");
}

#[test]
fn a_clock_that_was_set_back_makes_no_negative_time() {
    // An hour back in the middle of an outage, and one that was set far into the future for a while.
    assert_eq!(told("4000 active, 4100 suspended timed_out, 510 active", 0, 600), "up 90, down 0: ");
    assert_eq!(
        told("0 active, 10 suspended timed_out, 99999 active, 20 suspended timed_out, 30 active", 0, 100),
        "up 80, down 100: 10-99999 timed_out, 20-30 timed_out"
    );
}
