//! Runs a script against a model and tells what the model did, line by line.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alknet_core::{Action, Call, ClientId, Epoch, Event, Host, Listen, Model, Moment, Options, Peer, SavedRules};
use alknet_proto::status::Algorithms;
use alknet_proto::{
    Bind, Destination, ForwardId, ForwardSpec, Forwarding, Operation, RequestId, Selector, Stage, StatusEvent,
};

use crate::words::{edge, heard, reason, reply, stage_named, stage_of, word};

/// A story under way.
struct Story {
    model: Model,
    start: Moment,
    requests: u64,
    /// The id that the next forward is expected to get.
    next_id: u32,
    names: BTreeMap<ForwardId, String>,
    listeners: BTreeMap<ForwardId, Epoch>,
    attempts: BTreeMap<Destination, Epoch>,
    /// The failures that somebody looks out for a remedy of.
    looked_for: BTreeMap<Destination, Epoch>,
    revision: u64,
    /// Somebody watches everything; without, only the watchers of the script do.
    is_watched: bool,
    /// The script cares about whether further links may come.
    tells_growth: bool,
    /// The script cares about whether connections wait.
    tells_hope: bool,
    is_stopping: bool,
    told: String,
}

/// Watches everything; what it hears is told without its name.
const WATCHER: Call = Call { client: ClientId(0), request: RequestId(1) };
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays an expectation's left sides and compares what comes of it. Without indentation, script and expectation are
/// the same lines: what stands before the last `: ` happens.
pub(crate) fn check(expected: &str) {
    assert_told(&story(SavedRules::default(), true, expected), expected);
}

/// As [`check`], and nobody watches but whom the script lets watch.
pub(crate) fn check_watchers(expected: &str) {
    assert_told(&story(SavedRules::default(), false, expected), expected);
}

/// As [`check`], of a daemon that finds rules on disk.
pub(crate) fn check_from(rules: SavedRules, expected: &str) {
    assert_told(&story(rules, true, expected), expected);
}

fn story(rules: SavedRules, is_watched: bool, script: &str) -> String {
    let start = Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
    let mut story = Story {
        model: Model::new(),
        start,
        requests: 1,
        next_id: rules.next_id.max(1),
        names: rules.rules.iter().map(|rule| (rule.id, rule.name.to_string())).collect(),
        listeners: BTreeMap::new(),
        attempts: BTreeMap::new(),
        looked_for: BTreeMap::new(),
        revision: 0,
        is_watched,
        tells_growth: script.contains("may have more"),
        tells_hope: script.contains("nobody waits for"),
        is_stopping: false,
        told: String::new(),
    };
    if is_watched {
        let operation = Operation::Watch { selectors: Vec::new(), since: None, stats_ms: None };
        story.step(Event::Requested { call: WATCHER, operation, timeout: PATIENCE }, start);
    }
    if !rules.rules.is_empty() {
        story.tell("load", Event::Loaded(rules), start);
    }
    // A spec has colons, but never with a blank behind.
    let lines = script.lines().filter_map(|line| line.split_once(": ").map(|(what, _)| what.trim()));
    for line in lines.filter(|line| *line != "load") {
        story.line(line);
    }
    story.told
}

fn assert_told(told: &str, expected: &str) {
    let expected: String =
        expected.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
    assert!(told == expected, "\n--- told ---\n{told}\n--- expected ---\n{expected}");
}

impl Story {
    fn line(&mut self, line: &str) {
        let (at, what) = line.split_once(' ').unwrap();
        let seconds: f64 = at.strip_suffix('s').unwrap().parse().unwrap();
        let now = self.start + Duration::from_secs_f64(seconds);
        if what == "tick" && self.is_watched {
            self.tick(line, now);
        } else {
            let event = self.event(what);
            self.tell(line, event, now);
        }
    }

