//! One forward in full, as lines of name and value.

use alknet_proto::fault::one_line;
use alknet_proto::history::{SessionChange, SessionDetail};
use alknet_proto::status::{Change, ForwardDetail, Refusal};
use alknet_proto::{ForwardKind, ForwardStatus};
use jiff::Timestamp;

use super::forwards::{state, style};
use super::units::{ago, because, bytes, date, why};
use super::{DIM, Look, painted};

/// As wide as the longest name.
const NAME_WIDTH: usize = 12;
/// Changes of the session that a person is shown; JSON has all.
const SESSION_CHANGES: usize = 10;

/// Everything about one forward, its history last and its newest change first.
pub(crate) fn detail(detail: &ForwardDetail, look: &Look) -> String {
    let forward = &detail.forward;
    let mut text = String::new();
    for (name, value) in lines(forward, look) {
        push(&mut text, name, &value);
    }
    if let Some(Refusal { at, reason }) = &detail.last_refusal {
        push(&mut text, "refused last", &format!("{}  {}", date(*at, look), reason.message));
        if let Some(hint) = &reason.hint {
            push(&mut text, "hint", hint);
        }
    }
    let changes = detail.history.iter().rev().map(|change| changed(change, look));
    push_all(&mut text, "history", changes);
    if let Some(SessionDetail { session: _, history }) = &detail.session {
        let changes = history.iter().rev().take(SESSION_CHANGES).map(|change| session_changed(change, look));
        push_all(&mut text, "session", changes);
    }
    push_all(&mut text, "outages", detail.outages.iter().rev().map(|outage| super::outage(outage, look)));
    text
}

/// Several values under one name.
fn push_all(text: &mut String, name: &str, values: impl Iterator<Item = String>) {
    for (place, value) in values.enumerate() {
        push(text, if place == 0 { name } else { "" }, &value);
    }
}

fn push(text: &mut String, name: &str, value: &str) {
    let padding = " ".repeat(NAME_WIDTH.saturating_sub(name.len()));
    text.push_str(&format!("{}{padding}  {value}\n", painted(DIM, name)));
}

fn lines(forward: &ForwardStatus, look: &Look) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("name", forward.name.to_string()),
        ("id", forward.id.to_string()),
        ("status", painted(style(forward.status), &state(forward.status, look))),
        ("since", format!("{} ({} ago)", date(forward.since, look), ago(forward.since, look))),
    ];
    if let Some(reason) = &forward.reason {
        lines.push(("reason", because(reason)));
        lines.extend(reason.hint.clone().map(|hint| ("hint", hint)));
    }
    let next = why(None, forward.attempt, forward.retry_at, look.now);
    if !next.is_empty() {
        lines.push(("next try", next));
    }
    lines.extend(where_from_and_to(forward));
    lines.extend(options(forward));
    lines.extend(counters(forward));
    lines
}

fn where_from_and_to(forward: &ForwardStatus) -> Vec<(&'static str, String)> {
    let (kind, listens_at) = match forward.kind {
        ForwardKind::Local => ("local (-L)", "this machine"),
        ForwardKind::Remote => ("remote (-R)", "the server"),
        ForwardKind::Dynamic => ("dynamic (-D), SOCKS", "this machine"),
        ForwardKind::RemoteDynamic => ("remote dynamic (-R), SOCKS", "the server"),
    };
    vec![
        ("kind", kind.to_owned()),
        ("listens at", format!("{} on {listens_at}", forward.listen())),
        ("connects to", forward.target()),
        ("via", forward.destination.to_string()),
    ]
}

fn options(forward: &ForwardStatus) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    lines.extend(forward.description.clone().map(|description| ("description", description)));
    if !forward.tags.is_empty() {
        let tags: Vec<String> = forward.tags.iter().map(|tag| format!("@{tag}")).collect();
        lines.push(("tags", tags.join(" ")));
    }
    lines.push(("on suspend", forward.on_suspend.to_string()));
    if forward.lazy {
        lines.push(("lazy", "connects when the first connection comes".to_owned()));
    }
    if forward.reclaim {
        lines.push(("reclaim", "ends its own dead session on the server when that holds the port".to_owned()));
    }
    if forward.ephemeral {
        lines.push(("ephemeral", "is forgotten when the daemon ends".to_owned()));
    }
    lines
}

