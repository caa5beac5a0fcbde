//! What the log says about forwards and sessions: the changes that watchers are told, each once.

use alknet_proto::{SessionState, Status, StatusEvent};

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
            match (&changed.reason, changed.to) {
                // A shortage that comes or goes: whoever listens logs it, once for all rules.
                (_, Status::Active) if changed.from == Status::Active => {
                    let code = changed.reason.as_ref().map(|reason| tracing::field::display(reason.code));
                    tracing::debug!(%forward, status, code, "forward changed");
                }
                (Some(reason), Status::Error) => {
                    tracing::warn!(%forward, status, from, code = %reason.code, %reason, "forward needs a person");
                }
                (Some(reason), _) => {
                    tracing::info!(%forward, status, from, code = %reason.code, %reason, "forward changed")
                }
                (None, _) => tracing::info!(%forward, status, from, "forward changed"),
            }
        }
        StatusEvent::SessionStatus(changed) => {
            let (session, from, state) = (&changed.destination, changed.from.word(), changed.to.word());
            let (attempt, retry_at) = (changed.attempt, changed.retry_at.map(tracing::field::display));
            let is_retry = changed.to == SessionState::Connecting || 1 < attempt;
            match &changed.reason {
                Some(reason) if is_retry => {
                    tracing::debug!(%session, state, from, attempt, retry_at, code = %reason.code, %reason, "session changed");
                }
                Some(reason) => {
                    tracing::info!(%session, state, from, attempt, retry_at, code = %reason.code, %reason, "session changed");
                }
                None => tracing::info!(%session, state, from, "session changed"),
            }
        }
        StatusEvent::Snapshot(_) | StatusEvent::Heartbeat(_) | StatusEvent::Lagged(_) => {}
    }
}
