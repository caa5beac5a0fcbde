//! Outages and availability: a row for each forward, and its outages below it.

use std::time::Duration;

use alknet_proto::fault::one_line;
use alknet_proto::{ForwardHistory, Outage};

use super::table::{Cell, Row, table};
use super::units::{because, date, span};
use super::{GREEN, Look, YELLOW};
use crate::history::{History, Total};

const HEADER: [&str; 6] = ["NAME", "VIA", "AVAILABLE", "OUTAGES", "UP", "DOWN"];

/// One row for each forward and one line for each of its outages, the newest first; the total last.
pub(crate) fn history(history: &History, look: &Look) -> String {
    let mut rows = Vec::new();
    for forward in &history.forwards {
        rows.push(row(forward));
        rows.extend(forward.removed_at.map(|at| Row::Remark(format!("removed {}", date(at, look)))));
        rows.extend(forward.outages.iter().rev().map(|one| Row::Remark(outage(one, look))));
        let n_shown = u64::try_from(forward.outages.len()).unwrap_or(u64::MAX);
        if n_shown < forward.outages_total {
            rows.push(Row::Remark(format!("and {} earlier ones", forward.outages_total - n_shown)));
        }
    }
    if 1 < history.forwards.len() {
        let Total { up_seconds, down_seconds, availability_percent, outages } = history.total;
        rows.push(cells("total", "", availability_percent, outages, up_seconds, down_seconds));
    }
    table(&HEADER, &rows)
}

fn row(forward: &ForwardHistory) -> Row {
    let ForwardHistory { availability_percent, outages_total, up_seconds, down_seconds, .. } = forward;
    let via = forward.destination.to_string();
    cells(forward.name.as_str(), &via, *availability_percent, *outages_total, *up_seconds, *down_seconds)
}

fn cells(name: &str, via: &str, availability: Option<f64>, n_outages: u64, up: f64, down: f64) -> Row {
    let colour = if n_outages == 0 { GREEN } else { YELLOW };
    Row::Cells(vec![
        Cell::text(name),
        Cell::text(via),
        Cell::number(availability.map_or_else(|| "-".to_owned(), percent)).styled(colour),
        Cell::number(n_outages.to_string()),
        Cell::number(span(seconds(up))),
        Cell::number(span(seconds(down))),
    ])
}

/// Never rounded up to a hundred: `99.99 %` says that something was missing.
fn percent(percent: f64) -> String {
    let shown = (percent * 100.0).floor() / 100.0;
    if 100.0 <= percent { "100 %".to_owned() } else { format!("{shown:.2} %") }
}

/// `2026-01-31 10:00:00  1h0m  the server closed the connection [tcp: connection_lost]`
pub(crate) fn outage(outage: &Outage, look: &Look) -> String {
    let Outage { began, ended, seconds: length, reason, last_reason } = outage;
    let length = if *length < 10.0 { format!("{length:.1}s") } else { span(seconds(*length)) };
    let goes_on = if ended.is_none() { ", goes on" } else { "" };
    let why = reason.as_ref().map(because).unwrap_or_default();
    let at_the_end = last_reason.as_ref().map(|last| format!("; then {}", because(last))).unwrap_or_default();
    one_line(&format!("{}  {length}{goes_on}  {why}{at_the_end}", date(*began, look)))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alknet_proto::{Code, ForwardId, Reason, Stage};

    use super::super::tests::{look, plain};
    use super::*;
    use crate::sample::{NOW, at};

    fn forward(id: u32, name: &str, outages: Vec<Outage>) -> ForwardHistory {
        let down_seconds: f64 = outages.iter().map(|outage| outage.seconds).sum();
        ForwardHistory {
            id: ForwardId(id),
            name: name.parse().unwrap(),
            destination: "prod".parse().unwrap(),
            tags: Vec::new(),
            removed_at: None,
            known_since: at(-86_400),
            up_seconds: 86_400.0 - down_seconds,
            down_seconds,
            availability_percent: Some(100.0 * (86_400.0 - down_seconds) / 86_400.0),
            outages_total: u64::try_from(outages.len()).unwrap(),
            outages,
        }
    }

    #[test]
    fn every_forward_has_a_row_and_every_outage_a_line() {
        let lost = Reason::new(Stage::Tcp, Code::ConnectionLost, "the server closed the connection");
        let down = Reason::new(Stage::LocalIo, Code::NoDaemon, "alknetd was not running");
        let outages = vec![
            Outage {
                began: at(-7200),
                ended: Some(at(-3600)),
                seconds: 3600.0,
                reason: Some(lost.clone()),
                last_reason: Some(down),
            },
            Outage { began: at(-3), ended: None, seconds: 2.5, reason: Some(lost), last_reason: None },
        ];
        let gone = ForwardHistory {
            removed_at: Some(at(-60)),
            availability_percent: None,
            up_seconds: 0.0,
            ..forward(2, "old", Vec::new())
        };
        let forwards = vec![forward(1, "web", outages), gone];

        let shown = history(&History::new(at(-86_400), NOW, forwards, 0), &look(true));

        let expected = "\
NAME   VIA   AVAILABLE  OUTAGES      UP  DOWN
web    prod    95.83 %        2  22h59m  1h0m
  2026-01-31 11:59:57  2.5s, goes on  the server closed the connection [tcp: connection_lost]
  2026-01-31 10:00:00  1h0m  the server closed the connection [tcp: connection_lost]; then alknetd was not running [local_io: no_daemon]
old    prod          -        0      0s    0s
  removed 2026-01-31 11:59:00
total          95.83 %        2  22h59m  1h0m
";
        assert_eq!(plain(&shown), expected);
    }

    #[test]
    fn only_a_forward_that_was_always_there_has_a_hundred_percent() {
        assert_eq!(percent(100.0), "100 %");
        assert_eq!(percent(99.9999), "99.99 %");
        assert_eq!(percent(0.0), "0.00 %");
    }
}
