//! What does not fit into one answer or one memory, and the numbers of what watchers hear.

use std::time::{Duration, Instant};

use alknet_core::limits::REMEMBERED_EVENTS;
use alknet_core::{Action, Call, ClientId, Epoch, Event, Model, Moment, SavedRules};
use alknet_proto::event::Snapshot;
use alknet_proto::{Code, Operation, Output, Reason, RequestId, Stage, StatusEvent};

use crate::saved::rule;

const CALL: Call = Call { client: ClientId(1), request: RequestId(1) };

/// A model with that many rules, begun at this time of the wall clock, in milliseconds.
pub(crate) fn model(n_rules: u32, wall: i64) -> (Model, Moment) {
    let now = Moment { steady: Instant::now(), wall: jiff::Timestamp::from_millisecond(wall).unwrap() };
    let rules = (1..=n_rules).map(|n| rule(n, &format!("n{n}"), &format!("{}:a:80", 10_000 + n)));
    let mut model = Model::new();
    model.step(Event::Loaded(SavedRules { revision: 0, next_id: 1, rules: rules.collect() }), now, 0.5);
    (model, now)
}

pub(crate) fn ask(model: &mut Model, now: Moment, operation: Operation) -> Vec<Action> {
    model.step(Event::Requested { call: CALL, operation, timeout: Duration::from_secs(30) }, now, 0.5)
}

fn watch(model: &mut Model, now: Moment, since: Option<u64>) -> Vec<StatusEvent> {
    let actions = ask(model, now, Operation::Watch { selectors: Vec::new(), since, stats_ms: None });
    let events = actions.into_iter().map(|action| match action {
        Action::Publish { call, event } => {
            assert_eq!(call, CALL);
            event
        }
        other => panic!("a watch brought {other:?}"),
    });
    events.collect()
}

fn pages(events: &[StatusEvent]) -> Vec<&Snapshot> {
    let pages = events.iter().map(|event| match event {
        StatusEvent::Snapshot(snapshot) => snapshot,
        other => panic!("no snapshot but {other:?}"),
    });
    pages.collect()
}

fn ids(snapshots: &[&Snapshot]) -> Vec<u32> {
    snapshots.iter().flat_map(|page| page.forwards.iter().map(|forward| forward.id.0)).collect()
}

