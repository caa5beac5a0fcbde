//! Forwards as a table, and as the one line that `add-forward` answers.

use alknet_proto::{ForwardStatus, Status};
use anstyle::Style;

use super::table::{Cell, Row, table};
use super::units::{ago, bytes, why};
use super::{DIM, GREEN, Look, RED, YELLOW};

/// HERE is this machine's side and THERE the server's; the arrow goes where connections go.
const HEADER: [&str; 10] = ["NAME", "STATUS", "HERE", "", "THERE", "VIA", "SINCE", "CONNS", "SENT", "RECEIVED"];

/// One row for each forward, and one line below it that says why it is not active.
pub(crate) fn forwards(forwards: &[ForwardStatus], look: &Look) -> String {
    let mut rows = Vec::new();
    for forward in forwards {
        rows.push(row(forward, look));
        rows.extend(remark(forward, look).map(Row::Remark));
    }
    table(&HEADER, &rows)
}

fn row(forward: &ForwardStatus, look: &Look) -> Row {
    let (here, arrow, there) = ends(forward);
    let stats = &forward.stats;
    Row::Cells(vec![
        Cell::text(forward.name.as_str()),
        Cell::text(state(forward.status, look)).styled(style(forward.status)),
        Cell::text(here),
        Cell::text(arrow),
        Cell::text(there),
        Cell::text(forward.destination.to_string()),
        Cell::number(ago(forward.since, look)),
        Cell::number(stats.connections_active.to_string()),
        Cell::number(bytes(stats.bytes_sent)),
        Cell::number(bytes(stats.bytes_received)),
    ])
}

/// This machine's side, the way of the connections, and the server's side.
fn ends(forward: &ForwardStatus) -> (String, &'static str, String) {
    if forward.kind.listens_remotely() {
        (forward.target(), "<-", forward.listen())
    } else {
        (forward.listen(), "->", forward.target())
    }
}

/// Why it is not active, or not quite: the message, the next try, and what to do where a person has to.
fn remark(forward: &ForwardStatus, look: &Look) -> Option<String> {
    let mut remark = why(forward.reason.as_ref(), forward.attempt, forward.retry_at, look.now);
    let hint = forward.reason.as_ref().and_then(|reason| reason.hint.as_deref());
    if let Some(hint) = hint {
        remark = format!("{remark} (hint: {hint})");
    }
    (!remark.is_empty()).then_some(remark)
}

/// `added web: 127.0.0.1:8080 -> localhost:80 via prod (active)`
pub(crate) fn added(forward: &ForwardStatus) -> String {
    let (here, arrow, there) = ends(forward);
    let ForwardStatus { name, destination, status, .. } = forward;
    format!("added {name}: {here} {arrow} {there} via {destination} ({})", status.word())
}

/// The glyph and the word of a status.
pub(super) fn state(status: Status, look: &Look) -> String {
    let (glyph, ascii) = match status {
        Status::Starting => ('◐', '~'),
        Status::Active => ('●', '*'),
        Status::Suspended => ('◌', '!'),
        Status::Stopped => ('○', '-'),
        Status::Error => ('✗', 'x'),
    };
    format!("{} {}", if look.unicode { glyph } else { ascii }, status.word())
}

/// The colour of a status; the word says the same.
pub(super) fn style(status: Status) -> Style {
    match status {
        Status::Starting | Status::Suspended => YELLOW,
        Status::Active => GREEN,
        Status::Stopped => DIM,
        Status::Error => RED,
    }
}

#[cfg(test)]
mod tests {
    use alknet_proto::{ForwardId, ForwardKind};

    use super::super::tests::{look, plain};
    use super::*;
    use crate::sample;

    fn all() -> Vec<ForwardStatus> {
        let remote = ForwardStatus {
            kind: ForwardKind::Remote,
            bind_port: 9000,
            target_port: 3000,
            ..sample::forward(3, "api", Status::Stopped)
        };
        let socks = ForwardStatus {
            id: ForwardId(5),
            kind: ForwardKind::Dynamic,
            bind_port: 1080,
            target_host: String::new(),
            target_port: 0,
            since: sample::at(0),
            ..sample::active("socks-1080")
        };
        let starting = sample::forward(6, "new", Status::Starting);
        vec![sample::active("web"), sample::suspended(2, "db"), remote, sample::failed(4, "old"), socks, starting]
    }

    #[test]
    fn a_table_says_how_each_forward_is_and_why() {
        let shown = forwards(&all(), &look(true));

        let expected = "\
NAME        STATUS       HERE                THERE           VIA   SINCE  CONNS     SENT  RECEIVED
web         ● active     127.0.0.1:8080  ->  localhost:80    prod   3m4s      2  2.0 KiB   5.0 MiB
db          ◌ suspended  127.0.0.1:8080  ->  localhost:80    prod    20s      2  2.0 KiB   5.0 MiB
  10.0.0.1:22 did not answer within 10 s [tcp: timed_out]; retry 4 in 12 s
api         ○ stopped    localhost:3000  <-  127.0.0.1:9000  prod   3m4s      2  2.0 KiB   5.0 MiB
old         ✗ error      127.0.0.1:8080  ->  localhost:80    prod   1d3h      2  2.0 KiB   5.0 MiB
  prod shows another key than known_hosts line 3 [host_key: host_key_changed] (hint: ask its administrator, then remove that line)
socks-1080  ● active     127.0.0.1:1080  ->  socks           prod     0s      2  2.0 KiB   5.0 MiB
new         ◐ starting   127.0.0.1:8080  ->  localhost:80    prod   3m4s      2  2.0 KiB   5.0 MiB
";
        assert_eq!(plain(&shown), expected);
    }

    #[test]
    fn a_terminal_without_utf_8_gets_ascii_only() {
        let shown = plain(&forwards(&all(), &look(false)));

        assert!(shown.is_ascii(), "{shown}");
        for word in ["* active", "! suspended", "- stopped", "x error", "~ starting"] {
            assert!(shown.contains(word), "{word}");
        }
    }

    #[test]
    fn colours_stand_around_words_and_not_around_spaces() {
        let shown = forwards(&[sample::active("web"), sample::suspended(2, "db")], &look(true));

        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].starts_with("web   \u{1b}[32m● active\u{1b}[0m     127.0.0.1:8080"), "{:?}", lines[1]);
        assert!(lines[2].starts_with("db    \u{1b}[33m◌ suspended\u{1b}[0m  127.0.0.1:8080"), "{:?}", lines[2]);
        assert!(lines[3].starts_with("  \u{1b}[2m10.0.0.1:22 did not"), "{:?}", lines[3]);
    }

    #[test]
    fn what_was_added_is_one_line() {
        assert_eq!(added(&sample::active("web")), "added web: 127.0.0.1:8080 -> localhost:80 via prod (active)");
    }
}
