//! Events as lines: when, who, from what to what, and why.

use alknet_proto::event::{ForwardChanged, SessionChanged, Snapshot};
use alknet_proto::fault::one_line;
use alknet_proto::{ForwardStatus, Reason, StatusEvent};
use jiff::Timestamp;

use super::forwards::style;
use super::units::{clock, why};
use super::{BOLD, DIM, Look, painted};

/// The lines of one event, each with its newline; none for a heartbeat.
///
/// The next try is counted from the event on, so that a line in a log stays true.
pub(crate) fn event(event: &StatusEvent, look: &Look) -> String {
    match event {
        StatusEvent::Snapshot(snapshot) => snapshot_lines(snapshot, look),
        StatusEvent::ForwardAdded(added) => {
            let forward = &added.forward;
            let (name, status) = (forward.name.as_str(), forward.status);
            let what = format!("added, {}", painted(style(status), status.word()));
            line(added.at, name, &what, &because_of(forward, added.at), look)
        }
        StatusEvent::ForwardRemoved(removed) => line(removed.at, removed.name.as_str(), "removed", "", look),
        StatusEvent::ForwardStatus(changed) => forward_line(changed, look),
        StatusEvent::SessionStatus(changed) => session_line(changed, look),
        // Those of traffic are lines only beside those before them.
        StatusEvent::Heartbeat(_) | StatusEvent::Stats(_) => String::new(),
        StatusEvent::Lagged(lagged) => {
            line(lagged.at, "watch", "missed changes", "this program was too slow; everything as it is follows", look)
        }
    }
}

fn snapshot_lines(snapshot: &Snapshot, look: &Look) -> String {
    let lines = snapshot.forwards.iter().map(|forward| {
        let what = painted(style(forward.status), forward.status.word());
        line(look.now, forward.name.as_str(), &what, &because_of(forward, look.now), look)
    });
    lines.collect()
}

fn because_of(forward: &ForwardStatus, at: Timestamp) -> String {
    because(forward.reason.as_ref(), forward.attempt, forward.retry_at, at)
}

/// Why, when the next try comes, and what to do.
fn because(reason: Option<&Reason>, attempt: u32, retry_at: Option<Timestamp>, at: Timestamp) -> String {
    let why = why(reason, attempt, retry_at, at);
    match reason.and_then(|reason| reason.hint.as_deref()) {
        Some(hint) => format!("{why} (hint: {hint})"),
        None => why,
    }
}

fn forward_line(changed: &ForwardChanged, look: &Look) -> String {
    let ForwardChanged { seq: _, at, id: _, name, from, to, reason, retry_at, attempt, bind_port: _ } = changed;
    let to_word = painted(style(*to), to.word());
    let what = if from == to { to_word } else { format!("{} -> {to_word}", from.word()) };
    line(*at, name.as_str(), &what, &because(reason.as_ref(), *attempt, *retry_at, *at), look)
}

fn session_line(changed: &SessionChanged, look: &Look) -> String {
    let SessionChanged { seq: _, at, destination, from, to, reason, attempt, retry_at } = changed;
    let what = if from == to { to.word().to_owned() } else { format!("{} -> {}", from.word(), to.word()) };
    let because = because(reason.as_ref(), *attempt, *retry_at, *at);
    line(*at, &format!("session {destination}"), &what, &because, look)
}

pub(super) fn line(at: Timestamp, who: &str, what: &str, why: &str, look: &Look) -> String {
    let time = painted(DIM, &clock(at, look));
    let who = painted(BOLD, who);
    if why.is_empty() {
        format!("{time}  {who}  {what}\n")
    } else {
        format!("{time}  {who}  {what}  {}\n", one_line(why))
    }
}

#[cfg(test)]
mod tests {
    use alknet_proto::event::{ForwardAdded, ForwardRemoved, Heartbeat, Lagged};
    use alknet_proto::{Code, ForwardId, Reason, SessionState, Stage, Status};

    use super::super::tests::{look, plain};
    use super::*;
    use crate::sample::{self, at};

    fn lost() -> Option<Reason> {
        Some(Reason::new(Stage::Tcp, Code::KeepaliveLost, "server stopped answering"))
    }

    #[test]
    fn each_change_is_one_line() {
        let snapshot = Snapshot {
            seq: 1,
            forwards: vec![sample::active("web"), sample::suspended(2, "db")],
            sessions: vec![sample::session()],
            more: false,
        };
        let suspended = ForwardChanged {
            seq: 2,
            at: at(1),
            id: ForwardId(1),
            name: "web".parse().unwrap(),
            from: Status::Active,
            to: Status::Suspended,
            reason: lost(),
            retry_at: Some(at(2)),
            bind_port: 8080,
            attempt: 0,
        };
        let session = SessionChanged {
            seq: 3,
            at: at(1),
            destination: "prod".parse().unwrap(),
            from: SessionState::Active,
            to: SessionState::Suspended,
            reason: lost(),
            attempt: 0,
            retry_at: Some(at(2)),
        };
        let events = [
            StatusEvent::Snapshot(snapshot),
            StatusEvent::ForwardStatus(suspended),
            StatusEvent::SessionStatus(session),
            StatusEvent::Heartbeat(Heartbeat { seq: 3, at: at(2) }),
            StatusEvent::ForwardAdded(ForwardAdded { seq: 4, at: at(3), forward: sample::active("new") }),
            StatusEvent::ForwardRemoved(ForwardRemoved {
                seq: 5,
                at: at(4),
                id: ForwardId(1),
                name: "web".parse().unwrap(),
            }),
            StatusEvent::Lagged(Lagged { seq: 6, at: at(5) }),
        ];

        let shown: String = events.iter().map(|e| event(e, &look(true))).collect();

        let expected = "\
12:00:00  web  active
12:00:00  db  suspended  10.0.0.1:22 did not answer within 10 s [tcp: timed_out]; retry 4 in 12 s
12:00:01  web  active -> suspended  server stopped answering [tcp: keepalive_lost]; retry in 1 s
12:00:01  session prod  active -> suspended  server stopped answering [tcp: keepalive_lost]; retry in 1 s
12:00:03  new  added, active
12:00:04  web  removed
12:00:05  watch  missed changes  this program was too slow; everything as it is follows
";
        assert_eq!(plain(&shown), expected);
    }
}
