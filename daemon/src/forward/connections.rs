//! The connections of one forward that are open: who owns their tasks, and who hears when the rule is in use.

use std::future::Future;

use alknet_core::Event;
use alknet_proto::{Code, ForwardId, Reason, Stage};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Connections of one rule that may be open side by side; each holds a file descriptor and a channel.
const MAX_CONNECTIONS: usize = 4096;

/// Owns the task of every open connection. Dropping it ends them all.
pub(super) struct Connections {
    forward: ForwardId,
    open: JoinSet<()>,
    tells_use: bool,
    was_in_use: bool,
    inbox: mpsc::Sender<Event>,
}

impl Connections {
    pub(super) fn new(forward: ForwardId, tells_use: bool, inbox: mpsc::Sender<Event>) -> Self {
        Connections { forward, open: JoinSet::new(), tells_use, was_in_use: false, inbox }
    }

    pub(super) fn is_full(&self) -> bool {
        MAX_CONNECTIONS <= self.open.len()
    }

    /// Why a connection is refused that is one too many.
    pub(super) fn too_many() -> Reason {
        let message = format!("{MAX_CONNECTIONS} connections of this forward are open, no more may be");
        Reason::new(Stage::LocalIo, Code::SessionLimit, message).with_hint("end some of them, or add a second forward")
    }

    pub(super) fn start(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.open.spawn(connection);
    }

    /// Waits until one has ended; for ever while none is open. Cancel-safe. A panic ends that connection only.
    pub(super) async fn one_ended(&mut self) {
        match self.open.join_next().await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(forward = %self.forward, %error, "a connection ended by a defect"),
            None => std::future::pending().await,
        }
    }

    /// Waits until the last one has ended.
    pub(super) async fn all_ended(&mut self) {
        while !self.open.is_empty() {
            self.one_ended().await;
        }
        self.tell_use().await;
    }

    /// Tells the model when the first connection has come or the last one has gone, where it wants to know.
    /// Waits for room in the model's inbox. Not cancel-safe.
    pub(super) async fn tell_use(&mut self) {
        let in_use = !self.open.is_empty();
        if self.tells_use && in_use != self.was_in_use {
            self.was_in_use = in_use;
            // Without a model the daemon is ending.
            let _ = self.inbox.send(Event::InUse { forward: self.forward, in_use }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_and_the_last_connection_are_told() {
        let (inbox, mut events) = mpsc::channel(8);
        let mut connections = Connections::new(ForwardId(1), true, inbox);
        let (end_first, first) = tokio::sync::oneshot::channel::<()>();

        connections.start(async { drop(first.await) });
        connections.tell_use().await;
        connections.start(async {});
        connections.tell_use().await;
        connections.one_ended().await;
        connections.tell_use().await;
        drop(end_first);
        connections.all_ended().await;
        drop(connections);

        let forward = ForwardId(1);
        assert_eq!(events.recv().await, Some(Event::InUse { forward, in_use: true }));
        assert_eq!(events.recv().await, Some(Event::InUse { forward, in_use: false }));
        assert_eq!(events.recv().await, None);
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_connection_only() {
        let (inbox, _events) = mpsc::channel(8);
        let mut connections = Connections::new(ForwardId(1), false, inbox);
        let (tell, heard) = tokio::sync::oneshot::channel();

        connections.start(async { panic!("a defect") });
        connections.one_ended().await;
        connections.start(async { tell.send("alive").unwrap() });
        connections.all_ended().await;

        assert_eq!(heard.await, Ok("alive"));
    }
}
