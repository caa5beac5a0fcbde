//! The pretended world: listeners, sessions, a disk and clients, and what each does with an action.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use alknet_core::limits::MAX_UNFINISHED_LOGINS;
use alknet_core::{Action, Call, Epoch, Event, Host, Listen, Peer, SavedRules};
use alknet_proto::status::Algorithms;
use alknet_proto::{Bind, Code, Destination, ForwardId, ForwardStatus, Output, Reason, Stage, Status, StatusEvent};

use alknet_core::limits::MAX_LINKS;

use crate::dice::Dice;
use crate::watcher::Watcher;

/// What news belongs together and therefore comes in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Listener(ForwardId, Epoch),
    Session(Epoch),
    Disk,
}

/// A listener that is open, or was asked for and will be, or never says anything.
pub(crate) struct Listening {
    pub(crate) destination: Destination,
    pub(crate) on_session: Option<Epoch>,
    pub(crate) is_silent: bool,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) listeners: BTreeMap<(ForwardId, Epoch), Listening>,
    /// Attempts that are under way or logged in, and those that never say anything.
    pub(crate) sessions: BTreeMap<Epoch, Destination>,
    /// Those of them that take nothing new.
    retired: BTreeSet<Epoch>,
    /// Where connections believe that they may have a further link.
    pub(crate) may_grow: BTreeSet<Destination>,
    /// Where connections do not wait, because the session does not come back by itself.
    failed: BTreeSet<Destination>,
    /// Where they have asked for one since the links last changed.
    pub(crate) have_asked: BTreeSet<Destination>,
    /// Connections of a forward that are left on a link that its listener moved away from.
    pub(crate) left_behind: BTreeSet<(ForwardId, Epoch)>,
    /// How many links there may be in all.
    pub(crate) max_sessions: usize,
    /// How long a session that nobody wants is kept.
    pub(crate) idle_timeout: Option<Duration>,
    /// What a restart would find.
    pub(crate) disk: SavedRules,
    /// What the store was given and has not written, oldest first.
    writing: VecDeque<SavedRules>,
    pub(crate) news: BTreeMap<Source, VecDeque<Event>>,
    pub(crate) unanswered: BTreeSet<Call>,
    pub(crate) watchers: Vec<Watcher>,
    /// Whose counters are kept.
    pub(crate) counted_forwards: BTreeSet<ForwardId>,
    pub(crate) counted_sessions: BTreeSet<Destination>,
    last_epoch: Epoch,
    /// Links that were asked whether they are still there.
    pub(crate) probed: BTreeSet<Epoch>,
    /// Links whose login the model was told of.
    pub(crate) logged_in: BTreeSet<Epoch>,
    /// The failures that somebody looks out for a remedy of.
    pub(crate) looked_for: BTreeMap<Destination, Epoch>,
    /// Attempts that knocked and wait.
    at_doors: BTreeMap<Epoch, Host>,
    /// Attempts that were let in and are not known to be logged in or over.
    inside: BTreeMap<Epoch, Host>,
    /// Everything succeeds from now on, and says so.
    pub(crate) is_kind: bool,
}

