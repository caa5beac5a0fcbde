//! How many there may be, which ids they get, and what of a rule goes where.

use std::time::{Duration, Instant};

use alknet_core::limits::{MAX_FORWARDS, REMEMBERED_CHANGES};
use alknet_core::{Action, Epoch, Event, Model, Moment, SavedRules};
use alknet_proto::history::SessionDetail;
use alknet_proto::operation::MAX_ADDED_AT_ONCE;
use alknet_proto::{Code, ForwardId, OnSuspend, Operation, Output, Reason, Selector, Stage};

use crate::paging::{ask, model};
use crate::saved::rule;

#[test]
fn the_last_id_is_followed_by_one_that_nobody_has() {
    let now = Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
    let rules = vec![rule(1, "one", "81:a:80"), rule(u32::MAX, "last", "82:a:80")];
    let mut model = Model::new();
    model.step(Event::Loaded(SavedRules { revision: 0, next_id: 0, rules }), now, 0.5);

    let specs = [rule(9, "a", "83:a:80"), rule(9, "b", "84:a:80")].map(|rule| rule.spec()).to_vec();
    let actions = ask(&mut model, now, Operation::AddForwards(specs));

    let listened: Vec<ForwardId> = actions
        .iter()
        .filter_map(|action| if let Action::Listen(listen) = action { Some(listen.forward) } else { None })
        .collect();
    assert_eq!(listened.len(), 2, "{actions:?}");
    assert!(!listened.contains(&ForwardId(1)) && !listened.contains(&ForwardId(u32::MAX)), "{listened:?}");
}

#[test]
fn an_id_is_never_below_those_on_disk() {
    let now = Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
    for (next_id, expected) in [(0, 8), (3, 8), (9, 9), (20, 20)] {
        let mut model = Model::new();
        let rules = vec![rule(2, "two", "81:a:80"), rule(7, "seven", "82:a:80")];
        model.step(Event::Loaded(SavedRules { revision: 0, next_id, rules }), now, 0.5);

        let actions = ask(&mut model, now, Operation::AddForwards(vec![rule(1, "a", "83:a:80").spec()]));

        let [Action::Listen(listen)] = actions.as_slice() else { panic!("{actions:?}") };
        assert_eq!(listen.forward, ForwardId(expected), "{next_id}");
    }
}

#[test]
fn rules_are_written_as_they_were_read() {
    let now = Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
    let mut whole = rule(3, "whole", "0:a:80");
    whole.description = Some("what it is for".to_owned());
    whole.tags = vec!["a".parse().unwrap(), "b".parse().unwrap()];
    whole.lazy = true;
    whole.accept_new = true;
    whole.idle_timeout_seconds = 60;
    whole.earlier_port = Some(41_001);
    let mut stopped = rule(4, "halted", "81:a:80");
    stopped.stopped = true;
    let rules = vec![whole, stopped];
    let mut model = Model::new();
    model.step(Event::Loaded(SavedRules { revision: 0, next_id: 30, rules: rules.clone() }), now, 0.5);

    let mut added = rule(9, "added", "83:a:80").spec();
    added.stopped = true;
    let actions = ask(&mut model, now, Operation::AddForwards(vec![added]));

    let [Action::Save(saved)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(saved.rules[..2], rules);
    assert_eq!((saved.next_id, saved.rules[2].id), (31, ForwardId(30)));
}

/// The code of a refusal; `None` if it was begun or answered.
fn refusal(actions: &[Action]) -> Option<Code> {
    actions.iter().find_map(|action| match action {
        Action::Reply { result: Err(fault), .. } => Some(fault.code),
        _ => None,
    })
}

#[test]
fn there_are_only_so_many_forwards() {
    let add = |n: u32| {
        let specs = (1..=n).map(|n| rule(n, &format!("new{n}"), &format!("{}:a:80", 30_000 + n)).spec());
        Operation::AddForwards(specs.collect())
    };
    let n_rules = MAX_FORWARDS as u32 - 2;

    let (mut nearly_full, now) = model(n_rules, 0);
    assert_eq!(refusal(&ask(&mut nearly_full, now, add(3))), Some(Code::SessionLimit));
    assert_eq!(refusal(&ask(&mut nearly_full, now, add(2))), None);

    let (mut empty, now) = model(0, 0);
    assert_eq!(refusal(&ask(&mut empty, now, add(0))), Some(Code::InvalidSpec));
    assert_eq!(refusal(&ask(&mut empty, now, add(MAX_ADDED_AT_ONCE as u32 + 1))), Some(Code::InvalidSpec));
    assert_eq!(refusal(&ask(&mut empty, now, add(MAX_ADDED_AT_ONCE as u32))), None);
}

#[test]
fn an_empty_name_selects_nothing() {
    let (mut model, now) = model(1, 0);

    let actions = ask(&mut model, now, Operation::ShowForward(Selector::Named(String::new())));

    assert_eq!(refusal(&actions), Some(Code::NotFound));
}

#[test]
fn a_listener_is_told_what_its_rule_says() {
    let (mut model, now) = model(0, 0);
    let mut plain = rule(1, "plain", "81:a:80").spec();
    plain.on_suspend = OnSuspend::Hold(Duration::from_secs(7));
    let mut lazy = rule(1, "lazy", "82:a:80").spec();
    lazy.lazy = true;
    let mut idle = rule(1, "idle", "83:a:80").spec();
    idle.idle_timeout_seconds = 60;

    let actions = ask(&mut model, now, Operation::AddForwards(vec![plain.clone(), lazy.clone(), idle.clone()]));

    let [Action::Listen(first), Action::Listen(second), Action::Listen(third)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    let told = [first, second, third].map(|listen| (&listen.forwarding, listen.on_suspend, listen.tells_use));
    let expected = [(plain, false), (lazy, true), (idle, true)];
    for (told, (spec, tells_use)) in told.into_iter().zip(&expected) {
        assert_eq!(told, (&spec.forwarding, spec.on_suspend, *tells_use));
    }
}

#[test]
fn a_forward_and_its_session_remember_only_their_latest_changes() {
    let (mut model, mut now) = model(1, 0);
    let mut epoch = Epoch(2);
    for n in 0..2 * REMEMBERED_CHANGES as u32 {
        let destination = || "prod".parse().unwrap();
        let code = if n % 2 == 0 { Code::AuthRefused } else { Code::ConnectionLost };
        let reason = Reason::new(Stage::Auth, code, "lost");
        model.step(Event::Lost { destination: destination(), epoch, reason }, now, 0.5);
        now = now + Duration::from_secs(60);
        let retry = ask(&mut model, now, Operation::RetrySessions(Vec::new()));
        let next = retry.iter().find_map(|action| match action {
            Action::Connect { epoch, .. } => Some(*epoch),
            _ => None,
        });
        epoch = next.unwrap();
    }

    let actions = ask(&mut model, now, Operation::ShowForward(Selector::All));

    let [Action::Reply { result: Ok(Output::Forward(detail)), .. }] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(detail.history.len(), REMEMBERED_CHANGES);
    assert!(detail.history.windows(2).all(|pair| pair[0].to == pair[1].from), "a gap in the history");
    assert_eq!(detail.history.last().map(|change| change.to), Some(detail.forward.status));
    let SessionDetail { session, history } = detail.session.as_ref().unwrap();
    assert_eq!(history.len(), REMEMBERED_CHANGES);
    assert!(history.windows(2).all(|pair| pair[0].to == pair[1].from), "a gap in the history of the session");
    let last = history.last().unwrap();
    assert_eq!((last.to, &last.reason, last.attempt), (session.state, &session.reason, session.attempt));
}
