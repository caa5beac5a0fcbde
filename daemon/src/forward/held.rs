//! Who held the port of a remote rule last, so that a port that is taken can be told from one that our own dead
//! session holds.

use std::sync::{Mutex, MutexGuard, PoisonError};

use alknet_proto::{Bind, Code, Destination, Reason, Stage};
use tokio_util::sync::CancellationToken;

use crate::ssh::ServerProcess;

/// How many earlier sessions are remembered: a server that never gives up keeps them all.
const REMEMBERED: usize = 8;

/// The sessions on which the server listened for one rule. Lives as long as the rule, over reconnects.
#[derive(Debug, Default)]
pub struct Held(Mutex<Vec<Holder>>);

#[derive(Clone, Debug)]
struct Holder {
    /// Is cancelled when the session is over.
    over: CancellationToken,
    /// The server's process; asked for only where the rule may end it.
    process: Option<ServerProcess>,
}

impl Held {
    /// The server listens for the rule on this session from now on: none that is over has the port.
    pub(super) fn note(&self, over: CancellationToken, process: Option<ServerProcess>) {
        let mut holders = self.holders();
        holders.retain(|holder| !holder.over.is_cancelled());
        holders.push(Holder { over, process });
        if REMEMBERED < holders.len() {
            holders.remove(0);
        }
    }

    /// Whether the server listened for the rule on a session that is over: it may not know that.
    pub(super) fn may_be_ours(&self) -> bool {
        self.holders().iter().any(|holder| holder.over.is_cancelled())
    }

    /// The processes that served sessions which are over, the latest first. Never that of one that lives.
    pub(super) fn dead(&self) -> Vec<ServerProcess> {
        let holders = self.holders();
        let alive: Vec<_> = holders.iter().filter(|holder| !holder.over.is_cancelled()).collect();
        let is_alive = |process: &ServerProcess| alive.iter().any(|holder| holder.process.as_ref() == Some(process));
        let dead = holders.iter().rev().filter(|holder| holder.over.is_cancelled());
        dead.filter_map(|holder| holder.process.clone()).filter(|process| !is_alive(process)).collect()
    }

    /// This process is gone.
    pub(super) fn forget(&self, process: &ServerProcess) {
        self.holders().retain(|holder| holder.process.as_ref() != Some(process));
    }

    fn holders(&self) -> MutexGuard<'_, Vec<Holder>> {
        // A panic of another holder leaves nothing half done there.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a person is told of a port that the server does not give, in place of the server's bare no.
///
/// `reclaimed` is what came of `--reclaim`, where it was tried: it did what it could, or why it did nothing.
pub(super) fn explain(
    refusal: Reason,
    bind: &Bind,
    destination: &Destination,
    held: &Held,
    reclaimed: Option<&Result<(), String>>,
) -> Reason {
    let Bind::Tcp(address, port @ 1..) = bind else { return refusal };
    let port = format!("port {port} on {}", address.as_str());
    let in_use =
        |message: String, hint: String| Reason::new(Stage::Forward, Code::RemotePortInUse, message).with_hint(hint);
    match reclaimed {
        Some(Ok(())) => in_use(
            format!("{port} is in use on the server by another program: our earlier session there is gone"),
            "choose another port, or stop the program that listens there".to_owned(),
        ),
        Some(Err(why)) if !held.may_be_ours() => {
            refusal.with_hint(format!("--reclaim cannot free the port, because {why}"))
        }
        None if !held.may_be_ours() => refusal,
        Some(Err(_)) | None => {
            let message = format!(
                "{port} is in use on the server, probably by our own earlier session, which the server has not given up yet"
            );
            let by_hand = match (held.dead().first(), reclaimed) {
                (_, Some(Err(why))) => format!("--reclaim cannot free it, because {why}"),
                (Some(process), _) => format!("this frees it: {} kill {}", ssh(destination), process.pid),
                (None, _) => format!(
                    "a forward that is added with --reclaim frees it by itself; by hand: {}, and end the old session's sshd there",
                    ssh(destination)
                ),
            };
            in_use(
                message,
                format!(
                    "the server gives it up after ClientAliveInterval x ClientAliveCountMax of its sshd_config, by default never; {by_hand}"
                ),
            )
        }
    }
}

/// The command that logs in there.
fn ssh(destination: &Destination) -> String {
    let user = destination.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = destination.port.map(|port| format!("-p {port} ")).unwrap_or_default();
    format!("ssh {port}{user}{}", destination.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> Reason {
        Reason::new(Stage::Forward, Code::RemoteForwardRefused, "no")
    }

    fn told(held: &Held, reclaimed: Option<Result<(), String>>) -> Reason {
        let bind = "-R 127.0.0.1:9000:localhost:80".parse::<alknet_proto::Forwarding>().unwrap().bind().clone();
        explain(refusal(), &bind, &"me@prod:2222".parse().unwrap(), held, reclaimed.as_ref())
    }

    #[test]
    fn a_port_that_we_never_had_is_left_as_the_server_said() {
        let held = Held::default();
        assert_eq!(told(&held, None), refusal());
        let over = CancellationToken::new();
        held.note(over.clone(), None);
        assert_eq!(told(&held, None), refusal(), "the session that had it lives");

        over.cancel();

        let reason = told(&held, None);
        assert_eq!(reason.code, Code::RemotePortInUse);
        assert!(reason.message.starts_with("port 9000 on 127.0.0.1 is in use on the server, probably by our own"));
        let hint = reason.hint.unwrap();
        for word in ["ClientAliveInterval", "ClientAliveCountMax", "--reclaim", "ssh -p 2222 me@prod"] {
            assert!(hint.contains(word), "{hint}");
        }
        let hint = told(&held, Some(Err("the server runs no commands".to_owned()))).hint.unwrap();
        assert!(told(&held, Some(Ok(()))).message.contains("by another program"));
        assert!(hint.ends_with("--reclaim cannot free it, because the server runs no commands"), "{hint}");
    }
}