impl World {
    pub(crate) fn perform(&mut self, action: Action, dice: &mut Dice) {
        match action {
            Action::Listen(listen) => self.listen(listen, dice),
            Action::Close { forward, epoch, cut } => {
                assert!(self.counted_forwards.contains(&forward), "{forward} is forgotten and closed");
                let closed = self.listeners.remove(&(forward, epoch));
                let on_session = closed.as_ref().and_then(|listening| listening.on_session);
                if cut {
                    self.cut(forward);
                } else if let Some(session) = on_session {
                    self.left_behind.insert((forward, session));
                }
                if closed.is_some() && (self.is_kind || !dice.one_in(25)) {
                    self.tell(Source::Listener(forward, epoch), Event::ListenerClosed { forward, epoch });
                }
            }
            Action::Connect { destination, epoch, .. } => self.connect(destination, epoch, dice),
            Action::Retire { destination, epoch } => {
                assert!(self.counted_sessions.contains(&destination), "{destination} is forgotten and retired");
                assert!(self.retired.insert(epoch), "{epoch:?} is retired twice");
            }
            Action::Cut(forward) => {
                assert!(self.counted_forwards.contains(&forward), "{forward} is forgotten and cut");
                self.cut(forward);
            }
            Action::Growth { destination, may_grow } => {
                assert_ne!(self.may_grow.contains(&destination), may_grow, "no news of {destination}");
                self.have_asked.remove(&destination);
                if may_grow {
                    self.may_grow.insert(destination);
                } else {
                    self.may_grow.remove(&destination);
                }
            }
            Action::Hope { destination, has_failed } => {
                assert_ne!(self.failed.contains(&destination), has_failed, "no news of {destination}");
                if has_failed {
                    self.failed.insert(destination);
                } else {
                    self.failed.remove(&destination);
                }
            }
            // What looked alive may turn out to be dead.
            Action::Probe { destination, epoch } => {
                self.probed.insert(epoch);
                let is_open = self.sessions.get(&epoch) == Some(&destination);
                if is_open && !self.is_kind && dice.one_in(3) {
                    self.lose_session(epoch, dice);
                }
            }
            Action::Disconnect { destination, epoch } => {
                assert!(self.counted_sessions.contains(&destination), "{destination} is forgotten and disconnected");
                self.logged_in.remove(&epoch);
                if self.sessions.remove(&epoch).is_some() {
                    self.end_remote_listeners(epoch);
                    let reason = Reason::new(Stage::Tcp, Code::Disconnected, "told to");
                    self.tell(Source::Session(epoch), Event::Lost { destination, epoch, reason });
                }
            }
            Action::Save(rules) => self.save(rules, dice),
            Action::Reply { call, result } => {
                match &result {
                    Ok(Output::Added { forwards, .. }) => forwards.iter().for_each(|forward| self.check_kept(forward)),
                    Ok(_) => {}
                    Err(fault) => assert_ne!(fault.code, Code::Internal, "{fault}"),
                }
                match self.watchers.iter_mut().find(|watcher| watcher.call == call) {
                    Some(watcher) => {
                        assert!(result.is_err() && watcher.is_on, "a subscription is only refused: {result:?}");
                        watcher.is_on = false;
                    }
                    None => assert!(self.unanswered.remove(&call), "an answer that nobody waits for: {call:?}"),
                }
            }
            Action::Publish { call, event } => {
                let watcher = self.watchers.iter_mut().find(|watcher| watcher.call == call);
                watcher.unwrap_or_else(|| panic!("nobody watches as {call:?}")).hear(event);
            }
            Action::BeginRates(call) => {
                assert!(self.watchers.iter().any(|watcher| watcher.call == call && watcher.is_on), "{call:?}");
            }
            Action::Log(event) => {
                let is_change = !matches!(
                    event,
                    StatusEvent::Snapshot(_)
                        | StatusEvent::Heartbeat(_)
                        | StatusEvent::Lagged(_)
                        | StatusEvent::Stats(_)
                );
                assert!(is_change, "no change, and logged: {event:?}");
            }
            Action::ForgetForward(forward) => {
                let is_open = self.listeners.keys().any(|(open, _)| *open == forward);
                assert!(!is_open, "{forward} is forgotten and listens");
                self.counted_forwards.remove(&forward);
                self.cut(forward);
            }
            Action::ForgetSession(destination) => {
                let is_used = self.listeners.values().any(|listening| listening.destination == destination)
                    || self.sessions.values().any(|open| *open == destination);
                assert!(!is_used, "{destination} is forgotten and used");
                self.may_grow.remove(&destination);
                self.failed.remove(&destination);
                self.counted_sessions.remove(&destination);
                self.looked_for.remove(&destination);
            }
            Action::Stop => panic!("nobody asked to stop"),
            Action::LookOut { destination, epoch, .. } => {
                assert_eq!(self.looked_for.insert(destination, epoch), None, "two look out for one failure");
            }
            Action::LookAway(destination) => {
                self.looked_for.remove(&destination).expect("somebody looks out");
            }
            Action::Admit { destination, epoch } => self.admit(destination, epoch, dice),
        }
    }