    /// What comes with time comes because the model said when: heartbeats pass first, and then something else was due.
    fn tick(&mut self, line: &str, now: Moment) {
        while let Some((at, "heartbeat")) = self.model.next_deadline().filter(|(at, _)| *at <= now.steady) {
            let beat = self.start + at.duration_since(self.start.steady);
            assert!(self.step(Event::Tick, beat).is_empty(), "something was due that had no deadline before {line}");
        }
        let was_due = self.model.next_deadline().is_some_and(|(at, _)| at <= now.steady);
        let told = self.tell(line, Event::Tick, now);
        assert!(was_due || told == "nothing", "{line} brought {told}, which had no deadline");
    }

    fn tell(&mut self, line: &str, event: Event, now: Moment) -> String {
        let done = self.step(event, now);
        let done = if done.is_empty() { "nothing".to_owned() } else { done.join(", ") };
        self.told.push_str(&format!("{line}: {done}\n"));
        done
    }

    fn step(&mut self, event: Event, now: Moment) -> Vec<String> {
        let n_asked = if let Event::Requested { operation: Operation::AddForwards(specs), .. } = &event {
            for (n, spec) in specs.iter().enumerate() {
                let name = spec.name.as_ref().map_or("unnamed".to_owned(), ToString::to_string);
                self.names.insert(ForwardId(self.next_id + n as u32), name);
            }
            specs.len() as u32
        } else {
            0
        };
        let actions = self.model.step(event, now, 0.5);
        if actions.iter().any(|action| matches!(action, Action::Reply { result: Err(_), .. })) && 0 < n_asked {
            // A request that is refused at once takes no ids.
            self.names.retain(|id, _| id.0 < self.next_id);
        } else {
            self.next_id += n_asked;
        }
        self.check_log(&actions);
        self.is_stopping |= actions.contains(&Action::Stop);
        assert!(!self.is_stopping || self.model.next_deadline().is_none(), "a stopping daemon waits for something");
        actions.into_iter().filter_map(|action| self.action(action)).collect()
    }

    /// The log has every change once, whoever watches.
    fn check_log(&self, actions: &[Action]) {
        let logged: Vec<&StatusEvent> = actions
            .iter()
            .filter_map(|action| if let Action::Log(event) = action { Some(event) } else { None })
            .collect();
        let heard = actions.iter().filter_map(|action| match action {
            Action::Publish { call, event } if *call == WATCHER => edge(event).map(|_| event),
            _ => None,
        });
        if self.is_watched {
            assert_eq!(logged, heard.collect::<Vec<_>>(), "the log and whoever watches everything");
        }
    }

