//! Which rules a question means, and that no page outgrows a frame.

use alknet_proto::{Envelope, Output, Reason, RequestId, Stage, frame};

use super::super::record::{Record, RuleRecord, State};
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_860_800 + second).unwrap()
}

fn rule(second: i64, id: u32, name: &str, state: State) -> RuleRecord {
    RuleRecord {
        at: at(second),
        id: ForwardId(id),
        name: name.parse().unwrap(),
        destination: format!("host{}", id % 2).parse().unwrap(),
        tags: vec![format!("t{id}").parse().unwrap()],
        state,
        reason: None,
    }
}

fn timelines() -> Timelines {
    Timelines::of(
        [
            rule(0, 1, "web", State::Active),
            rule(0, 2, "db", State::Active),
            rule(0, 3, "old", State::Active),
            rule(10, 3, "old", State::Removed),
            rule(20, 4, "old", State::Active),
        ]
        .map(Record::Rule),
    )
}

fn asked(selectors: &[&str], since: i64) -> Result<Vec<String>, Code> {
    let selectors = selectors.iter().map(|selector| selector.parse().unwrap()).collect();
    let question = Question { selectors, since: at(since), after: None };
    let page = page(&timelines(), &question, at(100), 0).map_err(|fault| fault.code)?;
    Ok(page.forwards.iter().map(|forward| format!("{} {}", forward.id.0, forward.name)).collect())
}

#[test]
fn selectors_find_removed_rules_by_the_name_they_had() {
    assert_eq!(asked(&[], 0).unwrap(), ["1 web", "2 db", "3 old", "4 old"]);
    assert_eq!(asked(&[], 50).unwrap(), ["1 web", "2 db", "4 old"], "removed before the time that is asked for");
    assert_eq!(asked(&["old"], 50).unwrap(), ["3 old", "4 old"]);
    assert_eq!(asked(&["@t3"], 0).unwrap(), ["3 old"]);
    assert_eq!(asked(&["w*", "web", "@t1"], 0).unwrap(), ["1 web"]);
    assert_eq!(asked(&[&ForwardId(3).to_string()], 0).unwrap(), ["3 old"]);
    assert_eq!(asked(&[&ForwardId(3).to_string()[..3]], 0).unwrap(), ["3 old"]);
    assert_eq!(asked(&["web", "nothing"], 0), Err(Code::NotFound));
    assert_eq!(asked(&["x*"], 0), Err(Code::NotFound));
}

#[test]
fn what_was_never_down_was_there_for_exactly_a_hundred_percent() {
    let timelines = timelines();
    for millis in 1..2000 {
        let until = at(0) + jiff::SignedDuration::from_millis(millis);
        let question = Question { selectors: vec!["web".parse().unwrap()], since: at(0), after: None };

        let page = page(&timelines, &question, until, 0).unwrap();

        assert_eq!(page.forwards[0].availability_percent, Some(100.0), "after {millis} ms");
    }
}

#[test]
fn of_a_journal_that_knows_nothing_all_is_nothing() {
    let empty = Timelines::of([]);
    for selectors in [vec![], vec![Selector::All]] {
        let question = Question { selectors, since: at(0), after: None };
        assert_eq!(page(&empty, &question, at(100), 0).unwrap().forwards, []);
    }
}

#[test]
fn pages_come_to_everything_and_each_fits_into_a_frame() {
    let long = |code| Reason::new(Stage::Tcp, code, "m".repeat(2000)).with_hint("h".repeat(2000));
    let mut lines = Vec::new();
    for second in 0..i64::try_from(MAX_OUTAGES + 50).unwrap() {
        for id in 1..=8 {
            let name = format!("{}{id}", "n".repeat(60));
            let down = |state, reason| RuleRecord { reason: Some(reason), ..rule(4 * second, id, &name, state) };
            lines.push(Record::Rule(down(State::Suspended, long(Code::ConnectionLost))));
            lines.push(Record::Rule(down(State::Error, long(Code::HostKeyChanged))));
            lines.push(Record::Rule(rule(4 * second + 1, id, &name, State::Active)));
        }
    }
    let timelines = Timelines::of(lines);
    let mut after = None;
    let mut ids = Vec::new();
    loop {
        let question = Question { selectors: Vec::new(), since: at(0), after };
        let page = page(&timelines, &question, at(10_000), 0).unwrap();
        ids.extend(page.forwards.iter().map(|forward| forward.id.0));
        assert!(page.forwards.iter().all(|f| f.outages.len() == MAX_OUTAGES && f.outages_total == 250));
        let more = page.more;
        after = page.forwards.last().map(|last| ForwardKey { id: last.id, name: last.name.clone() });
        let envelope = Envelope { id: RequestId(1), body: alknet_proto::Body::Responded(Output::History(page)) };
        assert!(frame::encode(&envelope).is_ok());
        if !more {
            break;
        }
    }
    assert_eq!(ids, (1..=8).collect::<Vec<u32>>());
}