    /// Whoever is told that a forward is added finds it after a restart.
    fn check_kept(&self, forward: &ForwardStatus) {
        let kept = self.disk.rules.iter().find(|rule| rule.id == forward.id);
        if forward.ephemeral {
            assert!(kept.is_none(), "an ephemeral forward is on disk");
            return;
        }
        let rule = kept.unwrap_or_else(|| panic!("{} is answered and not on disk", forward.name));
        assert_eq!((&rule.name, &rule.destination), (&forward.name, &forward.destination));
        assert_eq!((&rule.tags, rule.lazy), (&forward.tags, forward.lazy));
        assert_eq!(rule.forwarding.kind(), forward.kind);
        // Not the other way round: a start that waited for this answer may have begun in the same turn.
        assert!(rule.stopped || forward.status != Status::Stopped, "{}", forward.name);
        // A server may give another port while the disk is asked: that one is on its way.
        if matches!(rule.forwarding.bind(), Bind::Tcp(_, 0)) && !forward.kind.listens_remotely() {
            assert_eq!(rule.earlier_port.unwrap_or(0), forward.bind_port, "{}", forward.name);
        }
    }

    fn listen(&mut self, listen: Listen, dice: &mut Dice) {
        self.grow(listen.epoch);
        let (forward, epoch) = (listen.forward, listen.epoch);
        let is_open = self.listeners.keys().any(|(open, _)| *open == forward);
        assert!(!is_open, "a second listener for {forward} while one is open");
        self.counted_forwards.insert(forward);
        self.counted_sessions.insert(listen.destination.clone());
        if let Some(session) = listen.on_session
            && !self.sessions.contains_key(&session)
        {
            return; // The session is gone already; its loss is on the way.
        }
        if !self.is_kind && dice.one_in(4) {
            let code = if dice.one_in(3) { Code::PermissionDenied } else { Code::AddressInUse };
            self.refuse(forward, epoch, code);
            return;
        }
        let is_silent = !self.is_kind && dice.one_in(25);
        let Listen { destination, on_session, .. } = listen;
        self.listeners.insert((forward, epoch), Listening { destination, on_session, is_silent });
        if is_silent {
            return;
        }
        let port = match listen.forwarding.bind() {
            Bind::Tcp(_, 0) if dice.one_in(3) => Some(30_000 + dice.roll(1000) as u16),
            Bind::Tcp(_, 0) => listen.earlier_port.or(Some(31_000 + dice.roll(1000) as u16)),
            Bind::Tcp(_, port) => Some(*port),
            Bind::Unix(_) => None,
        };
        let bound = Event::ListenerBound { forward, epoch, port, notices: Vec::new() };
        self.tell(Source::Listener(forward, epoch), bound);
    }

    fn connect(&mut self, destination: Destination, epoch: Epoch, dice: &mut Dice) {
        self.grow(epoch);
        let open = self.sessions.iter().filter(|(epoch, to)| **to == destination && !self.retired.contains(epoch));
        // One beside them is on its way to take a place.
        assert!(open.count() <= MAX_LINKS, "too many attempts to {destination}");
        assert!(self.sessions.len() < self.max_sessions, "{} links are open already", self.sessions.len());
        self.counted_sessions.insert(destination.clone());
        self.sessions.insert(epoch, destination.clone());
        if !self.is_kind && dice.one_in(6) {
            self.lose_session(epoch, dice);
        } else if self.is_kind || !dice.one_in(20) {
            self.knock(destination, epoch, dice);
        }
    }

    /// An attempt has found its way to a server; two destinations are names of one.
    fn knock(&mut self, destination: Destination, epoch: Epoch, dice: &mut Dice) {
        let is_alone = destination.host == "edge" || dice.one_in(10);
        let host = Host::new(if is_alone { &destination.host } else { "one" }, 22);
        self.at_doors.insert(epoch, host.clone());
        self.tell(Source::Session(epoch), Event::Knocks { destination, epoch, host });
    }

    /// An attempt is let go to the server that it knocked for.
    fn admit(&mut self, destination: Destination, epoch: Epoch, dice: &mut Dice) {
        let host = self.at_doors.remove(&epoch).expect("who is let in has knocked, once");
        if self.sessions.get(&epoch) != Some(&destination) {
            return; // It is over already; its loss is on the way.
        }
        self.inside.insert(epoch, host.clone());
        let n_inside = self.inside.values().filter(|other| **other == host).count();
        assert!(n_inside <= MAX_UNFINISHED_LOGINS, "{n_inside} attempts at {host:?} without a login");
        if !self.is_kind && dice.one_in(3) {
            self.lose_session(epoch, dice);
        } else if !self.is_kind && dice.one_in(10) {
            // A jump: the next server on the way.
            self.inside.remove(&epoch);
            self.knock(destination, epoch, dice);
        } else if self.is_kind || !dice.one_in(20) {
            let peer = Peer {
                address: String::new(),
                user: String::new(),
                server_version: String::new(),
                algorithms: Algorithms::default(),
                needs_person: dice.one_in(8),
            };
            self.tell(Source::Session(epoch), Event::Connected { destination, epoch, peer });
        }
    }

