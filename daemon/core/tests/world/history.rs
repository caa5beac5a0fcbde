//! One random history: what clients ask, what the world does, and how everything comes to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use alknet_core::{Action, Call, ClientId, Event, Model, Moment, Options, SavedRules, Snapshot};
use alknet_proto::status::LinkRole;
use alknet_proto::{
    Bind, Code, Destination, ForwardId, ForwardSpec, Forwarding, Operation, Reason, RequestId, Selector, SessionState,
    SessionStatus, Stage, Status,
};

use crate::dice::Dice;
use crate::pretended::World;
use crate::watcher::Watcher;

pub(crate) struct History {
    model: Model,
    world: World,
    dice: Dice,
    now: Moment,
    n_requests: u64,
    /// Every event and action is printed: for one history that failed.
    is_told: bool,
}

impl History {
    pub(crate) fn new(seed: u64) -> Self {
        let now = Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
        let mut history = History {
            model: Model::new(),
            world: World::default(),
            dice: Dice::new(seed),
            now,
            n_requests: 0,
            is_told: std::env::var_os("ALKNET_WORLD_SEED").is_some(),
        };
        history.step(Event::Loaded(SavedRules::default()));
        // Few enough that it matters, in every other history.
        let max_sessions = if history.dice.one_in(2) { 2 + history.dice.roll(4) as usize } else { 256 };
        let idle_timeout = history.some_idle_timeout();
        history.configure(max_sessions, idle_timeout);
        let selective = match history.dice.roll(3) {
            0 => Selector::Tag("a".parse().unwrap()),
            1 => Selector::Host("prod".parse().unwrap()),
            _ => Selector::Glob("n*".to_owned()),
        };
        history.world.watchers = vec![Watcher::new(10, Vec::new()), Watcher::new(11, vec![selective])];
        history.watch(0, None);
        history
    }

    /// Runs the whole history; tells how many requests it had.
    pub(crate) fn run(mut self, n_steps: usize) -> u64 {
        for _ in 0..n_steps {
            self.random_step();
        }
        self.world.is_kind = true;
        let idle_timeout = self.some_idle_timeout();
        self.configure(256, idle_timeout);
        self.leave_links();
        self.come_to_rest();
        // The disk is right before anything more is asked: a later save would hide one that was lost.
        self.check_disk();
        self.ask(Operation::RetrySessions(Vec::new()));
        self.ask(Operation::StartForwards(vec![Selector::All]));
        self.come_to_rest();
        self.leave_links();
        self.come_to_rest();
        self.check_agreement();
        self.n_requests
    }

    fn step(&mut self, event: Event) {
        let jitter = self.dice.roll(101) as f64 / 100.0;
        if self.is_told {
            eprintln!("<- {event:?}");
        }
        let actions = self.model.step(event, self.now, jitter);
        let told = actions.iter().filter(|action| self.is_told && !matches!(action, Action::Publish { .. }));
        told.for_each(|action| eprintln!("   -> {action:?}"));
        for action in actions {
            self.world.perform(action, &mut self.dice);
        }
        let snapshot = self.model.snapshot();
        for watcher in &self.world.watchers {
            watcher.check(&snapshot);
        }
        self.check_unwanted(&snapshot);
        let failed = snapshot
            .sessions
            .iter()
            .filter(|session| matches!(session.state, SessionState::Failed | SessionState::NeedsInput));
        assert!(self.world.looked_for.keys().eq(failed.map(|session| &session.destination)), "who is looked out for");
        for (forward, session) in &self.world.left_behind {
            let status = snapshot.forwards.iter().find(|other| other.id == *forward).map(|forward| forward.status);
            assert_ne!(status, Some(Status::Stopped), "{forward} is stopped and has connections on {session:?}");
        }
        for forward in &snapshot.forwards {
            let needs_reason = matches!(forward.status, Status::Suspended | Status::Error);
            let is_short = forward.reason.as_ref().is_some_and(|reason| reason.code == Code::TooManyFiles);
            let may_have_one = needs_reason || (forward.status == Status::Active && is_short);
            let is_right = if forward.reason.is_some() { may_have_one } else { !needs_reason };
            assert!(is_right, "{:?} with {:?}", forward.status, forward.reason);
        }
    }