#[test]
fn a_snapshot_comes_in_pages_of_one_moment() {
    let (mut model, now) = model(600, 0);

    let events = watch(&mut model, now, None);

    let pages = pages(&events);
    let shape: Vec<_> = pages.iter().map(|page| (page.forwards.len(), page.sessions.len(), page.more)).collect();
    assert_eq!(shape, [(256, 1, true), (256, 0, true), (88, 0, false)]);
    assert!(pages.iter().all(|page| page.seq == pages[0].seq), "pages of different moments");
    assert_eq!(ids(&pages), (1..=600).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_of_a_whole_page_is_one_page() {
    for n in [0, 1, 255, 256] {
        let (mut model, now) = model(n, 0);
        let events = watch(&mut model, now, None);
        let pages = pages(&events);
        assert_eq!(pages.iter().map(|page| page.more).collect::<Vec<_>>(), [false], "{n} forwards");
        assert_eq!(ids(&pages), (1..=n).collect::<Vec<_>>());
    }
}

#[test]
fn a_watcher_that_was_too_slow_gets_every_page_again() {
    let (mut model, now) = model(300, 0);
    watch(&mut model, now, None);

    let actions = model.step(Event::CaughtUp(CALL), now, 0.5);

    let told: Vec<&StatusEvent> = actions
        .iter()
        .filter_map(|action| if let Action::Publish { event, .. } = action { Some(event) } else { None })
        .collect();
    assert!(matches!(told[0], StatusEvent::Lagged(_)), "{:?}", told[0]);
    let rest: Vec<StatusEvent> = told[1..].iter().map(|event| (*event).clone()).collect();
    assert_eq!(ids(&pages(&rest)), (1..=300).collect::<Vec<_>>());
}

#[test]
fn a_list_comes_in_pages() {
    let (mut model, now) = model(513, 0);
    let mut after = None;
    let mut listed = Vec::new();
    let mut shape = Vec::new();

    for _ in 0..3 {
        let actions = ask(&mut model, now, Operation::ListForwards { selectors: Vec::new(), after });
        let [Action::Reply { result: Ok(Output::Forwards { forwards, more }), .. }] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        shape.push((forwards.len(), *more));
        listed.extend(forwards.iter().map(|forward| forward.id.0));
        after = forwards.last().map(|forward| forward.id);
    }

    assert_eq!(shape, [(256, true), (256, true), (1, false)]);
    assert_eq!(listed, (1..=513).collect::<Vec<_>>());
}

#[test]
fn numbers_of_an_earlier_run_are_never_resumed() {
    let (mut earlier, then) = model(1, 1_000_000);
    let Some(StatusEvent::Snapshot(seen)) = watch(&mut earlier, then, None).pop() else { panic!("no snapshot") };

    let (mut model, now) = model(1, 2_000_000);
    let events = watch(&mut model, now, Some(seen.seq));

    assert!(1_000_000 <= seen.seq && seen.seq < 2_000_000, "{}", seen.seq);
    assert_eq!(ids(&pages(&events)), [1]);
    assert!(2_000_000 <= pages(&events)[0].seq);
}

#[test]
fn what_is_remembered_is_resumed_and_what_is_not_begins_with_a_snapshot() {
    let (mut model, mut now) = model(1, 0);
    let mut epoch = Epoch(2);
    let mut newest = 0;
    while newest < REMEMBERED_EVENTS as u64 + 100 {
        let reason = Reason::new(Stage::Tcp, Code::ConnectionRefused, "refused");
        let destination = "prod".parse().unwrap();
        let mut actions = model.step(Event::Lost { destination, epoch, reason }, now, 0.5);
        now = now + Duration::from_secs(60);
        actions.extend(model.step(Event::Tick, now, 0.5));
        for action in actions {
            match action {
                Action::Connect { epoch: next, .. } => epoch = next,
                Action::Log(StatusEvent::SessionStatus(changed)) => newest = changed.seq,
                Action::Log(StatusEvent::ForwardStatus(changed)) => newest = changed.seq,
                _ => {}
            }
        }
    }

    let oldest = newest - REMEMBERED_EVENTS as u64 + 1;
    for (since, is_resumed) in [(oldest - 2, false), (oldest - 1, true), (newest, true), (newest + 1, false)] {
        let events = watch(&mut model, now, Some(since));
        let is_snapshot = matches!(events.first(), Some(StatusEvent::Snapshot(_)));
        assert_eq!(!is_snapshot, is_resumed, "since {since} of {oldest} to {newest}");
        if is_resumed {
            assert_eq!(events.len() as u64, newest - since);
        }
    }
}

#[test]
fn a_list_of_sessions_comes_in_pages() {
    let now = Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
    let mut rules: Vec<_> = (1..=300).map(|n| rule(n, &format!("n{n}"), &format!("{}:a:80", 10_000 + n))).collect();
    for rule in &mut rules {
        rule.destination = format!("host{:03}", rule.id.0).parse().unwrap();
    }
    let mut model = Model::new();
    model.step(Event::Loaded(SavedRules { revision: 0, next_id: 0, rules }), now, 0.5);

    let (mut after, mut listed, mut shape) = (None, Vec::new(), Vec::new());
    for _ in 0..2 {
        let actions = ask(&mut model, now, Operation::ListSessions { after });
        let [Action::Reply { result: Ok(Output::Sessions { sessions, more }), .. }] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        shape.push((sessions.len(), *more));
        listed.extend(sessions.iter().map(|session| session.destination.to_string()));
        after = sessions.last().map(|session| session.destination.clone());
    }

    assert_eq!(shape, [(256, true), (44, false)]);
    assert_eq!(listed, (1..=300).map(|n| format!("host{n:03}")).collect::<Vec<_>>());
}
