//! The loop: one owner of the model, one event after the other.

use std::time::{Duration, Instant};

use alknet_core::{Action, Call, Event, Model, SavedRules};
use alknet_proto::status::DaemonStatus;
use alknet_proto::{Fault, Operation, Output};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::outages::Question;
use crate::perform::Performer;
use crate::reload::Reloader;
use crate::{clock, descriptors};

/// Events that wait for the loop. A full inbox slows down whoever tells, and nothing is lost.
pub const INBOX: usize = 1024;
/// How long servers have to hear a goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_secs(3);

/// What a reload cannot change.
const LOG_FORMAT_WAITS: &str = "a new log_format takes effect at the next start";

/// What the loop is told beside events: by signals, not by tasks.
#[derive(Debug)]
pub enum Order {
    /// End in order; the second time, at once.
    Stop,
    /// Every suspended session tries at once.
    RetryAll,
    /// The configuration was read again: go on with it, and answer whoever asked.
    Configure {
        /// Who asked; nobody for a signal.
        call: Option<Call>,
        /// What the file says, or why it cannot be used.
        config: Result<Box<Config>, Fault>,
    },
}

/// Owns the model and runs until somebody asks to stop.
pub struct Daemon {
    model: Model,
    performer: Performer,
    inbox: mpsc::Receiver<Event>,
    about: DaemonStatus,
    started: Instant,
    config: Config,
    reloader: Reloader,
}

impl Daemon {
    /// A daemon that knows `rules` and has begun to bring them up.
    pub fn new(
        performer: Performer,
        inbox: mpsc::Receiver<Event>,
        about: DaemonStatus,
        config: Config,
        reloader: Reloader,
        rules: SavedRules,
    ) -> Self {
        let started = Instant::now();
        performer.limit_connections(config.max_connections_per_rule());
        let mut daemon = Daemon { model: Model::new(), performer, inbox, about, started, config, reloader };
        let options = daemon.config.options();
        daemon.turn(Event::Configured(options));
        daemon.turn(Event::Loaded(rules));
        daemon
    }

    /// Runs until the model says stop, then stops in order. `configure` says what a new configuration changes.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>, configure: impl Fn(&Config, &mut Performer)) {
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
                    Some(Order::Stop) => Some(Event::ShutdownAsked),
                    Some(Order::RetryAll) => Some(Event::RetryAll),
                    Some(Order::Configure { call, config }) => {
                        let adopted = config.map(|config| self.adopt(*config, &configure));
                        self.tell_of_reload(call, adopted);
                        Some(Event::Configured(self.config.options()))
                    }
                    None => None,
                },
            };
            // The senders live as long as the process; without them there is nothing to wait for.
            let Some(event) = event else { break };
            if self.turn(event) {
                break;
            }
        }
        tokio::select! {
            () = self.stop() => {}
            () = told_to_stop(&mut orders) => tracing::info!("told again to stop: ending at once"),
        }
    }

    /// One event into the model, its actions out. True when the daemon is to end.
    fn turn(&mut self, event: Event) -> bool {
        if let Event::Requested { call, operation: Operation::DaemonStatus, .. } = event {
            let uptime_seconds = self.started.elapsed().as_secs();
            let about = DaemonStatus {
                uptime_seconds,
                descriptors_open: descriptors::open(),
                descriptors_limit: descriptors::limit(),
                ..self.about.clone()
            };
            self.performer.reply(call, Ok(Output::Daemon(about)));
            return false;
        }
        if let Event::Requested { call, operation: Operation::History { selectors, since, after }, .. } = event {
            self.performer.ask_journal(call, Question { selectors, since, after });
            return false;
        }
        if let Event::Requested { call, operation: Operation::Reload, .. } = event {
            if let Err(fault) = self.reloader.begin(call) {
                self.performer.reply(call, Err(fault));
            }
            return false;
        }
        let mut stops = false;
        for action in self.model.step(event, clock::now(), clock::jitter()) {
            stops |= action == Action::Stop;
            self.performer.perform(action);
        }
        stops
    }

    /// Goes on with this configuration; tells which settings are others. Only those act.
    fn adopt(&mut self, config: Config, configure: impl Fn(&Config, &mut Performer)) -> Vec<&'static str> {
        let changed = self.config.differences(&config);
        if !changed.is_empty() {
            configure(&config, &mut self.performer);
            self.performer.limit_connections(config.max_connections_per_rule());
            self.about.limits = config.limits();
            self.config = config;
        }
        changed
    }

    fn tell_of_reload(&self, call: Option<Call>, adopted: Result<Vec<&'static str>, Fault>) {
        match &adopted {
            Ok(changed) => tracing::info!(?changed, "configuration reloaded"),
            Err(fault) => tracing::error!(%fault, "configuration not reloaded; the earlier one stays"),
        }
        let Some(call) = call else { return };
        let output = adopted.map(|changed| Output::Reloaded {
            notices: if changed.contains(&"log_format") { vec![LOG_FORMAT_WAITS.to_owned()] } else { Vec::new() },
            changed: changed.into_iter().map(str::to_owned).collect(),
        });
        self.performer.reply(call, output);
    }

    /// No new connections, a grace time for the open ones, goodbye to the servers.
    async fn stop(mut self) {
        tracing::info!("stopping");
        crate::service::stopping();
        self.performer.stop_listening();
        let ending = async {
            self.performer.close_clients().await;
            tokio::select! {
                () = self.performer.drained() => {}
                () = tokio::time::sleep(self.config.stop_grace()) => tracing::info!("connections are cut that did not end in time"),
            }
            self.performer.cut(GOODBYE_LIMIT).await;
        };
        // Tasks report to the end; somebody has to hear them, or they would wait for ever.
        let hearing = async { while self.inbox.recv().await.is_some() {} };
        tokio::select! {
            () = ending => {}
            () = hearing => {}
        }
    }
}

async fn told_to_stop(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if matches!(order, Order::Stop) {
            return;
        }
    }
    std::future::pending().await
}