    fn configure(&mut self, max_sessions: usize, idle_timeout: Option<Duration>) {
        self.world.max_sessions = max_sessions;
        self.world.idle_timeout = idle_timeout;
        self.step(Event::Configured(Options { max_sessions, idle_timeout, ..Options::default() }));
    }

    fn some_idle_timeout(&mut self) -> Option<Duration> {
        (!self.dice.one_in(3)).then(|| Duration::from_secs(1 + self.dice.roll(100)))
    }

    /// What nobody wants has one link at most, not for longer than it may, and takes nobody's place.
    fn check_unwanted(&self, snapshot: &Snapshot) {
        let is_kept = |session: &&SessionStatus| session.state == SessionState::Idle && !session.links.is_empty();
        for session in snapshot.sessions.iter().filter(is_kept) {
            let [link] = session.links.as_slice() else { panic!("further links that nobody wants: {session:?}") };
            assert_eq!(link.role, LinkRole::First, "{session:?}");
            let until = self.world.idle_timeout.map(|timeout| session.since + timeout);
            assert_eq!(session.idle_until, until, "{session:?}");
            assert!(until.is_none_or(|until| self.now.wall < until), "kept for too long: {session:?}");
        }
        let waits_for_room = |session: &SessionStatus| {
            let reason = session.reason.as_ref().filter(|_| session.state == SessionState::Suspended);
            reason.is_some_and(|reason| reason.code == Code::SessionLimit)
        };
        let is_any_kept = snapshot.sessions.iter().any(|session| is_kept(&session));
        assert!(!is_any_kept || !snapshot.sessions.iter().any(waits_for_room), "it does not give way");
        let known: BTreeSet<u64> =
            snapshot.sessions.iter().flat_map(|session| &session.links).map(|link| link.number).collect();
        let unknown: Vec<_> = self.world.logged_in.iter().filter(|epoch| !known.contains(&epoch.0)).collect();
        assert!(unknown.is_empty(), "links that nobody ends: {unknown:?}");
    }

    /// A watcher begins, or goes on after the number that it saw last.
    fn watch(&mut self, nth: usize, since: Option<u64>) {
        let watcher = &mut self.world.watchers[nth];
        watcher.is_on = true;
        let (call, selectors) = (watcher.call, watcher.selectors.clone());
        let operation = Operation::Watch { selectors, since, stats_ms: (nth == 1).then_some(20_000) };
        self.step(Event::Requested { call, operation, timeout: Duration::from_secs(30) });
    }

    fn change_watcher(&mut self) {
        let nth = self.dice.roll(2) as usize;
        let (call, seq) = (self.world.watchers[nth].call, self.world.watchers[nth].seq);
        let watcher = &mut self.world.watchers[nth];
        if !watcher.is_on {
            let since = (seq != 0 && !self.dice.one_in(3)).then_some(seq);
            self.watch(nth, since);
        } else if watcher.is_deaf {
            watcher.is_deaf = false;
            watcher.awaits_lagged = true;
            self.step(Event::CaughtUp(call));
            assert!(!self.world.watchers[nth].awaits_lagged, "who lagged hears nothing");
        } else if self.dice.one_in(2) {
            watcher.is_deaf = true;
        } else {
            watcher.is_on = false;
            let event = if self.dice.one_in(2) { Event::Aborted(call) } else { Event::ClientGone(call.client) };
            self.step(event);
        }
    }

    fn ask(&mut self, operation: Operation) {
        self.n_requests += 1;
        let call = Call { client: ClientId(1 + self.dice.roll(2)), request: RequestId(self.n_requests) };
        self.world.unanswered.insert(call);
        let timeout = Duration::from_secs(5 + self.dice.roll(60));
        self.step(Event::Requested { call, operation, timeout });
    }