    fn event(&mut self, what: &str) -> Event {
        let words: Vec<&str> = what.split_whitespace().collect();
        if let ["add", specs @ ..] = words.as_slice() {
            let specs = specs.split(|word| *word == "and").map(spec).collect();
            return self.ask(Operation::AddForwards(specs));
        }
        // The number of an attempt, where not the latest is meant.
        let (words, epoch) = match words.as_slice() {
            [words @ .., number] if number.starts_with('#') => (words, Some(Epoch(number[1..].parse().unwrap()))),
            words => (words, None),
        };
        match words {
            ["remove", names @ ..] => self.ask(Operation::RemoveForwards(selectors(names))),
            ["stop", names @ ..] => self.ask(Operation::StopForwards(selectors(names))),
            ["start", names @ ..] => self.ask(Operation::StartForwards(selectors(names))),
            ["restart", names @ ..] => self.ask(Operation::RestartForwards(selectors(names))),
            ["list", names @ ..] => self.ask(Operation::ListForwards { selectors: selectors(names), after: None }),
            ["show", name] => self.ask(Operation::ShowForward(selector(name))),
            ["sessions"] => self.ask(Operation::ListSessions { after: None }),
            ["retry", destinations @ ..] => {
                self.ask(Operation::RetrySessions(destinations.iter().map(|to| to.parse().unwrap()).collect()))
            }
            ["disconnect", destination] => self.ask(Operation::DisconnectSession(destination.parse().unwrap())),
            ["shut", "down"] => self.ask(Operation::Shutdown),
            ["abort"] => Event::Aborted(self.latest_call()),
            ["client", "gone"] => Event::ClientGone(ClientId(1)),
            ["watch", watcher, names @ .., "since", seq] => watch(watcher, names, Some(seq.parse().unwrap()), None),
            ["watch", watcher, names @ .., "figures", ms] => watch(watcher, names, None, Some(ms.parse().unwrap())),
            ["watch", watcher, names @ ..] => watch(watcher, names, None, None),
            ["unwatch", watcher] => Event::Aborted(subscription(watcher)),
            ["caught", "up", watcher] => Event::CaughtUp(subscription(watcher)),
            ["bound", name, rest @ ..] => {
                let (forward, epoch) = self.listener(name, epoch);
                let port = rest.first().and_then(|word| word.parse().ok()).unwrap_or(8080);
                let notices = rest.iter().filter(|word| word.parse::<u16>().is_err()).map(ToString::to_string);
                Event::ListenerBound { forward, epoch, port: Some(port), notices: notices.collect() }
            }
            ["refused", name, code] => {
                let (forward, epoch) = self.listener(name, epoch);
                Event::ListenerRefused { forward, epoch, reason: reason(Stage::Bind, code) }
            }
            ["closed", name] => {
                let (forward, epoch) = self.listener(name, epoch);
                Event::ListenerClosed { forward, epoch }
            }
            ["short", name] => {
                let (forward, epoch) = self.listener(name, epoch);
                let reason = Some(reason(Stage::LocalIo, "too_many_files"));
                Event::ListenerHampered { forward, epoch, reason }
            }
            ["roomy", name] => {
                let (forward, epoch) = self.listener(name, epoch);
                Event::ListenerHampered { forward, epoch, reason: None }
            }
            ["used", name] => Event::InUse { forward: self.listener(name, epoch).0, in_use: true },
            ["quiet", name] => Event::InUse { forward: self.listener(name, epoch).0, in_use: false },
            ["connected", to, "by", "hand"] => {
                let Event::Connected { destination, epoch, peer } = connected(to, self.attempt(to, epoch)) else {
                    unreachable!("it makes nothing else")
                };
                Event::Connected { destination, epoch, peer: Peer { needs_person: true, ..peer } }
            }
            ["connected", to] => connected(to, self.attempt(to, epoch)),
            ["lost", to, code] => {
                let (destination, epoch) = (to.parse().unwrap(), self.attempt(to, epoch));
                Event::Lost { destination, epoch, reason: reason(stage_of(code), code) }
            }
            // An attempt that failed at another step than its code is usual at.
            ["lost", to, code, "at", stage] => {
                let (destination, epoch) = (to.parse().unwrap(), self.attempt(to, epoch));
                Event::Lost { destination, epoch, reason: reason(stage_named(stage), code) }
            }
            ["mended", to] => {
                let destination = to.parse().unwrap();
                let epoch = epoch.unwrap_or_else(|| *self.looked_for.get(&destination).expect("somebody looks out"));
                Event::Mended { destination, epoch }
            }
            ["knocks", to, "at", host] => {
                let (destination, epoch) = (to.parse().unwrap(), self.attempt(to, epoch));
                Event::Knocks { destination, epoch, host: Host::new(host, 22) }
            }
            ["saved"] => Event::Saved { revision: self.revision },
            ["unsaved"] => Event::NotSaved { revision: self.revision, reason: reason(Stage::LocalIo, "not_saved") },
            ["saved", revision] => Event::Saved { revision: revision.parse().unwrap() },
            ["unsaved", revision] => {
                let revision = revision.parse().unwrap();
                Event::NotSaved { revision, reason: reason(Stage::LocalIo, "not_saved") }
            }
            ["crowded", to] => Event::Crowded { destination: to.parse().unwrap() },
            ["link", "used", to] => self.link_use(to, epoch, true),
            ["link", "quiet", to] => self.link_use(to, epoch, false),
            ["worn", to] => Event::Worn { destination: to.parse().unwrap(), epoch: self.attempt(to, epoch) },
            ["renew", to] => self.ask(Operation::RenewSession(to.parse().unwrap())),
            ["allow", number, "sessions"] => {
                Event::Configured(Options { max_sessions: number.parse().unwrap(), ..Options::default() })
            }
            ["idle", "for", "ever"] => Event::Configured(Options { idle_timeout: None, ..Options::default() }),
            ["idle", "for", number, "s"] => {
                let idle_timeout = Some(Duration::from_secs(number.parse().unwrap()));
                Event::Configured(Options { idle_timeout, ..Options::default() })
            }
            ["everybody", "retries"] => Event::RetryAll,
            ["signal", "to", "stop"] => Event::ShutdownAsked,
            ["tick"] => Event::Tick,
            ["roused"] => Event::Roused,
            _ => panic!("no such line: {what}"),
        }
    }

