//! What the log says about forwards and sessions: the changes that watchers are told, each once.

use alknet_proto::{Reason, SessionState, Status, StatusEvent};

/// Logs a change. What a user would tell a friend is INFO, each further try of the same kind DEBUG.
pub fn tell(event: &StatusEvent) {
    match event {
        StatusEvent::ForwardAdded(added) => {
            let forward = &added.forward;
            let (listens, target) = (forward.listen(), forward.target());
            let (name, session) = (&forward.name, &forward.destination);
            tracing::info!(forward = %name, id = %forward.id, %session, listens, target, "forward added");
        }
        StatusEvent::ForwardRemoved(removed) => {
            tracing::info!(forward = %removed.name, id = %removed.id, "forward removed");
        }
        StatusEvent::ForwardStatus(changed) => {
            let (forward, from, status) = (&changed.name, changed.from.word(), changed.to.word());
            let (attempt, retry_at) = (changed.attempt, changed.retry_at.map(tracing::field::display));
            match (changed.reason.as_ref().map(Why::from), changed.to) {
                // A shortage that comes or goes: whoever listens logs it, once for all rules.
                (_, Status::Active) if changed.from == Status::Active => {
                    let code = changed.reason.as_ref().map(|reason| tracing::field::display(reason.code));
                    tracing::debug!(%forward, status, code, "forward changed");
                }
                (Some(Why { stage, code, hint, reason }), Status::Error) => {
                    tracing::warn!(%forward, status, from, attempt, stage, code, %reason, hint, "forward needs a person");
                }
                (Some(Why { stage, code, hint, reason }), _) => {
                    tracing::info!(%forward, status, from, attempt, retry_at, stage, code, %reason, hint, "forward changed");
                }
                (None, _) => tracing::info!(%forward, status, from, "forward changed"),
            }
        }
        StatusEvent::SessionStatus(changed) => {
            let (session, from, state) = (&changed.destination, changed.from.word(), changed.to.word());
            let (attempt, retry_at) = (changed.attempt, changed.retry_at.map(tracing::field::display));
            let is_retry = changed.to == SessionState::Connecting || 1 < attempt;
            match changed.reason.as_ref().map(Why::from) {
                Some(Why { stage, code, hint, reason }) if is_retry => {
                    tracing::debug!(%session, state, from, attempt, retry_at, stage, code, %reason, hint, "session changed");
                }
                Some(Why { stage, code, hint, reason }) => {
                    tracing::info!(%session, state, from, attempt, retry_at, stage, code, %reason, hint, "session changed");
                }
                None => tracing::info!(%session, state, from, "session changed"),
            }
        }
        StatusEvent::Snapshot(_) | StatusEvent::Heartbeat(_) | StatusEvent::Lagged(_) | StatusEvent::Stats(_) => {}
    }
}

/// A reason as fields of a line.
struct Why<'a> {
    stage: &'static str,
    code: String,
    hint: Option<&'a str>,
    reason: &'a Reason,
}

impl<'a> From<&'a Reason> for Why<'a> {
    fn from(reason: &'a Reason) -> Self {
        Why { stage: reason.stage.word(), code: reason.code.to_string(), hint: reason.hint.as_deref(), reason }
    }
}
