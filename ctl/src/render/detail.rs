//! One forward in full, as lines of name and value.

use alknet_proto::status::{Change, ForwardDetail, Refusal};
use alknet_proto::{ForwardKind, ForwardStatus};

use super::forwards::{state, style};
use super::units::{ago, bytes, date, why};
use super::{DIM, Look, painted};

/// As wide as the longest name.
const NAME_WIDTH: usize = 12;

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
    for (place, change) in detail.history.iter().rev().enumerate() {
        push(&mut text, if place == 0 { "history" } else { "" }, &changed(change, look));
    }
    text
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
        lines.push(("reason", reason.message.clone()));
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
    let Change { at, from, to, reason } = change;
    let reason = reason.as_ref().map(|reason| format!("  {}", reason.message)).unwrap_or_default();
    format!("{}  {} -> {}{reason}", date(*at, look), from.word(), to.word())
}

#[cfg(test)]
mod tests {
    use alknet_proto::{Code, Reason, Stage, Status};

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
            Change { at: sample::at(-184), from: Status::Starting, to: Status::Active, reason: None },
            Change { at: sample::at(-20), from: Status::Active, to: Status::Suspended, reason: Some(lost) },
        ];

        let refused =
            Reason::new(Stage::Target, Code::ConnectionRefused, "the server could not connect to localhost:80")
                .with_hint("is it running?");
        let last_refusal = Some(Refusal { at: sample::at(-60), reason: refused });

        let shown = detail(&ForwardDetail { forward, history, last_refusal }, &look(true));

        let expected = "\
name          web
id            9e3779b1
status        ◌ suspended
since         2026-01-31 11:59:40 (20s ago)
reason        10.0.0.1:22 did not answer within 10 s
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
history       2026-01-31 11:59:40  active -> suspended  prod stopped answering
              2026-01-31 11:56:56  starting -> active
";
        assert_eq!(plain(&shown), expected);
    }
}
