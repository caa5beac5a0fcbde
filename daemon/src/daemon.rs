//! The loop: one owner of the model, one event after the other.

use std::time::{Duration, Instant};

use alknet_core::{Action, Event, Model, SavedRules};
use alknet_proto::status::DaemonStatus;
use alknet_proto::{Operation, Output};
use tokio::sync::mpsc;

use crate::clock;
use crate::perform::Performer;

/// Events that wait for the loop. A full inbox slows down whoever tells, and nothing is lost.
pub const INBOX: usize = 1024;
/// How long servers have to hear a goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_secs(3);

/// What the loop is told beside events: by signals, not by tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Read the configuration again.
    Reload,
    /// End at once.
    EndNow,
}

/// Owns the model and runs until somebody asks to stop.
pub struct Daemon {
    model: Model,
    performer: Performer,
    inbox: mpsc::Receiver<Event>,
    about: DaemonStatus,
    started: Instant,
    stop_grace: Duration,
}

impl Daemon {
    /// A daemon that knows `rules` and has begun to bring them up.
    pub fn new(
        performer: Performer,
        inbox: mpsc::Receiver<Event>,
        about: DaemonStatus,
        stop_grace: Duration,
        rules: SavedRules,
    ) -> Self {
        let started = Instant::now();
        let mut daemon = Daemon { model: Model::new(), performer, inbox, about, started, stop_grace };
        daemon.turn(Event::Loaded(rules));
        daemon
    }

    /// Runs until the model says stop, then stops in order. `reload` is called for [`Order::Reload`].
    pub async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut reload: impl FnMut(&mut Performer) -> Option<Duration>,
    ) {
        loop {
            let due = async {
                match self.model.next_deadline() {
                    Some((at, _)) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            // Every arm is cancel-safe: two channels and a timer.
            let event = tokio::select! {
                event = self.inbox.recv() => event,
                () = due => Some(Event::Tick),
                order = orders.recv() => match order {
                    Some(Order::Reload) => {
                        self.stop_grace = reload(&mut self.performer).unwrap_or(self.stop_grace);
                        continue;
                    }
                    Some(Order::EndNow) => Some(Event::ShutdownAsked),
                    None => None,
                },
            };
            // The senders live as long as the process; without them there is nothing to wait for.
            let Some(event) = event else { break };
            if self.turn(event) {
                break;
            }
        }
        self.stop(orders).await;
    }

    /// One event into the model, its actions out. True when the daemon is to end.
    fn turn(&mut self, event: Event) -> bool {
        if let Event::Requested { call, operation: Operation::DaemonStatus, .. } = event {
            let uptime_seconds = self.started.elapsed().as_secs();
            let about = DaemonStatus { uptime_seconds, ..self.about.clone() };
            self.performer.reply(call, Ok(Output::Daemon(about)));
            return false;
        }
        tell(&event);
        let mut stops = false;
        for action in self.model.step(event, clock::now(), clock::jitter()) {
            stops |= action == Action::Stop;
            self.performer.perform(action);
        }
        stops
    }

    /// No new connections, a grace time for the open ones, goodbye to the servers.
    async fn stop(mut self, mut orders: mpsc::Receiver<Order>) {
        tracing::info!("stopping");
        crate::service::stopping();
        self.performer.stop_listening();
        // Tasks report to the end; somebody has to hear them, or they would wait for ever.
        let mut inbox = self.inbox;
        let hearing = tokio::spawn(async move { while inbox.recv().await.is_some() {} });
        self.performer.close_clients().await;
        tokio::select! {
            () = self.performer.drained() => {}
            () = tokio::time::sleep(self.stop_grace) => tracing::info!("connections are cut that did not end in time"),
            () = end_now(&mut orders) => tracing::info!("told again to stop: ending at once"),
        }
        self.performer.cut(GOODBYE_LIMIT).await;
        hearing.abort();
    }
}

async fn end_now(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if order == Order::EndNow {
            return;
        }
    }
    std::future::pending().await
}

/// What a user would tell a friend, told where every event passes.
fn tell(event: &Event) {
    match event {
        Event::Connected { destination, epoch, peer } => {
            tracing::info!(session = %destination, epoch = epoch.0, peer = %peer.address, user = %peer.user, "session active");
        }
        Event::Lost { destination, epoch, reason } => {
            tracing::info!(session = %destination, epoch = epoch.0, code = ?reason.code, %reason, "session lost");
        }
        Event::ListenerBound { forward, port, .. } => {
            tracing::info!(%forward, port, "listening");
        }
        Event::ListenerRefused { forward, reason, .. } => {
            tracing::warn!(%forward, code = ?reason.code, %reason, "not listening");
        }
        Event::Requested { call, operation, .. } => {
            tracing::debug!(client = call.client.0, request = %call.request, operation = operation.name(), "requested");
        }
        Event::Loaded(rules) => tracing::info!(rules = rules.rules.len(), "rules loaded"),
        Event::Aborted(_)
        | Event::ClientGone(_)
        | Event::CaughtUp(_)
        | Event::ListenerClosed { .. }
        | Event::InUse { .. }
        | Event::Saved { .. }
        | Event::NotSaved { .. }
        | Event::Tick
        | Event::RetryAll
        | Event::ShutdownAsked => {}
    }
}
