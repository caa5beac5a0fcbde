//! Doing what the core decided: one match arm per action, and none of them waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use alknet_core::{Action, Epoch, Event, Listen, SavedRules};
use alknet_proto::{
    Code, Destination, Fault, ForwardId, ForwardStatus, Output, Reason, SessionStatus, Stage, StatusEvent,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::Clients;
use crate::counters::ForwardCounters;
use crate::forward::{Crowd, Held, Listener, MAX_CONNECTIONS};
use crate::journal;
use crate::lanes::Lanes;
use crate::outages::{self, Question};
use crate::ssh::attempt::Attempt;
use crate::ssh::lookout::{Evidence, Lookout};
use crate::ssh::{Pool, Settings};

/// Owns what the tasks need and how to end them.
pub struct Performer {
    /// Where listeners, connections and attempts run.
    lanes: Arc<Lanes>,
    forwards: HashMap<ForwardId, Forward>,
    sessions: HashMap<Destination, Session>,
    clients: Clients,
    rules: watch::Sender<Option<SavedRules>>,
    outages: outages::Journal,
    inbox: mpsc::Sender<Event>,
    /// How attempts that start from now on connect.
    pub settings: Arc<Settings>,
    /// How many connections a rule may have.
    max_connections: Arc<AtomicUsize>,
    /// Listeners, their connections, and attempts; a stop waits for them.
    listeners: TaskTracker,
    attempts: TaskTracker,
    /// What the latest attempt of each destination went by.
    evidence: HashMap<Destination, Arc<Evidence>>,
    /// Ends the look-out for what may mend a failure.
    lookouts: HashMap<Destination, RunningLookout>,
}

/// The task that listens for a forward, or listened last.
struct Forward {
    counters: Arc<ForwardCounters>,
    held: Arc<Held>,
    crowd: Arc<Crowd>,
    listener: Option<RunningListener>,
    /// Ends the connections of its listeners, also of one that has moved to another link.
    cut: CancellationToken,
}

struct RunningListener {
    epoch: Epoch,
    stop: CancellationToken,
}

/// Who looks out for what may mend the failure of an attempt.
struct RunningLookout {
    epoch: Epoch,
    code: Code,
    cancel: CancellationToken,
}

/// The attempts that go to a destination, and the links that came of them.
struct Session {
    pool: Arc<Pool>,
    attempts: HashMap<Epoch, RunningAttempt>,
}

struct RunningAttempt {
    cancel: CancellationToken,
    /// Asks it to find out whether its server is still there.
    probe: Arc<Notify>,
    /// Lets it go on to the server that it knocked for.
    admission: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Performer {
    /// Nothing runs yet.
    pub fn new(
        settings: Arc<Settings>,
        lanes: Arc<Lanes>,
        clients: Clients,
        rules: watch::Sender<Option<SavedRules>>,
        outages: outages::Journal,
        inbox: mpsc::Sender<Event>,
    ) -> Self {
        Performer {
            lanes,
            forwards: HashMap::new(),
            sessions: HashMap::new(),
            clients,
            rules,
            outages,
            inbox,
            settings,
            max_connections: Arc::new(MAX_CONNECTIONS.into()),
            listeners: TaskTracker::new(),
            attempts: TaskTracker::new(),
            evidence: HashMap::new(),
            lookouts: HashMap::new(),
        }
    }

    /// From now on a rule may have so many connections.
    pub fn limit_connections(&self, most: usize) {
        self.max_connections.store(most, Relaxed);
    }

    /// Does one thing. `Stop` is the caller's.
    pub fn perform(&mut self, action: Action) {
        match action {
            Action::Listen(listen) => self.listen(listen),
            Action::Close { forward, epoch, cut } => {
                let Some(forward) = self.forwards.get_mut(&forward) else { return };
                if let Some(running) = forward.listener.as_ref().filter(|running| running.epoch == epoch) {
                    running.stop.cancel();
                    if cut {
                        std::mem::take(&mut forward.cut).cancel();
                    }
                }
            }
            Action::Connect { destination, epoch, accept_new } => self.connect(destination, epoch, accept_new),
            Action::Probe { destination, epoch } => {
                if let Some(attempt) = self.attempt(&destination, epoch) {
                    attempt.probe.notify_one();
                }
            }
            Action::Retire { destination, epoch } => {
                if let Some(session) = self.sessions.get(&destination) {
                    session.pool.retire(epoch);
                }
            }
            Action::Cut(forward) => {
                if let Some(forward) = self.forwards.get_mut(&forward) {
                    std::mem::take(&mut forward.cut).cancel();
                }
            }
            Action::Growth { destination, may_grow } => self.session(&destination).pool.set_growth(may_grow),
            Action::Hope { destination, has_failed } => self.session(&destination).pool.set_failed(has_failed),
            Action::Disconnect { destination, epoch } => {
                if let Some(attempt) = self.attempt(&destination, epoch) {
                    attempt.cancel.cancel();
                }
            }
            Action::Save(rules) => {
                self.rules.send_replace(Some(rules));
            }
            Action::Reply { call, result } => match result.map(|output| self.with_counters(output)) {
                Ok(Output::Forward(detail)) => self.outages.show(call, detail),
                result => self.clients.reply(call, result),
            },
            Action::Publish { call, event } => {
                let event = self.event_with_counters(event);
                self.clients.publish(call, event);
            }
            Action::BeginRates(call) => {
                let figures = self.forwards.iter().map(|(id, forward)| (*id, forward.counters.read()));
                self.clients.begin_rates(call, figures.collect());
            }
            Action::Log(event) => {
                journal::tell(&event);
                self.outages.note(&event);
            }
            Action::ForgetForward(forward) => {
                if let Some(forward) = self.forwards.remove(&forward) {
                    forward.cut.cancel();
                }
            }
            Action::ForgetSession(destination) => {
                self.look_away(&destination);
                self.evidence.remove(&destination);
                if let Some(session) = self.sessions.remove(&destination) {
                    session.attempts.values().for_each(|attempt| attempt.cancel.cancel());
                }
            }
            Action::Admit { destination, epoch } => {
                if let Some(attempt) = self.attempt(&destination, epoch) {
                    attempt.admission.notify_one();
                }
            }
            Action::LookOut { destination, epoch, code } => self.look_out(destination, epoch, code),
            Action::LookAway(destination) => self.look_away(&destination),
            Action::Stop => {}
        }
    }

    fn listen(&mut self, listen: Listen) {
        let pool = self.session(&listen.destination).pool.clone();
        let forward = self.forwards.entry(listen.forward).or_insert_with(|| Forward {
            counters: Arc::default(),
            held: Arc::default(),
            crowd: Arc::new(Crowd::new(self.max_connections.clone())),
            listener: None,
            cut: CancellationToken::new(),
        });
        let running = RunningListener { epoch: listen.epoch, stop: CancellationToken::new() };
        let (id, epoch) = (listen.forward, listen.epoch);
        let lane = pool.home.clone();
        let listener = Listener {
            listen,
            pool,
            counters: forward.counters.clone(),
            held: forward.held.clone(),
            crowd: forward.crowd.clone(),
            inbox: self.inbox.clone(),
            stop: running.stop.clone(),
            cut: forward.cut.clone(),
        };
        if let Some(earlier) = forward.listener.replace(running) {
            earlier.stop.cancel();
        }
        let task = self.listeners.spawn_on(listener.run(), lane.runtime());
        // A listener that panics must not leave a rule that looks alive.
        let inbox = self.inbox.clone();
        self.listeners.spawn(async move {
            if let Err(panic) = task.await {
                tracing::error!(forward = %id, %panic, "listener ended by a defect");
                let reason = Reason::new(Stage::Bind, Code::Internal, "the listener ended by a defect of alknetd");
                let _ = inbox.send(Event::ListenerRefused { forward: id, epoch, reason }).await;
            }
        });
    }

    fn connect(&mut self, destination: Destination, epoch: Epoch, accept_new: bool) {
        let evidence = self.evidence.entry(destination.clone()).or_default().clone();
        let cancel = CancellationToken::new();
        let (probe, admission) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let pool = self.session(&destination).pool.clone();
        let lane = pool.lane_for_a_link();
        let attempt = Attempt {
            lane: lane.clone(),
            destination: destination.clone(),
            epoch,
            accept_new,
            settings: self.settings.clone(),
            pool,
            inbox: self.inbox.clone(),
            cancel: cancel.clone(),
            probe: probe.clone(),
            admission: admission.clone(),
            evidence,
        };
        let task = self.attempts.spawn_on(attempt.run(), lane.runtime());
        let attempts = &mut self.session(&destination).attempts;
        attempts.retain(|_, attempt| !attempt.task.is_finished());
        attempts.insert(epoch, RunningAttempt { cancel, probe, admission, task });
    }

    fn session(&mut self, destination: &Destination) -> &mut Session {
        self.sessions.entry(destination.clone()).or_insert_with(|| Session {
            pool: Arc::new(Pool::new(destination.clone(), self.lanes.clone(), self.inbox.clone())),
            attempts: HashMap::new(),
        })
    }

    fn attempt(&self, destination: &Destination, epoch: Epoch) -> Option<&RunningAttempt> {
        self.sessions.get(destination).and_then(|session| session.attempts.get(&epoch))
    }

    fn look_out(&mut self, destination: Destination, epoch: Epoch, code: Code) {
        let cancel = CancellationToken::new();
        let evidence = self.evidence.entry(destination.clone()).or_default().clone();
        let (settings, inbox) = (self.settings.clone(), self.inbox.clone());
        let running = RunningLookout { epoch, code, cancel: cancel.clone() };
        if let Some(earlier) = self.lookouts.insert(destination.clone(), running) {
            earlier.cancel.cancel();
        }
        self.attempts.spawn(Lookout { destination, epoch, code, settings, evidence, inbox, cancel }.run());
    }

    fn look_away(&mut self, destination: &Destination) {
        if let Some(running) = self.lookouts.remove(destination) {
            running.cancel.cancel();
        }
    }

    /// Attempts that start from now on connect so; what failed for good is looked at in this light.
    pub fn go_on_with(&mut self, settings: Settings) {
        self.settings = Arc::new(settings);
        let failed: Vec<_> =
            self.lookouts.iter().map(|(to, running)| (to.clone(), running.epoch, running.code)).collect();
        for (destination, epoch, code) in failed {
            self.look_out(destination, epoch, code);
        }
    }

    /// Closes every listener; connections that are open may go on until [`Performer::cut`].
    pub fn stop_listening(&self) {
        let listeners = self.forwards.values().filter_map(|forward| forward.listener.as_ref());
        listeners.for_each(|running| running.stop.cancel());
        self.listeners.close();
    }

    /// Waits until no listener and no connection is left.
    pub async fn drained(&self) {
        self.listeners.wait().await;
    }

    /// Resets what is still open and ends every session; waits at most `limit` for the goodbyes.
    pub async fn cut(&mut self, limit: Duration) {
        self.forwards.values().for_each(|forward| forward.cut.cancel());
        for attempt in self.sessions.values().flat_map(|session| session.attempts.values()) {
            attempt.cancel.cancel();
        }
        self.lookouts.values().for_each(|running| running.cancel.cancel());
        self.attempts.close();
        let all = async {
            self.attempts.wait().await;
            self.listeners.wait().await;
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
    }

    /// Tells clients that the daemon ends, and closes their connections.
    pub async fn close_clients(&self) {
        let fault = Fault::new(Code::DaemonStopping, "the daemon is stopping");
        self.clients.close_all(fault).await;
    }

    /// Answers a request that the model has no part in.
    pub fn reply(&self, call: alknet_core::Call, result: Result<Output, Fault>) {
        self.clients.reply(call, result);
    }

    /// Asks the journal, which answers by itself.
    pub fn ask_journal(&self, call: alknet_core::Call, question: Question) {
        self.outages.ask(call, question);
    }

    /// The model leaves counters at zero; whoever counts fills them in.
    fn with_counters(&self, output: Output) -> Output {
        match output {
            Output::Added { mut forwards, notices } => {
                forwards.iter_mut().for_each(|forward| self.count_forward(forward));
                Output::Added { forwards, notices }
            }
            Output::Forwards { mut forwards, more } => {
                forwards.iter_mut().for_each(|forward| self.count_forward(forward));
                Output::Forwards { forwards, more }
            }
            Output::Forward(mut detail) => {
                self.count_forward(&mut detail.forward);
                let counted = self.forwards.get(&detail.forward.id);
                detail.last_refusal = counted.and_then(|counted| counted.counters.last_refusal());
                if let Some(detail) = &mut detail.session {
                    self.count_session(&mut detail.session);
                }
                Output::Forward(detail)
            }
            Output::Sessions { mut sessions, more } => {
                sessions.iter_mut().for_each(|session| self.count_session(session));
                Output::Sessions { sessions, more }
            }
            Output::Event(event) => Output::Event(self.event_with_counters(event)),
            output @ (Output::Done
            | Output::Daemon(_)
            | Output::Changed(_)
            | Output::Destinations(_)
            | Output::Services(_)
            | Output::Schema(_)
            | Output::Explanation(_)
            | Output::FoundForwards { .. }
            | Output::Reloaded { .. }
            | Output::History(_)) => output,
        }
    }

    fn event_with_counters(&self, mut event: StatusEvent) -> StatusEvent {
        match &mut event {
            StatusEvent::Snapshot(snapshot) => {
                snapshot.forwards.iter_mut().for_each(|forward| self.count_forward(forward));
                snapshot.sessions.iter_mut().for_each(|session| self.count_session(session));
            }
            StatusEvent::ForwardAdded(added) => self.count_forward(&mut added.forward),
            StatusEvent::ForwardRemoved(_)
            | StatusEvent::ForwardStatus(_)
            | StatusEvent::SessionStatus(_)
            | StatusEvent::Heartbeat(_)
            | StatusEvent::Lagged(_) => {}
            StatusEvent::Stats(stats) => {
                for forward in &mut stats.forwards {
                    if let Some(counted) = self.forwards.get(&forward.id) {
                        forward.stats = counted.counters.read();
                    }
                }
            }
        }
        event
    }

    fn count_forward(&self, forward: &mut ForwardStatus) {
        if let Some(counted) = self.forwards.get(&forward.id) {
            forward.stats = counted.counters.read();
        }
    }

    fn count_session(&self, session: &mut SessionStatus) {
        if let Some(counted) = self.sessions.get(&session.destination) {
            // Also while nobody wants it.
            let is_logged_in = session.peer.is_some();
            let counters = &counted.pool.counters;
            session.channels = counters.channels();
            session.waiting = counters.waiting();
            session.round_trip_ms = counters.round_trip_ms().filter(|_| is_logged_in);
            (session.bytes_sent, session.bytes_received) = counters.bytes();
            counted.pool.count(&mut session.links);
        }
    }
}
