//! What the model says, as the words that a story is compared with.

use alknet_proto::status::Change;
use alknet_proto::{Code, Output, Reason, SessionStatus, Stage, StatusEvent};

/// What a reply says.
pub(crate) fn reply(output: Output) -> String {
    match output {
        Output::Added { forwards, notices } => {
            let added: Vec<String> = forwards.iter().map(|f| format!("{} {}", f.name, f.status.word())).collect();
            let notices = if notices.is_empty() { String::new() } else { format!(" ({})", notices.join("; ")) };
            format!("added {}{notices}", added.join(" and "))
        }
        Output::Forwards { forwards, more } => {
            let listed: Vec<String> = forwards.iter().map(|f| format!("{} {}", f.name, f.status.word())).collect();
            format!("[{}]{}", listed.join(" "), if more { " and more" } else { "" })
        }
        Output::Forward(detail) => {
            let history: Vec<String> = detail.history.iter().map(change).collect();
            let port = detail.forward.bind_port;
            format!("{} on {port} {} after [{}]", detail.forward.name, detail.forward.status.word(), history.join(" "))
        }
        Output::Sessions { sessions, .. } => {
            let listed: Vec<String> = sessions.iter().map(session).collect();
            format!("[{}]", listed.join(" and "))
        }
        Output::Changed(forwards) => {
            let left = forwards.iter().filter(|forward| forward.left_stopped);
            let left: Vec<&str> = left.map(|forward| forward.name.as_str()).collect();
            if left.is_empty() { "ok".to_owned() } else { format!("ok, {} left stopped", left.join(" ")) }
        }
        Output::Done
        | Output::Daemon(_)
        | Output::Destinations(_)
        | Output::Event(_)
        | Output::Services(_)
        | Output::Schema(_)
        | Output::Reloaded { .. }
        | Output::Explanation(_)
        | Output::FoundForwards { .. }
        | Output::History(_) => "ok".to_owned(),
    }
}

fn session(session: &SessionStatus) -> String {
    let since = session.since.as_second();
    let until = session.idle_until.map(|at| format!(" until {}s", at.as_second())).unwrap_or_default();
    let (destination, state) = (&session.destination, session.state.word());
    format!("{destination} {state} since {since}s{until} after {} failures", session.attempt)
}

fn change(change: &Change) -> String {
    format!("{}>{}", change.from.word(), change.to.word())
}

/// What a watcher hears. `None` for what is not a change.
pub(crate) fn edge(event: &StatusEvent) -> Option<String> {
    match event {
        StatusEvent::ForwardStatus(changed) => {
            let reason = changed.reason.as_ref().map(|reason| format!(" ({})", word(reason.code))).unwrap_or_default();
            let retry = changed.retry_at.map(|at| format!(" until {}s", at.as_millisecond() as f64 / 1e3));
            Some(format!("{} is {}{reason}{}", changed.name, changed.to.word(), retry.unwrap_or_default()))
        }
        StatusEvent::ForwardAdded(added) => Some(format!("{} is new", added.forward.name)),
        StatusEvent::ForwardRemoved(removed) => Some(format!("{} is gone", removed.name)),
        StatusEvent::SessionStatus(changed) => {
            Some(format!("session {} is {}", changed.destination, changed.to.word()))
        }
        StatusEvent::Snapshot(_) | StatusEvent::Heartbeat(_) | StatusEvent::Lagged(_) | StatusEvent::Stats(_) => None,
    }
}

/// Everything that a watcher hears.
pub(crate) fn heard(event: &StatusEvent) -> String {
    match event {
        StatusEvent::Snapshot(snapshot) => {
            let forwards: Vec<&str> = snapshot.forwards.iter().map(|f| f.name.as_str()).collect();
            let sessions: Vec<String> = snapshot.sessions.iter().map(|s| s.destination.to_string()).collect();
            format!("at {} [{}] [{}]", snapshot.seq, forwards.join(" "), sessions.join(" "))
        }
        StatusEvent::Heartbeat(beat) => format!("a heartbeat at {}", beat.seq),
        StatusEvent::Stats(stats) => {
            let forwards: Vec<&str> = stats.forwards.iter().map(|f| f.name.as_str()).collect();
            format!("the figures of [{}]", forwards.join(" "))
        }
        StatusEvent::Lagged(lagged) => format!("that it lagged at {}", lagged.seq),
        StatusEvent::ForwardStatus(_)
        | StatusEvent::ForwardAdded(_)
        | StatusEvent::ForwardRemoved(_)
        | StatusEvent::SessionStatus(_) => edge(event).unwrap(),
    }
}

pub(crate) fn reason(stage: Stage, code: &str) -> Reason {
    let code: Code = [
        Code::ConnectionLost,
        Code::KeepaliveLost,
        Code::ConnectionRefused,
        Code::HostKeyChanged,
        Code::AuthRefused,
        Code::NeedsInput,
        Code::ServerBusy,
        Code::AddressInUse,
        Code::PermissionDenied,
        Code::RemotePortInUse,
        Code::NotSaved,
        Code::TimedOut,
        Code::NameNotResolved,
        Code::Unreachable,
        Code::NotSsh,
        Code::ProtocolError,
        Code::AgentRefused,
        Code::AccountUnavailable,
        Code::HostKeyUnknown,
        Code::InvalidConfig,
        Code::TooManyFiles,
    ]
    .into_iter()
    .find(|known| word(*known) == code)
    .unwrap();
    Reason::new(stage, code, word(code).replace('_', " "))
}

/// The step at which an attempt usually fails so.
pub(crate) fn stage_of(code: &str) -> Stage {
    match code {
        "auth_refused" | "needs_input" | "agent_refused" | "account_unavailable" => Stage::Auth,
        "host_key_changed" | "host_key_unknown" => Stage::HostKey,
        "server_busy" | "not_ssh" | "protocol_error" => Stage::Handshake,
        "name_not_resolved" => Stage::Resolve,
        "invalid_config" => Stage::Config,
        _ => Stage::Tcp,
    }
}

pub(crate) fn stage_named(word: &str) -> Stage {
    match word {
        "handshake" => Stage::Handshake,
        "auth" => Stage::Auth,
        _ => panic!("no such stage: {word}"),
    }
}

pub(crate) fn word(code: Code) -> String {
    let debug = format!("{code:?}");
    let mut snake = String::new();
    for c in debug.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}
