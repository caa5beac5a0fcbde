//! What listens for one forward: binds, says so, accepts until it is told to end.

use std::io;
use std::sync::Arc;

use alknet_core::{Event, Listen};
use alknet_proto::{Code, Reason, Stage, words};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::bind::{self, Bound};
use super::connection::{self, Rule};
use super::connections::{Connections, Crowd};
use super::held::Held;
use super::remote;
use crate::counters::ForwardCounters;
use crate::shortage::{self, Shortage};
use crate::{descriptors, ssh};

/// What a listener task needs.
pub struct Listener {
    /// What to listen at, and for whom.
    pub listen: Listen,
    /// The sessions that carry the connections.
    pub pool: Arc<ssh::Pool>,
    /// What is counted.
    pub counters: Arc<ForwardCounters>,
    /// For a remote rule: the sessions on which it listened.
    pub held: Arc<Held>,
    /// The connections of its rule.
    pub crowd: Arc<Crowd>,
    /// Where its events go.
    pub inbox: mpsc::Sender<Event>,
    /// No new connections; open ones go on.
    pub stop: CancellationToken,
    /// Everything ends now; open connections are reset.
    pub cut: CancellationToken,
}

impl Listener {
    /// Listens until it is told to end, and returns when its last connection has ended.
    ///
    /// Reports `ListenerBound` or `ListenerRefused` once. When it was told to end, and then only, it reports
    /// `ListenerClosed` once, after the port is free; with `cut` also after every connection has ended. A remote
    /// listener whose session is over ends without a word, since the session's own end says it.
    ///
    /// Dropping the future frees the port and ends every connection.
    pub async fn run(self) {
        if self.listen.forwarding.kind().listens_remotely() {
            remote::run(self).await;
        } else {
            self.run_local().await;
        }
    }

    async fn run_local(self) {
        let bound = tokio::select! {
            biased;
            () = self.told_to_end() => return self.report_closed().await,
            bound = bind::bind(self.listen.forwarding.bind(), self.listen.earlier_port) => bound,
        };
        let bound = match bound {
            Ok(bound) => bound,
            Err(reason) => return self.report_refused(reason).await,
        };
        self.report_bound(bound.port, bound.notices.clone()).await;

        let mut connections = self.connections();
        self.accept(&bound, &mut connections).await;
        drop(bound);
        self.close(connections).await;
    }

    async fn accept(&self, bound: &Bound, connections: &mut Connections) {
        let rule = Arc::new(self.rule());
        let mut shortage = Shortage::default();
        loop {
            connections.tell_use().await;
            let accept = async {
                shortage.pause_is_over().await;
                if descriptors::are_scarce() { None } else { Some(bound.accept().await) }
            };
            // Every arm is cancel-safe: tokens, finished tasks, sockets and a moment keep what they have.
            let accepted = tokio::select! {
                biased;
                () = self.told_to_end() => return,
                () = connections.one_ended() => continue,
                accepted = accept => accepted,
                () = shortage.is_over() => {
                    shortage.end();
                    self.report_hampered(None).await;
                    continue;
                }
            };
            match accepted {
                None => self.pause(&mut shortage, descriptors::shortage()).await,
                Some(Ok(local)) if connections.is_full() => {
                    self.counters.refuse(connections.too_many());
                    local.reset();
                }
                Some(Ok(local)) => {
                    local.send_at_once();
                    connections.start(connection::serve(local, rule.clone()));
                }
                Some(Err(error)) if concerns_one_connection(&error) => {}
                Some(Err(error)) => self.pause(&mut shortage, cannot_accept(&error)).await,
            }
        }
    }

    /// Nothing is accepted for a while; who looks at the rule and who reads the log learns why.
    async fn pause(&self, shortage: &mut Shortage, reason: Reason) {
        shortage::warn(&reason.message);
        if shortage.begin_pause() {
            self.report_hampered(Some(reason)).await;
        }
    }

    /// What its connections share.
    pub(super) fn rule(&self) -> Rule {
        Rule::new(&self.listen, self.pool.clone(), self.counters.clone(), self.cut.clone())
    }

    pub(super) fn connections(&self) -> Connections {
        Connections::new(self.listen.forward, self.crowd.clone(), self.listen.tells_use, self.inbox.clone())
    }

    pub(super) async fn told_to_end(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.cut.cancelled() => {}
        }
    }

    /// Reports that nothing listens any more, and waits for the connections. Cut ones end first, within moments.
    pub(super) async fn close(&self, mut connections: Connections) {
        if self.cut.is_cancelled() {
            connections.all_ended().await;
        }
        self.report_closed().await;
        connections.all_ended().await;
    }

    pub(super) async fn report_bound(&self, port: Option<u16>, notices: Vec<String>) {
        let Listen { forward, epoch, .. } = self.listen;
        self.report(Event::ListenerBound { forward, epoch, port, notices }).await;
    }

    pub(super) async fn report_refused(&self, reason: Reason) {
        let Listen { forward, epoch, .. } = self.listen;
        self.report(Event::ListenerRefused { forward, epoch, reason }).await;
    }

    async fn report_hampered(&self, reason: Option<Reason>) {
        let Listen { forward, epoch, .. } = self.listen;
        self.report(Event::ListenerHampered { forward, epoch, reason }).await;
    }

    pub(super) async fn report_closed(&self) {
        let Listen { forward, epoch, .. } = self.listen;
        self.report(Event::ListenerClosed { forward, epoch }).await;
    }

    async fn report(&self, event: Event) {
        // Without a model the daemon is ending, and its tokens say so.
        let _ = self.inbox.send(event).await;
    }
}

/// Whether only the connection that was to be accepted is gone, and the next one may be there already.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Why the listener pauses. Most often this process or the whole machine has too many files open.
fn cannot_accept(error: &io::Error) -> Reason {
    #[cfg(unix)]
    const CODES: [i32; 2] = [nix::errno::Errno::EMFILE as i32, nix::errno::Errno::ENFILE as i32];
    #[cfg(not(unix))]
    const CODES: [i32; 1] = [10024];
    if error.raw_os_error().is_some_and(|code| CODES.contains(&code)) {
        return descriptors::shortage();
    }
    let message = format!("connections wait: none can be accepted: {}", words::of_io(error));
    Reason::new(Stage::LocalIo, Code::Internal, message)
}

#[cfg(test)]
mod tests;
