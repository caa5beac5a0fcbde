//! The journal over ends of the daemon, and over a disk that takes nothing for a while.

use alknet_core::{SavedRule, SavedRules};
use alknet_proto::event::{ForwardChanged, ForwardRemoved};
use alknet_proto::{Code, ForwardId, OnSuspend, Reason, Stage, Status, StatusEvent};
use tempfile::TempDir;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_860_800 + second).unwrap()
}

fn rules(names: &[&str]) -> SavedRules {
    let rule = |(n, name): (usize, &&str)| SavedRule {
        id: ForwardId(u32::try_from(n).unwrap() + 1),
        name: name.parse().unwrap(),
        destination: "prod".parse().unwrap(),
        forwarding: "-D 127.0.0.1:1080".parse().unwrap(),
        description: None,
        tags: Vec::new(),
        on_suspend: OnSuspend::default(),
        lazy: false,
        stopped: name.starts_with("stopped"),
        accept_new: false,
        idle_timeout_seconds: 0,
        reclaim: false,
        earlier_port: None,
    };
    SavedRules { revision: 0, next_id: 9, rules: names.iter().enumerate().map(rule).collect() }
}

/// One run of the daemon, from its start on.
struct Run {
    keeper: Keeper,
    known: Known,
}

impl Run {
    fn start(folder: &TempDir, names: &[&str], second: i64) -> Run {
        Run::with_limits(folder, names, second, Limits::default())
    }

    fn with_limits(folder: &TempDir, names: &[&str], second: i64, limits: Limits) -> Run {
        let known = Known::of(&rules(names), at(second));
        let mut keeper = Keeper::new(folder.path(), limits, known.clone(), Clients::default());
        keeper.start(at(second));
        Run { keeper, known }
    }

    fn becomes(&mut self, second: i64, id: u32, to: Status) {
        if let Some(record) = self.learn(second, id, to) {
            self.keeper.write(&[Record::Rule(record)], at(second));
        }
    }

    fn learn(&self, second: i64, id: u32, to: Status) -> Option<RuleRecord> {
        self.known.learn(&StatusEvent::ForwardStatus(ForwardChanged {
            seq: 0,
            at: at(second),
            id: ForwardId(id),
            name: "any".parse().unwrap(),
            from: to,
            to,
            reason: (to == Status::Suspended).then(|| Reason::new(Stage::Tcp, Code::TimedOut, "no answer")),
            retry_at: None,
            attempt: 0,
            bind_port: 0,
        }))
    }

    /// `up/down` in seconds and the codes of the outages, of every rule by id.
    fn told(&self, second: i64) -> String {
        let timelines = Timelines::of(self.keeper.file.read().records);
        let rules = timelines.rules.iter().map(|((_, name), timeline)| {
            let measured = timeline.measure(at(0), at(second));
            let codes: Vec<String> = measured
                .outages
                .iter()
                .map(|outage| outage.reason.as_ref().map(|reason| reason.code.to_string()).unwrap_or_default())
                .collect();
            format!("{name} {}/{} {}", measured.up_seconds, measured.down_seconds, codes.join("+"))
        });
        rules.collect::<Vec<_>>().join("; ")
    }
}

#[test]
fn an_outage_that_was_open_at_a_kill_ends_at_the_last_sign_of_life() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Run::start(&folder, &["web"], 0);
    first.becomes(1, 1, Status::Active);
    first.becomes(11, 1, Status::Suspended);
    first.keeper.beat(at(21));
    drop(first);

    let mut second = Run::start(&folder, &["web"], 51);
    assert_eq!(second.told(61), "web 10/50 timed_out+no_daemon", "down from 11 to 21, away from then on");
    second.becomes(55, 1, Status::Active);

    assert_eq!(second.told(61), "web 16/44 timed_out+no_daemon");
}

#[test]
fn rules_that_are_stopped_gone_or_new_at_the_start_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Run::start(&folder, &["web", "db", "stopped"], 0);
    for id in [1, 2] {
        first.becomes(0, id, Status::Active);
    }
    first.becomes(0, 3, Status::Stopped);
    let removed = ForwardRemoved { seq: 0, at: at(10), id: ForwardId(2), name: "db".parse().unwrap() };
    let record = first.known.learn(&StatusEvent::ForwardRemoved(removed)).unwrap();
    first.keeper.write(&[Record::Rule(record), Record::Stopped { at: at(20) }], at(20));
    drop(first);

    // `web` was taken out of the rules while the daemon was away, `new` was put in.
    let second = Run::start(&folder, &["stopped", "new"], 50);

    let told = second.told(60);
    let by_name = |name: &str| told.split("; ").filter(|rule| rule.starts_with(name)).collect::<Vec<_>>().join(", ");
    assert_eq!(by_name("web"), "web 20/0 no_daemon");
    assert_eq!(by_name("db"), "db 10/0 ");
    assert_eq!(by_name("stopped"), "stopped 0/0 , stopped 0/0 ", "another id is another rule");
    assert_eq!(by_name("new"), "new 0/0 ");
}

#[test]
fn a_disk_that_takes_nothing_for_a_while_costs_only_what_happened_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outages.jsonl");
    let mut run = Run::start(&folder, &["web", "db"], 0);
    run.becomes(0, 1, Status::Active);
    run.becomes(0, 2, Status::Active);
    let before = std::fs::read(&path).unwrap();
    // Nothing can be written where a folder is.
    run.keeper.file = JournalFile::new(folder.path(), Limits::default());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();

    run.becomes(10, 1, Status::Suspended);
    run.becomes(20, 1, Status::Active);
    run.becomes(30, 2, Status::Suspended);
    assert!(run.keeper.has_complained && run.keeper.is_behind);
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, before).unwrap();
    run.keeper.beat(at(40));

    assert!(!run.keeper.has_complained && !run.keeper.is_behind);
    assert_eq!(run.told(50), "web 50/0 ; db 30/20 timed_out");
}

#[test]
fn changes_that_found_the_queue_full_are_made_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::start(&folder, &["web"], 0);
    run.becomes(0, 1, Status::Active);

    let lost = run.learn(10, 1, Status::Suspended);
    assert!(lost.is_some());
    run.known.miss();
    run.keeper.beat(at(20));

    assert_eq!(run.told(30), "web 10/20 timed_out");
}

#[test]
fn a_rule_that_never_changes_is_known_from_the_newer_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { file_bytes: 2000, ..Limits::default() };
    let mut run = Run::with_limits(&folder, &["calm", "busy"], 0, limits);
    run.becomes(1, 1, Status::Active);
    for second in 0..100 {
        let to = if second % 2 == 0 { Status::Suspended } else { Status::Active };
        run.becomes(2 + second, 2, to);
    }

    let told = run.told(200);
    assert!(told.starts_with("calm 199/0 ; "), "{told}");
    let bytes: u64 = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 2 * (2000 + 3 * 300), "{bytes} bytes are kept");
}

#[test]
fn the_same_cause_tried_again_makes_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::start(&folder, &["web"], 0);
    run.becomes(0, 1, Status::Active);
    run.becomes(1, 1, Status::Suspended);
    let lines = run.keeper.file.read().records.len();

    for second in 2..100 {
        run.becomes(second, 1, Status::Suspended);
    }

    assert_eq!(run.keeper.file.read().records.len(), lines);
}

#[test]
fn a_change_of_an_unknown_rule_makes_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(&folder, &[], 0);

    assert_eq!(run.learn(1, 7, Status::Active), None);
}