    fn deliver(&mut self) -> bool {
        let news = self.world.next_news(&mut self.dice);
        news.is_some_and(|event| {
            match &event {
                Event::Connected { epoch, .. } if self.world.sessions.contains_key(epoch) => {
                    self.world.logged_in.insert(*epoch);
                }
                Event::Lost { epoch, .. } => {
                    self.world.logged_in.remove(epoch);
                }
                _ => {}
            }
            self.step(event);
            true
        })
    }

    fn spec(&mut self) -> ForwardSpec {
        let destination = ["prod", "db", "edge"][self.dice.roll(3) as usize].parse().unwrap();
        let port = 8000 + self.dice.roll(6);
        let forwarding = match self.dice.roll(5) {
            0 => Forwarding::parse_remote(&format!("{port}:localhost:80")),
            1 => Forwarding::parse_dynamic(&port.to_string()),
            2 => Forwarding::parse_local("0:db:5432"),
            3 => Forwarding::parse_remote("0:db:5432"),
            _ => Forwarding::parse_local(&format!("{port}:localhost:80")),
        };
        let mut spec = ForwardSpec::new(destination, forwarding.unwrap());
        spec.name = self.dice.one_in(3).then(|| format!("n{}", self.dice.roll(5)).parse().unwrap());
        spec.tags = if self.dice.one_in(2) { vec!["a".parse().unwrap()] } else { Vec::new() };
        spec.ephemeral = self.dice.one_in(5);
        spec.stopped = self.dice.one_in(6);
        spec.lazy = self.dice.one_in(5);
        spec.idle_timeout_seconds = if self.dice.one_in(3) { self.dice.roll(3) as u32 * 20 } else { 0 };
        spec
    }

    fn selector(&mut self) -> Selector {
        match self.dice.roll(5) {
            0 => Selector::All,
            1 => Selector::Host("prod".parse().unwrap()),
            2 => Selector::Glob("n*".to_owned()),
            3 => Selector::Tag("a".parse().unwrap()),
            _ => self.some_forward().map_or(Selector::All, |id| Selector::Named(id.to_string())),
        }
    }

    fn some_forward(&mut self) -> Option<ForwardId> {
        self.dice.pick(self.world.counted_forwards.iter().copied())
    }