    fn link_use(&self, to: &str, epoch: Option<Epoch>, in_use: bool) -> Event {
        Event::LinkInUse { destination: to.parse().unwrap(), epoch: self.attempt(to, epoch), in_use }
    }

    fn attempt(&self, destination: &str, epoch: Option<Epoch>) -> Epoch {
        epoch.unwrap_or_else(|| self.attempts[&destination.parse().unwrap()])
    }

    /// The newest forward of this name, and the attempt to listen that is meant.
    fn listener(&self, name: &str, epoch: Option<Epoch>) -> (ForwardId, Epoch) {
        let id = *self.names.iter().rev().find(|(_, known)| *known == name).unwrap().0;
        (id, epoch.unwrap_or_else(|| self.listeners[&id]))
    }

    fn latest_call(&self) -> Call {
        Call { client: ClientId(1), request: RequestId(self.requests) }
    }

    fn ask(&mut self, operation: Operation) -> Event {
        self.requests += 2;
        Event::Requested { call: self.latest_call(), operation, timeout: PATIENCE }
    }

    fn action(&mut self, action: Action) -> Option<String> {
        Some(match action {
            Action::Listen(listen) => self.listen(&listen),
            Action::Close { forward, cut: true, .. } => format!("close {}", self.names[&forward]),
            Action::Close { forward, cut: false, .. } => format!("move {}", self.names[&forward]),
            Action::Cut(forward) => format!("cut {}", self.names[&forward]),
            Action::Retire { destination, epoch } => format!("retire {destination} #{}", epoch.0),
            Action::Growth { destination, may_grow } if self.tells_growth => {
                format!("{destination} {}", if may_grow { "may have more" } else { "has no more" })
            }
            Action::Growth { .. } => return None,
            Action::Hope { destination, has_failed } if self.tells_hope => {
                format!("{} for {destination}", if has_failed { "nobody waits" } else { "connections wait" })
            }
            Action::Hope { .. } => return None,
            Action::Connect { destination, epoch, accept_new } => {
                let how = if accept_new { " accepting a new key" } else { "" };
                self.attempts.insert(destination.clone(), epoch);
                format!("connect {destination} #{}{how}", epoch.0)
            }
            Action::Probe { destination, epoch } => format!("ask {destination} #{}", epoch.0),
            Action::Disconnect { destination, epoch } => format!("disconnect {destination} #{}", epoch.0),
            Action::Save(rules) => self.save(rules),
            Action::Reply { result, .. } => match result {
                Ok(output) => format!("reply {}", reply(output)),
                Err(fault) => format!("reply {}", word(fault.code)),
            },
            Action::Publish { call, event } if call == WATCHER => {
                // Its sessions are told elsewhere: by what is connected and disconnected.
                return edge(&event).filter(|_| !matches!(event, StatusEvent::SessionStatus(_)));
            }
            Action::Publish { call, event } => format!("{} hears {}", call.client.0, heard(&event)),
            Action::ForgetForward(forward) => format!("forget {}", self.names[&forward]),
            Action::ForgetSession(destination) => {
                self.looked_for.remove(&destination);
                format!("forget {destination}")
            }
            Action::BeginRates(call) => format!("begin the rates of {}", call.client.0),
            Action::Log(_) => return None,
            Action::Stop => "stop".to_owned(),
            // Told by what is mended: nothing is that nobody looks out for.
            Action::LookOut { destination, epoch, .. } => {
                let before = self.looked_for.insert(destination, epoch);
                assert_eq!(before, None, "somebody looks out for it already");
                return None;
            }
            Action::LookAway(destination) => {
                self.looked_for.remove(&destination).expect("somebody looks out for it");
                return None;
            }
            Action::Admit { destination, epoch } => format!("admit {destination} #{}", epoch.0),
        })
    }

