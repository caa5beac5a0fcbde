//! A remote port that our own dead session still holds: says so, and frees it for a rule that asked for that.

use std::sync::Arc;
use std::time::Duration;

use alknet_core::Listen;
use alknet_proto::{Bind, Code, Reason};

use super::held::explain;
use super::listener::Listener;
use crate::ssh::{Ended, Link, RemoteListener};

/// The kernel frees a port a moment after its process ended.
const AGAIN_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];

/// Has the server listen. Where its no may be due to our own dead session, that one is ended first if the rule allows
/// it, and else the answer says how to.
///
/// # Errors
/// As [`Link::listen`].
pub(super) async fn listen(link: &Arc<Link>, bind: &Bind, listener: &Listener) -> Result<RemoteListener, Reason> {
    let mut refusal = match link.listen(bind).await {
        Err(reason) if is_taken(&reason) => reason,
        answer => return answer,
    };
    let reclaimed = if listener.listen.reclaim { Some(free(link, listener).await) } else { None };
    if let Some(Ok(())) = reclaimed {
        for delay in AGAIN_AFTER {
            tokio::time::sleep(delay).await;
            refusal = match link.listen(bind).await {
                Err(reason) if is_taken(&reason) => reason,
                answer => return answer,
            };
        }
    }
    Err(explain(refusal, bind, &listener.listen.destination, &listener.held, reclaimed.as_ref()))
}

/// A server that refuses a port never says why; whether it is taken cannot always be told.
fn is_taken(reason: &Reason) -> bool {
    matches!(reason.code, Code::RemotePortInUse | Code::RemoteForwardRefused)
}

/// Ends the processes of the dead sessions that had the port.
async fn free(link: &Arc<Link>, listener: &Listener) -> Result<(), String> {
    let dead = listener.held.dead();
    if dead.is_empty() {
        // Asked again, since the answer says why nothing is known.
        link.server_process().await?;
        return Err("no earlier session of this forward is known that could have the port".to_owned());
    }
    for process in dead {
        let ended = link.end_process(&process).await?;
        if ended == Ended::Now {
            tracing::info!(forward = %listener.listen.forward, session = %listener.listen.destination,
                pid = process.pid, "ended the server's process of our dead session, which had the port");
        }
        listener.held.forget(&process);
    }
    Ok(())
}

/// Whether the server listens where it was asked to, as far as it can be known; what a person should know if not.
pub(super) async fn check_address(link: &Arc<Link>, listen: &Listen, port: Option<u16>) -> Vec<String> {
    let (Bind::Tcp(asked, _), Some(port)) = (listen.forwarding.bind(), port) else { return Vec::new() };
    let is_here = |address: &str| address == "::1" || address.starts_with("127.") || address == "localhost";
    if is_here(asked.as_str()) {
        return Vec::new();
    }
    let asked = asked.as_str();
    // Only who allowed commands on the server is served by one.
    if !listen.reclaim {
        return Vec::new();
    }
    let found = link.listening_addresses(port).await;
    if found.is_empty() || !found.iter().all(|address| is_here(address)) {
        return Vec::new();
    }
    let (forward, session) = (listen.forward, &listen.destination);
    tracing::warn!(%forward, %session, asked, port, "the server listens at its loopback address only (GatewayPorts)");
    let found = found.join(" and ");
    vec![format!(
        "{asked} was asked for, and the server listens at {found} only: `GatewayPorts clientspecified` in its sshd_config lets it"
    )]
}