    fn random_step(&mut self) {
        match self.dice.roll(27) {
            0..=2 => {
                let specs = (0..=self.dice.roll(2)).map(|_| self.spec()).collect();
                self.ask(Operation::AddForwards(specs));
            }
            3 | 4 => {
                let selector = self.selector();
                let operation = match self.dice.roll(4) {
                    0 => Operation::RemoveForwards(vec![selector]),
                    1 => Operation::StopForwards(vec![selector]),
                    2 => Operation::StartForwards(vec![selector]),
                    _ => Operation::RestartForwards(vec![selector]),
                };
                self.ask(operation);
            }
            5 => {
                let operation = match self.dice.roll(5) {
                    4 => Operation::RenewSession("prod".parse().unwrap()),
                    0 => Operation::RetrySessions(Vec::new()),
                    1 => Operation::DisconnectSession("prod".parse().unwrap()),
                    2 => Operation::ListForwards { selectors: Vec::new(), after: None },
                    _ => Operation::ListSessions { after: None },
                };
                self.ask(operation);
            }
            6 => {
                if let Some(call) = self.dice.pick(self.world.unanswered.iter().copied()) {
                    self.world.unanswered.remove(&call);
                    self.step(Event::Aborted(call));
                }
            }
            7 if self.dice.one_in(4) => {
                self.world.unanswered.retain(|call| call.client != ClientId(2));
                self.step(Event::ClientGone(ClientId(2)));
            }
            7 => {
                self.world.probed.clear();
                let was_there = self.world.logged_in.clone();
                let is_roused = self.dice.one_in(2);
                self.step(if is_roused { Event::Roused } else { Event::RetryAll });
                let unasked: Vec<_> = was_there.difference(&self.world.probed).filter(|_| is_roused).collect();
                assert!(unasked.is_empty(), "links that nobody asked: {unasked:?}");
            }
            8 | 9 => {
                if let Some(epoch) = self.dice.pick(self.world.sessions.keys().copied()) {
                    self.world.lose_session(epoch, &mut self.dice);
                }
            }
            10 => {
                if let Some((forward, epoch)) = self.dice.pick(self.world.listeners.keys().copied()) {
                    self.world.lose_listener(forward, epoch);
                }
            }
            11 => {
                if let Some(forward) = self.some_forward() {
                    let in_use = self.dice.one_in(2);
                    self.step(Event::InUse { forward, in_use });
                }
            }
            12 if self.dice.one_in(2) => {
                if let Some((forward, epoch)) = self.dice.pick(self.world.listeners.keys().copied()) {
                    let short = Reason::new(Stage::LocalIo, Code::TooManyFiles, "connections wait");
                    let reason = self.dice.one_in(2).then_some(short);
                    self.step(Event::ListenerHampered { forward, epoch, reason });
                }
            }
            12 | 13 => self.change_watcher(),
            16 if self.dice.one_in(2) => {
                // Also one that has just been asked for by a person: late news.
                let looked_for = self.world.looked_for.iter().map(|(destination, epoch)| (destination.clone(), *epoch));
                if let Some((destination, epoch)) = self.dice.pick(looked_for) {
                    self.step(Event::Mended { destination, epoch });
                }
            }
            16 | 17 => self.use_links(),
            14 | 15 => self.pass_time(),
            18 if self.dice.one_in(3) => {
                let idle_timeout = self.some_idle_timeout();
                self.configure(self.world.max_sessions, idle_timeout);
            }
            _ => {
                self.deliver();
            }
        }
    }

    /// A link is full, is used or not, or is worn.
    fn use_links(&mut self) {
        let links = self.world.sessions.iter().map(|(epoch, destination)| (*epoch, destination.clone()));
        let Some((epoch, destination)) = self.dice.pick(links) else { return };
        let event = match self.dice.roll(5) {
            0 | 1 => {
                // One who asks again or too late changes nothing.
                if self.world.may_grow.contains(&destination) {
                    self.world.have_asked.insert(destination.clone());
                }
                Event::Crowded { destination }
            }
            2 => Event::Worn { destination, epoch },
            3 => Event::LinkInUse { destination, epoch, in_use: true },
            _ => Event::LinkInUse { destination, epoch, in_use: false },
        };
        self.step(event);
    }

    /// Every connection ends, so that links without use end too.
    fn leave_links(&mut self) {
        for (epoch, destination) in self.world.sessions.clone() {
            self.step(Event::LinkInUse { destination, epoch, in_use: false });
        }
    }

    /// Goes to the next deadline, or some seconds on.
    fn pass_time(&mut self) {
        let due = self.model.next_deadline().map(|(at, _)| at.saturating_duration_since(self.now.steady));
        let some = Duration::from_millis(self.dice.roll(40_000));
        let delay = if self.dice.one_in(2) { due.unwrap_or(some) } else { some };
        self.now = self.now + delay;
        self.step(Event::Tick);
    }

    /// All news comes, and time passes until nothing but the heart beats and figures come.
    fn come_to_rest(&mut self) {
        // A beat comes a minute late, as after a sleep: three of them outlast every limit.
        let late = Duration::from_secs(60);
        let mut beats = 0;
        for _ in 0..300 {
            while self.deliver() {}
            let Some((at, why)) = self.model.next_deadline() else { return };
            beats = match why {
                "heartbeat" => beats + 1,
                "figures" => beats,
                _ => 0,
            };
            if beats == 4 {
                return;
            }
            let delay = at.saturating_duration_since(self.now.steady);
            self.now = self.now + if why == "heartbeat" { delay + late } else { delay };
            self.step(Event::Tick);
            let next = self.model.next_deadline();
            let has_passed = next.is_none_or(|(next, _)| self.now.steady < next || !self.world.news.is_empty());
            assert!(has_passed, "a deadline that does not pass: {next:?}");
        }
        panic!("it never comes to rest: {:?}", self.model.next_deadline());
    }

