//! The connections of one forward that are open: who owns their tasks, and who hears when the rule is in use.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

use alknet_core::Event;
use alknet_proto::{Code, ForwardId, Reason, Stage};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Connections of one rule that may be open side by side, unless configured otherwise; each holds a file descriptor and
/// a channel.
pub const MAX_CONNECTIONS: usize = 4096;

/// How many connections a rule has open, over all its listeners: one that moves to another link leaves some behind.
#[derive(Debug)]
pub struct Crowd {
    n_open: AtomicUsize,
    /// What the model was last told about whether there are any.
    told: AtomicBool,
    /// How many there may be, of every rule.
    most: Arc<AtomicUsize>,
}

impl Crowd {
    /// None is open. `most` is how many there may be; it may change.
    pub fn new(most: Arc<AtomicUsize>) -> Self {
        Crowd { n_open: AtomicUsize::new(0), told: AtomicBool::new(false), most }
    }
}

/// Owns the task of every open connection of a listener. Dropping it ends them all.
pub(super) struct Connections {
    forward: ForwardId,
    open: JoinSet<()>,
    crowd: Arc<Crowd>,
    tells_use: bool,
    inbox: mpsc::Sender<Event>,
}

impl Connections {
    pub(super) fn new(forward: ForwardId, crowd: Arc<Crowd>, tells_use: bool, inbox: mpsc::Sender<Event>) -> Self {
        Connections { forward, open: JoinSet::new(), crowd, tells_use, inbox }
    }

    pub(super) fn is_full(&self) -> bool {
        self.crowd.most.load(Relaxed) <= self.crowd.n_open.load(Relaxed)
    }

    /// Why a connection is refused that is one too many.
    pub(super) fn too_many(&self) -> Reason {
        let most = self.crowd.most.load(Relaxed);
        let message = match most {
            1 => "1 connection of this forward is open, and no more may be (max_connections_per_rule)".to_owned(),
            _ => format!("{most} connections of this forward are open, and no more may be (max_connections_per_rule)"),
        };
        Reason::new(Stage::LocalIo, Code::SessionLimit, message).with_hint(
            "end some of them, add a second forward, or raise max_connections_per_rule in the daemon's configuration",
        )
    }

    pub(super) fn start(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.crowd.n_open.fetch_add(1, Relaxed);
        self.open.spawn(connection);
    }

    /// Waits until one has ended; for ever while none is open. Cancel-safe. A panic ends that connection only.
    pub(super) async fn one_ended(&mut self) {
        let ended = self.open.join_next().await;
        if ended.is_some() {
            self.crowd.n_open.fetch_sub(1, Relaxed);
        }
        match ended {
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
        if !self.tells_use {
            return;
        }
        loop {
            let in_use = 0 < self.crowd.n_open.load(SeqCst);
            if self.crowd.told.swap(in_use, SeqCst) == in_use {
                break;
            }
            // Another listener of the rule may tell meanwhile, so it is looked at again. Without a model the daemon is ending.
            let _ = self.inbox.send(Event::InUse { forward: self.forward, in_use }).await;
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.crowd.n_open.fetch_sub(self.open.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(most: usize) -> Arc<Crowd> {
        Arc::new(Crowd::new(Arc::new(AtomicUsize::new(most))))
    }

    #[tokio::test]
    async fn connections_that_a_listener_left_behind_keep_their_rule_in_use_and_count() {
        let (inbox, mut events) = mpsc::channel(8);
        let crowd = crowd(2);
        let mut old = Connections::new(ForwardId(1), crowd.clone(), true, inbox.clone());
        let mut new = Connections::new(ForwardId(1), crowd, true, inbox);
        let (end_left, left) = tokio::sync::oneshot::channel::<()>();

        old.start(async { drop(left.await) });
        old.tell_use().await;
        assert!(!new.is_full());
        new.start(async {});
        new.tell_use().await;
        assert!(new.is_full());
        assert!(new.too_many().message.starts_with("2 connections of this forward are open"));
        new.all_ended().await;
        assert!(!new.is_full());
        drop(end_left);
        old.all_ended().await;
        drop((old, new));

        let forward = ForwardId(1);
        assert_eq!(events.recv().await, Some(Event::InUse { forward, in_use: true }));
        assert_eq!(events.recv().await, Some(Event::InUse { forward, in_use: false }));
        assert_eq!(events.recv().await, None);
    }

    #[tokio::test]
    async fn the_first_and_the_last_connection_are_told() {
        let (inbox, mut events) = mpsc::channel(8);
        let mut connections = Connections::new(ForwardId(1), crowd(9), true, inbox);
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
        let mut connections = Connections::new(ForwardId(1), crowd(9), false, inbox);
        let (tell, heard) = tokio::sync::oneshot::channel();

        connections.start(async { panic!("a defect") });
        connections.one_ended().await;
        connections.start(async { tell.send("alive").unwrap() });
        connections.all_ended().await;

        assert_eq!(heard.await, Ok("alive"));
    }
}
