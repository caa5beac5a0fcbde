//! Doing what the core decided: one match arm per action, and none of them waits.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use alknet_core::{Action, Epoch, Event, Listen, SavedRules};
use alknet_proto::{
    Code, Destination, Fault, ForwardId, ForwardStatus, Output, Reason, SessionState, SessionStatus, Stage, StatusEvent,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::Clients;
use crate::counters::{ForwardCounters, SessionCounters};
use crate::forward::Listener;
use crate::journal;
use crate::outages::{self, Question};
use crate::ssh::attempt::Attempt;
use crate::ssh::lookout::{Evidence, Lookout};
use crate::ssh::{Link, Settings};

/// Owns what the tasks need and how to end them.
pub struct Performer {
    forwards: HashMap<ForwardId, Forward>,
    sessions: HashMap<Destination, Session>,
    clients: Clients,
    rules: watch::Sender<Option<SavedRules>>,
    outages: outages::Journal,
    inbox: mpsc::Sender<Event>,
    /// How attempts that start from now on connect.
    pub settings: Arc<Settings>,
    /// Listeners, their connections, and attempts; a stop waits for them.
    listeners: TaskTracker,
    attempts: TaskTracker,
    /// By attempt, what lets it go on; gone with its attempt.
    admissions: HashMap<Epoch, Weak<Notify>>,
    /// What the latest attempt of each destination went by.
    evidence: HashMap<Destination, Arc<Evidence>>,
    /// Ends the look-out for what may mend a failure.
    lookouts: HashMap<Destination, CancellationToken>,
}

/// The task that listens for a forward, or listened last.
#[derive(Default)]
struct Forward {
    counters: Arc<ForwardCounters>,
    listener: Option<RunningListener>,
}

struct RunningListener {
    epoch: Epoch,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// The attempt that goes to a destination, or went last.
struct Session {
    counters: Arc<SessionCounters>,
    link: watch::Sender<Option<Arc<Link>>>,
    attempt: Option<(Epoch, CancellationToken)>,
    /// Asks the attempt to find out whether its server is still there.
    probe: Arc<Notify>,
}

impl Default for Session {
    fn default() -> Self {
        Session { counters: Arc::default(), link: watch::Sender::new(None), attempt: None, probe: Arc::default() }
    }
}

impl Performer {
    /// Nothing runs yet.
    pub fn new(
        settings: Arc<Settings>,
        clients: Clients,
        rules: watch::Sender<Option<SavedRules>>,
        outages: outages::Journal,
        inbox: mpsc::Sender<Event>,
    ) -> Self {
        Performer {
            forwards: HashMap::new(),
            sessions: HashMap::new(),
            clients,
            rules,
            outages,
            inbox,
            settings,
            listeners: TaskTracker::new(),
            attempts: TaskTracker::new(),
            admissions: HashMap::new(),
            evidence: HashMap::new(),
            lookouts: HashMap::new(),
        }
    }

    /// Does one thing. `Stop` is the caller's.
    pub fn perform(&mut self, action: Action) {
        match action {
            Action::Listen(listen) => self.listen(listen),
            Action::Close { forward, epoch } => {
                let running = self.forwards.get(&forward).and_then(|forward| forward.listener.as_ref());
                if let Some(running) = running.filter(|running| running.epoch == epoch) {
                    running.stop.cancel();
                    running.cut.cancel();
                }
            }
            Action::Connect { destination, epoch, accept_new } => self.connect(destination, epoch, accept_new),
            Action::Probe { destination, epoch } => {
                let session = self.sessions.get(&destination);
                if let Some(session) =
                    session.filter(|s| s.attempt.as_ref().is_some_and(|(current, _)| *current == epoch))
                {
                    session.probe.notify_one();
                }
            }
            Action::Disconnect { destination, epoch } => {
                let attempt = self.sessions.get(&destination).and_then(|session| session.attempt.as_ref());
                if let Some((_, cancel)) = attempt.filter(|(current, _)| *current == epoch) {
                    cancel.cancel();
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
            Action::Log(event) => {
                journal::tell(&event);
                self.outages.note(&event);
            }
            Action::ForgetForward(forward) => {
                self.forwards.remove(&forward);
            }
            Action::ForgetSession(destination) => {
                self.look_away(&destination);
                self.evidence.remove(&destination);
                if let Some((_, cancel)) = self.sessions.remove(&destination).and_then(|session| session.attempt) {
                    cancel.cancel();
                }
            }
            Action::Admit { epoch, .. } => {
                if let Some(admission) = self.admissions.get(&epoch).and_then(Weak::upgrade) {
                    admission.notify_one();
                }
            }
            Action::LookOut { destination, epoch, code } => self.look_out(destination, epoch, code),
            Action::LookAway(destination) => self.look_away(&destination),
            Action::Stop => {}
        }
    }

    fn listen(&mut self, listen: Listen) {
        let session = self.sessions.entry(listen.destination.clone()).or_default();
        let forward = self.forwards.entry(listen.forward).or_default();
        let running =
            RunningListener { epoch: listen.epoch, stop: CancellationToken::new(), cut: CancellationToken::new() };
        let (id, epoch) = (listen.forward, listen.epoch);
        let listener = Listener {
            listen,
            links: session.link.subscribe(),
            counters: forward.counters.clone(),
            inbox: self.inbox.clone(),
            stop: running.stop.clone(),
            cut: running.cut.clone(),
        };
        if let Some(earlier) = forward.listener.replace(running) {
            earlier.stop.cancel();
            earlier.cut.cancel();
        }
        let task = self.listeners.spawn(listener.run());
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
        let session = self.sessions.entry(destination.clone()).or_default();
        session.counters.forget_round_trip();
        let evidence = self.evidence.entry(destination.clone()).or_default().clone();
        let cancel = CancellationToken::new();
        let attempt = Attempt {
            destination,
            epoch,
            accept_new,
            settings: self.settings.clone(),
            link: session.link.clone(),
            counters: session.counters.clone(),
            inbox: self.inbox.clone(),
            cancel: cancel.clone(),
            probe: session.probe.clone(),
            admission: Arc::default(),
            evidence,
        };
        self.admissions.retain(|_, admission| 0 < admission.strong_count());
        self.admissions.insert(epoch, Arc::downgrade(&attempt.admission));
        if let Some((_, earlier)) = session.attempt.replace((epoch, cancel)) {
            earlier.cancel();
        }
        self.attempts.spawn(attempt.run());
    }

    fn look_out(&mut self, destination: Destination, epoch: Epoch, code: Code) {
        let cancel = CancellationToken::new();
        let evidence = self.evidence.entry(destination.clone()).or_default().clone();
        let (settings, inbox) = (self.settings.clone(), self.inbox.clone());
        if let Some(earlier) = self.lookouts.insert(destination.clone(), cancel.clone()) {
            earlier.cancel();
        }
        self.attempts.spawn(Lookout { destination, epoch, code, settings, evidence, inbox, cancel }.run());
    }

    fn look_away(&mut self, destination: &Destination) {
        if let Some(cancel) = self.lookouts.remove(destination) {
            cancel.cancel();
        }
    }

    /// Closes every listener; connections that are open may go on until [`Performer::cut`].
    pub fn stop_listening(&self) {
        self.running().for_each(|running| running.stop.cancel());
        self.listeners.close();
    }

    /// Waits until no listener and no connection is left.
    pub async fn drained(&self) {
        self.listeners.wait().await;
    }

    /// Resets what is still open and ends every session; waits at most `limit` for the goodbyes.
    pub async fn cut(&mut self, limit: Duration) {
        self.running().for_each(|running| running.cut.cancel());
        for session in self.sessions.values() {
            if let Some((_, cancel)) = &session.attempt {
                cancel.cancel();
            }
        }
        self.lookouts.values().for_each(CancellationToken::cancel);
        self.attempts.close();
        let all = async {
            self.attempts.wait().await;
            self.listeners.wait().await;
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
    }

    fn running(&self) -> impl Iterator<Item = &RunningListener> {
        self.forwards.values().filter_map(|forward| forward.listener.as_ref())
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
            session.channels = counted.counters.channels();
            let is_active = session.state == SessionState::Active;
            session.round_trip_ms = counted.counters.round_trip_ms().filter(|_| is_active);
            (session.bytes_sent, session.bytes_received) = counted.counters.bytes();
        }
    }
}
