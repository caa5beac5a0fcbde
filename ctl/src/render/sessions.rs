//! Sessions as a table.

use alknet_proto::status::{LinkRole, LinkStatus};
use alknet_proto::{SessionState, SessionStatus};
use anstyle::Style;
use jiff::Timestamp;

use super::table::{Cell, Row, table};
use super::units::{ago, bytes, count, left, why};
use super::{DIM, GREEN, Look, RED, YELLOW};

const HEADER: [&str; 9] =
    ["DESTINATION", "STATE", "PEER", "USER", "SINCE", "ROUND TRIP", "CHANNELS", "SENT", "RECEIVED"];

/// One row for each session, and one line below it: what was agreed on, or why it is not active.
pub(crate) fn sessions(sessions: &[SessionStatus], look: &Look) -> String {
    let mut rows = Vec::new();
    for session in sessions {
        rows.push(row(session, look));
        rows.extend(remark(session, look).map(Row::Remark));
        rows.extend(links(session, look).map(Row::Remark));
    }
    table(&HEADER, &rows)
}

fn row(session: &SessionStatus, look: &Look) -> Row {
    let round_trip = session.round_trip_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    Row::Cells(vec![
        Cell::text(session.destination.to_string()),
        Cell::text(state(session.state, look)).styled(style(session.state)),
        Cell::text(session.peer.as_deref().unwrap_or("-")),
        Cell::text(session.user.as_deref().unwrap_or("-")),
        Cell::number(ago(session.since, look)),
        Cell::number(round_trip),
        Cell::number(session.channels.to_string()),
        Cell::number(bytes(session.bytes_sent)),
        Cell::number(bytes(session.bytes_received)),
    ])
}

fn remark(session: &SessionStatus, look: &Look) -> Option<String> {
    let remark = match session.state {
        SessionState::Active => agreed(session),
        SessionState::Idle if session.peer.is_some() => kept(session.idle_until, look),
        SessionState::Idle
        | SessionState::Connecting
        | SessionState::Suspended
        | SessionState::NeedsInput
        | SessionState::Failed => {
            let why = why(session.reason.as_ref(), session.attempt, session.retry_at, look.now);
            match session.reason.as_ref().and_then(|reason| reason.hint.as_deref()) {
                Some(hint) => format!("{why} (hint: {hint})"),
                None => why,
            }
        }
    };
    (!remark.is_empty()).then_some(remark)
}

/// Each link where there is more than one, or where one holds something up; then what waits for one.
fn links(session: &SessionStatus, look: &Look) -> impl Iterator<Item = String> {
    let is_plain = session.links.iter().all(|link| link.role == LinkRole::First && link.buffered_bytes == 0);
    let links = if is_plain { &[] } else { session.links.as_slice() };
    let waiting = (0 < session.waiting).then(|| {
        format!(
            "{} for a session",
            if session.waiting == 1 {
                "1 connection waits".to_owned()
            } else {
                format!("{} connections wait", session.waiting)
            }
        )
    });
    links.iter().map(|link| line(link, look)).chain(sealed(session)).chain(waiting)
}

/// Where no link takes a connection without a wait, how many there are.
fn sealed(session: &SessionStatus) -> Option<String> {
    let takes_new = |link: &&LinkStatus| matches!(link.role, LinkRole::First | LinkRole::Further);
    let n_links = session.links.iter().filter(takes_new).count();
    let is_sealed = 0 < n_links && session.links.iter().filter(takes_new).all(|link| link.sealed);
    let all = if n_links == 1 { "its session is".to_owned() } else { format!("all {n_links} sessions are") };
    is_sealed.then(|| format!("{all} sealed: programs read too slowly, and new connections may wait"))
}

fn line(link: &LinkStatus, look: &Look) -> String {
    let LinkStatus { number, role, since, channels, buffered_bytes, sealed, bytes_sent, bytes_received } = link;
    let sealed = if *sealed { ", sealed: a program does not read" } else { "" };
    let buffered = if *buffered_bytes == 0 { String::new() } else { format!(", {} buffered", bytes(*buffered_bytes)) };
    let channels = count(*channels, "channel");
    let (role, since) = (role.word(), ago(*since, look));
    let (sent, received) = (bytes(*bytes_sent), bytes(*bytes_received));
    format!("session {number}, {role}, for {since}: {channels}, {sent} sent, {received} received{buffered}{sealed}")
}

/// How long a login that nothing wants goes on.
fn kept(until: Option<Timestamp>, look: &Look) -> String {
    match until {
        Some(until) => format!("logged in and not used; kept for {} more", left(until, look)),
        None => "logged in and not used; kept until it is used, disconnected or lost".to_owned(),
    }
}

/// The server's version and the algorithms, and what of them is weak.
fn agreed(session: &SessionStatus) -> String {
    let mut parts: Vec<&str> = session.server_version.as_deref().into_iter().collect();
    if let Some(algorithms) = &session.algorithms {
        let names = [&algorithms.kex, &algorithms.host_key, &algorithms.cipher, &algorithms.mac];
        parts.extend(names.into_iter().map(String::as_str).filter(|name| !name.is_empty()));
    }
    let agreed = parts.join(", ");
    match session.algorithms.as_ref().map(|algorithms| algorithms.weak.join(", ")).filter(|weak| !weak.is_empty()) {
        Some(weak) => format!("{agreed} (weak: {weak})"),
        None => agreed,
    }
}