    /// The latest wins: what was not written when newer rules come may never be written by itself.
    fn save(&mut self, rules: SavedRules, dice: &mut Dice) {
        let revision = rules.revision;
        if !self.is_kind && dice.one_in(6) {
            let reason = Reason::new(Stage::LocalIo, Code::NotSaved, "the disk is full");
            self.tell(Source::Disk, Event::NotSaved { revision, reason });
            return;
        }
        if dice.one_in(3)
            && let Some(Event::Saved { .. }) = self.news.get(&Source::Disk).and_then(VecDeque::back)
        {
            self.news.get_mut(&Source::Disk).unwrap().pop_back();
            self.writing.pop_back();
        }
        self.writing.push_back(rules);
        self.tell(Source::Disk, Event::Saved { revision });
    }

    fn grow(&mut self, epoch: Epoch) {
        assert!(self.last_epoch < epoch, "an epoch that does not grow");
        self.last_epoch = epoch;
    }

    fn tell(&mut self, source: Source, event: Event) {
        self.news.entry(source).or_default().push_back(event);
    }

    fn end_remote_listeners(&mut self, session: Epoch) {
        self.listeners.retain(|_, listening| listening.on_session != Some(session));
        self.left_behind.retain(|(_, on_session)| *on_session != session);
    }

    /// Every connection of a forward is reset.
    fn cut(&mut self, forward: ForwardId) {
        self.left_behind.retain(|(left, _)| *left != forward);
    }

    /// A session ends by itself, or an attempt fails.
    pub(crate) fn lose_session(&mut self, epoch: Epoch, dice: &mut Dice) {
        let Some(destination) = self.sessions.remove(&epoch) else { return };
        self.end_remote_listeners(epoch);
        let (stage, code) = match dice.roll(9) {
            0 | 1 => (Stage::Auth, Code::AuthRefused),
            2 => (Stage::Handshake, Code::ServerBusy),
            3 => (Stage::Handshake, Code::ConnectionLost),
            4 => (Stage::Handshake, Code::NotSsh),
            5 => (Stage::Auth, Code::AgentRefused),
            _ => (Stage::Tcp, Code::ConnectionLost),
        };
        let reason = Reason::new(stage, code, "lost");
        self.tell(Source::Session(epoch), Event::Lost { destination, epoch, reason });
    }

    /// A listener ends by itself.
    pub(crate) fn lose_listener(&mut self, forward: ForwardId, epoch: Epoch) {
        let listening = self.listeners.remove(&(forward, epoch));
        if listening.is_some_and(|listening| !listening.is_silent) {
            self.refuse(forward, epoch, Code::AddressInUse);
        }
    }

    fn refuse(&mut self, forward: ForwardId, epoch: Epoch, code: Code) {
        let reason = Reason::new(Stage::Bind, code, "refused");
        self.tell(Source::Listener(forward, epoch), Event::ListenerRefused { forward, epoch, reason });
    }

    /// The next news of anybody; what is told to be on disk is there from then on.
    pub(crate) fn next_news(&mut self, dice: &mut Dice) -> Option<Event> {
        let source = dice.pick(self.news.keys())?.clone();
        let queue = self.news.get_mut(&source).unwrap();
        let event = queue.pop_front().unwrap();
        if let Event::Connected { epoch, destination, .. } | Event::Lost { epoch, destination, .. } = &event {
            self.have_asked.remove(destination);
            self.inside.remove(epoch);
            self.at_doors.remove(epoch);
        }
        if queue.is_empty() {
            self.news.remove(&source);
        }
        if let Event::Saved { revision } = event {
            self.disk = self.writing.pop_front().unwrap();
            assert_eq!(self.disk.revision, revision);
        }
        Some(event)
    }
}