    fn listen(&mut self, listen: &Listen) -> String {
        self.listeners.insert(listen.forward, listen.epoch);
        let name = &self.names[&listen.forward];
        let asks_for_any = matches!(listen.forwarding.bind(), Bind::Tcp(_, 0));
        let port = listen.earlier_port.filter(|_| asks_for_any).map(|port| format!(" on {port}")).unwrap_or_default();
        match listen.on_session {
            None => format!("listen {name}{port}"),
            Some(_) => format!("ask the server to listen {name}{port}"),
        }
    }

    fn save(&mut self, rules: SavedRules) -> String {
        self.revision = rules.revision;
        let rules: Vec<String> = rules
            .rules
            .iter()
            .map(|rule| {
                self.names.insert(rule.id, rule.name.to_string());
                let asks_for_any = matches!(rule.forwarding.bind(), Bind::Tcp(_, 0));
                let port = rule.earlier_port.filter(|_| asks_for_any).map(|port| format!(" on {port}"));
                let stopped = if rule.stopped { " (stopped)" } else { "" };
                format!("{}{}{stopped}", rule.name, port.unwrap_or_default())
            })
            .collect();
        format!("save [{}]", rules.join(" "))
    }
}

/// Reads `web -L 8080:localhost:80 prod lazy`; a name of `-` is none.
fn spec(words: &[&str]) -> ForwardSpec {
    let [name, option, spec, destination, options @ ..] = words else { panic!("no such forward: {words:?}") };
    let forwarding = match *option {
        "-L" => Forwarding::parse_local(spec),
        "-R" => Forwarding::parse_remote(spec),
        _ => Forwarding::parse_dynamic(spec),
    };
    let mut spec = ForwardSpec::new(destination.parse().unwrap(), forwarding.unwrap());
    spec.name = (*name != "-").then(|| name.parse().unwrap());
    for option in options {
        match *option {
            "lazy" => spec.lazy = true,
            "idle=60" => spec.idle_timeout_seconds = 60,
            "stopped" => spec.stopped = true,
            "ephemeral" => spec.ephemeral = true,
            "accept-new" => spec.accept_new = true,
            tag => spec.tags.push(tag.strip_prefix('@').unwrap().parse().unwrap()),
        }
    }
    spec
}

fn selectors(names: &[&str]) -> Vec<Selector> {
    names.iter().map(|name| selector(name)).collect()
}

fn selector(name: &str) -> Selector {
    match name.strip_prefix("--host=") {
        Some(destination) => Selector::Host(destination.parse().unwrap()),
        None if name == "--all" => Selector::All,
        None => name.parse().unwrap(),
    }
}

fn subscription(watcher: &str) -> Call {
    Call { client: ClientId(watcher.parse().unwrap()), request: RequestId(1) }
}

fn watch(watcher: &str, names: &[&str], since: Option<u64>, stats_ms: Option<u32>) -> Event {
    let operation = Operation::Watch { selectors: selectors(names), since, stats_ms };
    Event::Requested { call: subscription(watcher), operation, timeout: PATIENCE }
}

fn connected(destination: &str, epoch: Epoch) -> Event {
    let peer = Peer {
        address: String::new(),
        user: String::new(),
        server_version: String::new(),
        algorithms: Algorithms::default(),
        needs_person: false,
    };
    Event::Connected { destination: destination.parse().unwrap(), epoch, peer }
}