    fn check_disk(&self) {
        let kept: BTreeMap<ForwardId, (bool, Option<u16>)> = self
            .model
            .snapshot()
            .forwards
            .iter()
            .filter(|forward| !forward.ephemeral)
            .map(|forward| (forward.id, (forward.status == Status::Stopped, Some(forward.bind_port))))
            .collect();
        let on_disk = self.world.disk.rules.iter().map(|rule| {
            let port = match rule.forwarding.bind() {
                Bind::Tcp(_, 0) => rule.earlier_port.or(Some(0)),
                Bind::Tcp(_, port) => Some(*port),
                Bind::Unix(_) => Some(0),
            };
            (rule.id, (rule.stopped, port))
        });
        assert_eq!(on_disk.collect::<BTreeMap<_, _>>(), kept, "rules on disk");
    }

    fn check_agreement(&mut self) {
        let unheard: Vec<_> = self.world.have_asked.intersection(&self.world.may_grow).collect();
        assert!(unheard.is_empty(), "who asked for a further link waits for ever: {unheard:?}");
        assert!(self.world.unanswered.is_empty(), "never answered: {:?}", self.world.unanswered);
        let snapshot = self.model.snapshot();
        for forward in &snapshot.forwards {
            assert_eq!(forward.status, Status::Active, "{forward:?}");
        }
        let running: Vec<ForwardId> = snapshot.forwards.iter().map(|forward| forward.id).collect();
        let open: Vec<ForwardId> = self.world.listeners.keys().map(|(forward, _)| *forward).collect();
        assert_eq!(open, running, "listeners of the world and of the model");
        let open: BTreeSet<&Destination> = self.world.sessions.values().collect();
        assert_eq!(open.len(), self.world.sessions.len(), "links that nothing uses: {:?}", self.world.sessions);
        let believed = snapshot.sessions.iter().filter(|session| !session.links.is_empty());
        assert_eq!(open, believed.map(|session| &session.destination).collect(), "sessions of the world");
        let kept: Vec<_> = snapshot.sessions.iter().filter(|session| session.idle_until.is_some()).collect();
        assert!(kept.is_empty(), "they should have ended: {kept:?}");
        self.check_disk();
        self.check_forgotten();
        for watcher in self.world.watchers.iter().filter(|watcher| watcher.is_on && !watcher.is_deaf) {
            watcher.check_whole(&snapshot);
        }
        for nth in 0..self.world.watchers.len() {
            let call = self.world.watchers[nth].call;
            self.step(Event::Aborted(call));
            self.world.watchers[nth].is_on = false;
        }
        assert_eq!(self.model.next_deadline(), None, "everything is at rest");
    }

    /// Nothing is remembered that no rule names, but for what is kept for ever.
    fn check_forgotten(&self) {
        let snapshot = self.model.snapshot();
        let rules: BTreeSet<ForwardId> = snapshot.forwards.iter().map(|forward| forward.id).collect();
        let is_kept = |session: &&SessionStatus| session.state == SessionState::Idle && !session.links.is_empty();
        let kept: Vec<&SessionStatus> = snapshot.sessions.iter().filter(is_kept).collect();
        assert!(kept.is_empty() || self.world.idle_timeout.is_none(), "{kept:?}");
        let kept = kept.into_iter().map(|session| session.destination.clone());
        let named = snapshot.forwards.iter().map(|forward| forward.destination.clone());
        let named: BTreeSet<Destination> = named.chain(kept).collect();
        assert_eq!(self.world.counted_forwards, rules, "counters of forwards");
        assert!(self.world.counted_sessions.is_subset(&named), "counters of {:?}", self.world.counted_sessions);
        assert!(
            snapshot.sessions.iter().all(|session| named.contains(&session.destination)),
            "{:?}",
            snapshot.sessions
        );
    }
}