fn counters(forward: &ForwardStatus) -> Vec<(&'static str, String)> {
    let stats = &forward.stats;
    vec![
        (
            "connections",
            format!(
                "{} now, {} in all, {} refused",
                stats.connections_active, stats.connections_total, stats.connections_refused
            ),
        ),
        ("bytes", format!("{} sent, {} received", bytes(stats.bytes_sent), bytes(stats.bytes_received))),
    ]
}

fn changed(change: &Change, look: &Look) -> String {
    let Change { at, from, to, reason, attempt, retry_at } = change;
    let why = why(reason.as_ref(), *attempt, *retry_at, *at);
    changed_line(*at, from.word(), to.word(), &why, look)
}

fn session_changed(change: &SessionChange, look: &Look) -> String {
    let SessionChange { at, from, to, reason, attempt, retry_at } = change;
    let why = why(reason.as_ref(), *attempt, *retry_at, *at);
    changed_line(*at, from.word(), to.word(), &why, look)
}

fn changed_line(at: Timestamp, from: &str, to: &str, why: &str, look: &Look) -> String {
    let gap = if why.is_empty() { "" } else { "  " };
    one_line(&format!("{}  {from} -> {to}{gap}{why}", date(at, look)))
}

#[cfg(test)]
mod tests {
    use alknet_proto::{Code, Outage, Reason, SessionState, Stage, Status};

    use super::super::tests::{look, plain};
    use super::*;
    use crate::sample;

    #[test]
    fn a_forward_in_full_says_everything_it_has() {
        let forward = ForwardStatus {
            description: Some("the shop".to_owned()),
            tags: vec!["blue".parse().unwrap(), "work".parse().unwrap()],
            lazy: true,
            ..sample::suspended(1, "web")
        };
        let lost = Reason::new(Stage::Tcp, Code::KeepaliveLost, "prod stopped answering");
        let history = vec![
            Change {
                at: sample::at(-184),
                from: Status::Starting,
                to: Status::Active,
                reason: None,
                attempt: 0,
                retry_at: None,
            },
            Change {
                at: sample::at(-20),
                from: Status::Active,
                to: Status::Suspended,
                reason: Some(lost.clone()),
                attempt: 0,
                retry_at: Some(sample::at(-19)),
            },
        ];
        let session = SessionDetail {
            session: sample::session(),
            history: vec![SessionChange {
                at: sample::at(-20),
                from: SessionState::Active,
                to: SessionState::Suspended,
                reason: Some(lost.clone()),
                attempt: 0,
                retry_at: Some(sample::at(-19)),
            }],
        };
        let outage = |began, ended: Option<i64>| Outage {
            began: sample::at(began),
            ended: ended.map(sample::at),
            seconds: (ended.unwrap_or(0) - began) as f64,
            reason: Some(lost.clone()),
            last_reason: None,
        };
        let outages = vec![outage(-7200, Some(-3600)), outage(-20, None)];

        let refused =
            Reason::new(Stage::Target, Code::ConnectionRefused, "the server could not connect to localhost:80")
                .with_hint("is it running?");
        let last_refusal = Some(Refusal { at: sample::at(-60), reason: refused });

        let shown =
            detail(&ForwardDetail { forward, history, last_refusal, session: Some(session), outages }, &look(true));

        let expected = "\
name          web
id            9e3779b1
status        ◌ suspended
since         2026-01-31 11:59:40 (20s ago)
reason        10.0.0.1:22 did not answer within 10 s [tcp: timed_out]
next try      retry 4 in 12 s
kind          local (-L)
listens at    127.0.0.1:8080 on this machine
connects to   localhost:80
via           prod
description   the shop
tags          @blue @work
on suspend    hold=10
lazy          connects when the first connection comes
connections   2 now, 7 in all, 1 refused
bytes         2.0 KiB sent, 5.0 MiB received
refused last  2026-01-31 11:59:00  the server could not connect to localhost:80
hint          is it running?
history       2026-01-31 11:59:40  active -> suspended  prod stopped answering [tcp: keepalive_lost]; retry in 1 s
              2026-01-31 11:56:56  starting -> active
session       2026-01-31 11:59:40  active -> suspended  prod stopped answering [tcp: keepalive_lost]; retry in 1 s
outages       2026-01-31 11:59:40  20s, goes on  prod stopped answering [tcp: keepalive_lost]
              2026-01-31 10:00:00  1h0m  prod stopped answering [tcp: keepalive_lost]
";
        assert_eq!(plain(&shown), expected);
    }
}