fn state(state: SessionState, look: &Look) -> String {
    let (glyph, ascii) = match state {
        SessionState::Idle => ('○', '-'),
        SessionState::Connecting => ('◐', '~'),
        SessionState::Active => ('●', '*'),
        SessionState::Suspended => ('◌', '!'),
        SessionState::NeedsInput => ('?', '?'),
        SessionState::Failed => ('✗', 'x'),
    };
    format!("{} {}", if look.unicode { glyph } else { ascii }, state.word())
}

fn style(state: SessionState) -> Style {
    match state {
        SessionState::Idle => DIM,
        SessionState::Connecting | SessionState::Suspended | SessionState::NeedsInput => YELLOW,
        SessionState::Active => GREEN,
        SessionState::Failed => RED,
    }
}

#[cfg(test)]
mod tests {
    use alknet_proto::status::Algorithms;
    use alknet_proto::{Code, Reason, Stage};

    use super::super::tests::{look, plain};
    use super::*;
    use crate::sample;

    #[test]
    fn a_table_says_how_each_session_is_and_what_it_speaks() {
        let algorithms = Algorithms {
            kex: "curve25519-sha256".to_owned(),
            host_key: "ssh-ed25519".to_owned(),
            cipher: "chacha20-poly1305@openssh.com".to_owned(),
            mac: String::new(),
            weak: vec!["curve25519-sha256 is not post-quantum".to_owned()],
        };
        let up = SessionStatus { algorithms: Some(algorithms), ..sample::session() };
        let down = SessionStatus {
            destination: "test".parse().unwrap(),
            state: SessionState::Suspended,
            reason: Some(Reason::new(Stage::Tcp, Code::Unreachable, "no route to test")),
            attempt: 1,
            retry_at: Some(sample::at(2)),
            peer: None,
            user: None,
            round_trip_ms: None,
            ..sample::session()
        };

        let shown = sessions(&[up, down], &look(true));

        let expected = "\
DESTINATION  STATE        PEER         USER  SINCE  ROUND TRIP  CHANNELS     SENT  RECEIVED
prod         ● active     10.0.0.1:22  me     3m4s     12.3 ms         2  2.0 KiB   5.0 MiB
  SSH-2.0-OpenSSH_9.2, curve25519-sha256, ssh-ed25519, chacha20-poly1305@openssh.com (weak: curve25519-sha256 is not post-quantum)
test         ◌ suspended  -            -      3m4s           -         2  2.0 KiB   5.0 MiB
  no route to test [tcp: unreachable]; retry 2 in 2 s
";
        assert_eq!(plain(&shown), expected);
    }

    #[test]
    fn a_login_that_nothing_wants_says_how_long_it_is_kept() {
        let kept = SessionStatus { state: SessionState::Idle, idle_until: Some(sample::at(1799)), ..sample::session() };
        let for_ever = SessionStatus { idle_until: None, ..kept.clone() };
        let over = SessionStatus { peer: None, ..for_ever.clone() };

        let shown = plain(&sessions(&[kept, for_ever, over], &look(true)));

        let remarks: Vec<&str> = shown.lines().filter(|line| line.starts_with(' ')).collect();
        let expected = [
            "  logged in and not used; kept for 29m59s more",
            "  logged in and not used; kept until it is used, disconnected or lost",
        ];
        assert_eq!(remarks, expected);
        assert_eq!(shown.lines().filter(|line| line.contains("○ idle")).count(), 3);
    }

    #[test]
    fn links_are_told_apart_where_there_are_several() {
        let first = LinkStatus {
            number: 3,
            since: sample::at(-184),
            channels: 1,
            buffered_bytes: 8 << 20,
            sealed: true,
            ..LinkStatus::default()
        };
        let further = LinkStatus { number: 7, role: LinkRole::Further, since: sample::at(-4), ..LinkStatus::default() };
        let session =
            SessionStatus { links: vec![first, further], waiting: 2, server_version: None, ..sample::session() };

        let shown = sessions(&[session], &look(true));

        let expected = "
  session 3, first, for 3m4s: 1 channel, 0 B sent, 0 B received, 8.0 MiB buffered, sealed: a program does not read
  session 7, further, for 4s: 0 channels, 0 B sent, 0 B received
  2 connections wait for a session
";
        assert!(plain(&shown).ends_with(expected), "{shown}");
    }

    #[test]
    fn where_every_link_is_sealed_it_is_said() {
        let link = |number, role| LinkStatus { number, role, sealed: true, buffered_bytes: 1, ..LinkStatus::default() };
        let opening = LinkStatus { sealed: false, ..link(9, LinkRole::Opening) };
        let both = vec![link(3, LinkRole::First), link(7, LinkRole::Further), opening.clone()];
        let one = vec![link(3, LinkRole::First)];
        let told = |links| {
            let session = SessionStatus { links, ..sample::session() };
            let shown = plain(&sessions(&[session], &look(true)));
            shown.lines().last().unwrap().trim().to_owned()
        };

        let why = "sealed: programs read too slowly, and new connections may wait";
        assert_eq!(told(both), format!("all 2 sessions are {why}"));
        assert_eq!(told(one), format!("its session is {why}"));
        let free = LinkStatus { sealed: false, ..link(7, LinkRole::Further) };
        assert!(told(vec![link(3, LinkRole::First), free]).starts_with("session 7, further"));
    }
}
