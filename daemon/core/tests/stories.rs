//! The model's behaviour told as stories: what happens on the left of each line, what it does below.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is surprised")]
#![allow(clippy::print_stderr, reason = "a failed history tells its seed")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alknet_core::{Action, Call, ClientId, Epoch, Event, Model, Moment, Peer, SavedRules};
use alknet_proto::status::Algorithms;
use alknet_proto::{
    Code, Destination, ForwardId, ForwardSpec, Forwarding, Operation, Output, Reason, RequestId, Selector, Stage,
    StatusEvent,
};

/// Runs a script and tells what the model did, line by line.
struct Story {
    model: Model,
    start: Moment,
    requests: u64,
    names: BTreeMap<ForwardId, String>,
    listeners: BTreeMap<String, Epoch>,
    attempts: BTreeMap<String, Epoch>,
    revision: u64,
    told: String,
}

const WATCHER: Call = Call { client: ClientId(0), request: RequestId(1) };

fn story(script: &str) -> String {
    let start = Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
    let mut story = Story {
        model: Model::new(),
        start,
        requests: 1,
        names: BTreeMap::new(),
        listeners: BTreeMap::new(),
        attempts: BTreeMap::new(),
        revision: 0,
        told: String::new(),
    };
    story.model.step(Event::Loaded(SavedRules::default()), start, 0.5);
    let watch = Operation::Watch { selectors: Vec::new(), since: None };
    story.model.step(
        Event::Requested { call: WATCHER, operation: watch, timeout: Duration::from_secs(30) },
        start,
        0.5,
    );
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        story.line(line);
    }
    story.told
}

impl Story {
    fn line(&mut self, line: &str) {
        let (at, what) = line.split_once(' ').unwrap();
        let seconds: f64 = at.strip_suffix('s').unwrap().parse().unwrap();
        let now = self.start + Duration::from_secs_f64(seconds);
        let event = self.event(what);
        let actions = self.model.step(event, now, 0.5);
        let done: Vec<String> = actions.into_iter().filter_map(|action| self.action(action)).collect();
        let done = if done.is_empty() { "nothing".to_owned() } else { done.join(", ") };
        self.told.push_str(&format!("{line}: {done}\n"));
    }

    fn event(&mut self, what: &str) -> Event {
        let words: Vec<&str> = what.split_whitespace().collect();
        match words.as_slice() {
            ["add", name, option, spec, destination, options @ ..] => {
                let forwarding = match *option {
                    "-L" => Forwarding::parse_local(spec),
                    "-R" => Forwarding::parse_remote(spec),
                    _ => Forwarding::parse_dynamic(spec),
                };
                let mut spec = ForwardSpec::new(destination.parse().unwrap(), forwarding.unwrap());
                spec.name = Some(name.parse().unwrap());
                spec.lazy = options.contains(&"lazy");
                spec.idle_timeout_seconds = if options.contains(&"idle=60") { 60 } else { 0 };
                self.ask(Operation::AddForwards(vec![spec]))
            }
            ["remove", name] => self.ask(Operation::RemoveForwards(vec![selector(name)])),
            ["stop", name] => self.ask(Operation::StopForwards(vec![selector(name)])),
            ["start", name] => self.ask(Operation::StartForwards(vec![selector(name)])),
            ["restart", name] => self.ask(Operation::RestartForwards(vec![selector(name)])),
            ["retry"] => self.ask(Operation::RetrySessions(Vec::new())),
            ["disconnect", destination] => self.ask(Operation::DisconnectSession(destination.parse().unwrap())),
            ["client", "gone"] => Event::ClientGone(ClientId(1)),
            ["bound", name] => {
                let (forward, epoch) = self.listener(name);
                Event::ListenerBound { forward, epoch, port: Some(8080), notices: Vec::new() }
            }
            ["refused", name, code] => {
                let (forward, epoch) = self.listener(name);
                Event::ListenerRefused { forward, epoch, reason: reason(Stage::Bind, code) }
            }
            ["closed", name] => {
                let (forward, epoch) = self.listener(name);
                Event::ListenerClosed { forward, epoch }
            }
            ["used", name] => Event::InUse { forward: self.listener(name).0, in_use: true },
            ["quiet", name] => Event::InUse { forward: self.listener(name).0, in_use: false },
            ["connected", destination] => self.connected(destination, self.attempts[*destination]),
            ["connected", destination, epoch] => self.connected(destination, Epoch(epoch[1..].parse().unwrap())),
            ["lost", destination, code] => {
                let epoch = self.attempts[*destination];
                let destination: Destination = destination.parse().unwrap();
                Event::Lost { destination, epoch, reason: reason(Stage::Tcp, code) }
            }
            ["saved"] => Event::Saved { revision: self.revision },
            ["unsaved"] => Event::NotSaved { revision: self.revision, reason: reason(Stage::LocalIo, "not_saved") },
            ["tick"] => Event::Tick,
            ["roused"] => Event::Roused,
            _ => panic!("no such line: {what}"),
        }
    }

    fn connected(&self, destination: &str, epoch: Epoch) -> Event {
        let (kex, host_key, cipher, mac) = Default::default();
        Event::Connected {
            destination: destination.parse().unwrap(),
            epoch,
            peer: Peer {
                address: String::new(),
                user: String::new(),
                server_version: String::new(),
                algorithms: Algorithms { kex, host_key, cipher, mac },
            },
        }
    }

    fn listener(&self, name: &str) -> (ForwardId, Epoch) {
        let id = self.names.iter().rev().find(|(_, known)| *known == name).map(|(id, _)| *id);
        (id.unwrap_or(ForwardId(99)), self.listeners[name])
    }

    fn ask(&mut self, operation: Operation) -> Event {
        self.requests += 2;
        if let Operation::AddForwards(specs) = &operation {
            let id = ForwardId(self.names.len() as u32 + 1);
            self.names.insert(id, specs[0].name.as_ref().unwrap().to_string());
        }
        let call = Call { client: ClientId(1), request: RequestId(self.requests) };
        Event::Requested { call, operation, timeout: Duration::from_secs(30) }
    }

    fn action(&mut self, action: Action) -> Option<String> {
        Some(match action {
            Action::Listen(listen) => {
                let name = self.names[&listen.forward].clone();
                self.listeners.insert(name.clone(), listen.epoch);
                match listen.on_session {
                    None => format!("listen {name}"),
                    Some(_) => format!("ask the server to listen {name}"),
                }
            }
            Action::Close { forward, .. } => format!("close {}", self.names[&forward]),
            Action::Connect { destination, epoch, .. } => {
                self.attempts.insert(destination.to_string(), epoch);
                format!("connect {destination} #{}", epoch.0)
            }
            Action::Probe { destination, epoch } => format!("ask {destination} #{}", epoch.0),
            Action::Disconnect { destination, epoch } => format!("disconnect {destination} #{}", epoch.0),
            Action::Save(rules) => {
                self.revision = rules.revision;
                let rules: Vec<String> = rules
                    .rules
                    .iter()
                    .map(|rule| format!("{}{}", rule.name, if rule.stopped { " (stopped)" } else { "" }))
                    .collect();
                format!("save [{}]", rules.join(" "))
            }
            Action::Reply { result: Ok(Output::Added { forwards, .. }), .. } => {
                format!("reply added {} {}", forwards[0].name, forwards[0].status.word())
            }
            Action::Reply { result: Ok(_), .. } => "reply ok".to_owned(),
            Action::Reply { result: Err(fault), .. } => format!("reply {}", word(fault.code)),
            Action::Publish { event, .. } => match event {
                StatusEvent::ForwardStatus(changed) => {
                    let reason = changed.reason.map(|reason| format!(" ({})", word(reason.code))).unwrap_or_default();
                    let retry = changed.retry_at.map(|at| format!(" until {}s", at.as_millisecond() as f64 / 1e3));
                    format!("{} is {}{reason}{}", changed.name, changed.to.word(), retry.unwrap_or_default())
                }
                StatusEvent::ForwardAdded(added) => format!("{} is new", added.forward.name),
                StatusEvent::ForwardRemoved(removed) => format!("{} is gone", removed.name),
                StatusEvent::SessionStatus(_)
                | StatusEvent::Snapshot(_)
                | StatusEvent::Heartbeat(_)
                | StatusEvent::Lagged(_) => return None,
            },
            Action::Log(_) | Action::ForgetForward(_) | Action::ForgetSession(_) => return None,
            Action::Stop => "stop".to_owned(),
        })
    }
}

fn selector(name: &str) -> Selector {
    name.parse().unwrap()
}

fn reason(stage: Stage, code: &str) -> Reason {
    let code: Code = [
        Code::ConnectionLost,
        Code::KeepaliveLost,
        Code::ConnectionRefused,
        Code::HostKeyChanged,
        Code::AuthRefused,
        Code::AddressInUse,
        Code::RemotePortInUse,
        Code::NotSaved,
    ]
    .into_iter()
    .find(|known| word(*known) == code)
    .unwrap();
    Reason::new(stage, code, code_text(code))
}

fn word(code: Code) -> String {
    let debug = format!("{code:?}");
    let mut snake = String::new();
    for c in debug.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

fn code_text(code: Code) -> String {
    word(code).replace('_', " ")
}

/// Compares without the indentation that the test's source needs.
fn assert_told(told: &str, expected: &str) {
    let expected: String =
        expected.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
    assert!(told == expected, "\n--- told ---\n{told}\n--- expected ---\n{expected}");
}

/// The same lines are script and expectation: what stands before the last `: ` happens.
fn check(expected: &str) {
    let script: Vec<&str> = expected.lines().filter_map(|line| line.split_once(": ").map(|(what, _)| what)).collect();
    // A spec has colons, but never with a blank behind.
    assert_told(&story(&script.join("\n")), expected);
}

#[test]
fn a_local_forward_comes_up_is_lost_and_comes_back() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         60s lost prod keepalive_lost: web is suspended (keepalive_lost) until 60.001s
         60.001s tick: connect prod #3
         61s connected prod: web is active",
    );
}

#[test]
fn a_taken_port_leaves_nothing_behind() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s refused web address_in_use: reply address_in_use
         1s tick: nothing",
    );
}

#[test]
fn a_full_disk_takes_the_whole_request_back() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s unsaved: close web
         0s closed web: reply not_saved
         30s tick: save []",
    );
}

#[test]
fn a_client_that_goes_away_takes_its_request_back() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s client gone: close web
         0s closed web: nothing",
    );
}

#[test]
fn a_failing_session_backs_off_for_ever() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         2s tick: connect prod #3
         2s lost prod connection_refused: nothing
         4s tick: connect prod #4
         4s lost prod connection_refused: nothing
         8s tick: connect prod #5
         8s lost prod connection_refused: nothing
         16s tick: connect prod #6
         16s lost prod connection_refused: nothing
         32s tick: connect prod #7
         32s lost prod connection_refused: nothing
         61s tick: nothing
         62s tick: connect prod #8
         62s lost prod connection_refused: nothing
         92s tick: connect prod #9
         93s connected prod: web is active",
    );
}

#[test]
fn a_flapping_session_keeps_backing_off() {
    // The first five losses come back at once; the sixth keeps its place, and so does the seventh.
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s lost prod connection_lost: web is suspended (connection_lost) until 2.001s
         3s tick: connect prod #3
         3s connected prod: web is active
         4s lost prod connection_lost: web is suspended (connection_lost) until 4.001s
         5s tick: connect prod #4
         5s connected prod: web is active
         6s lost prod connection_lost: web is suspended (connection_lost) until 6.001s
         7s tick: connect prod #5
         7s connected prod: web is active
         8s lost prod connection_lost: web is suspended (connection_lost) until 8.001s
         9s tick: connect prod #6
         9s connected prod: web is active
         10s lost prod connection_lost: web is suspended (connection_lost) until 10.001s
         11s tick: connect prod #7
         11s connected prod: web is active
         12s lost prod connection_lost: web is suspended (connection_lost) until 13s
         13s tick: connect prod #8
         13s connected prod: web is active
         14s lost prod connection_lost: web is suspended (connection_lost) until 16s
         16s tick: connect prod #9
         16s connected prod: web is active
         50s lost prod connection_lost: web is suspended (connection_lost) until 50.001s",
    );
}

#[test]
fn a_changed_host_key_waits_for_a_person() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod host_key_changed: web is error (host_key_changed)
         3600s tick: nothing
         3601s retry: connect prod #3, web is suspended (host_key_changed), reply ok
         3602s connected prod: web is active",
    );
}

#[test]
fn news_of_an_earlier_attempt_changes_nothing() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s remove web: save []
         1s saved: close web, disconnect prod #2
         1s closed web: web is gone, reply ok
         2s add web -L 8080:localhost:80 prod: listen web
         2s bound web: save [web]
         2s saved: web is new, connect prod #4, reply added web starting
         3s connected prod #2: nothing
         4s connected prod #4: web is active",
    );
}

#[test]
fn a_remote_forward_is_asked_for_on_every_session() {
    check(
        "0s add back -R 9000:localhost:22 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         1s connected prod: ask the server to listen back
         1s bound back: back is active
         60s lost prod connection_lost: back is suspended (connection_lost) until 60.001s
         61s tick: connect prod #3
         62s connected prod: ask the server to listen back
         62s bound back: back is active",
    );
}

#[test]
fn a_remote_port_that_is_taken_is_asked_for_again_while_the_session_stays() {
    check(
        "0s add back -R 9000:localhost:22 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         1s connected prod: ask the server to listen back
         1s refused back remote_port_in_use: back is suspended (remote_port_in_use) until 2s
         2s tick: ask the server to listen back
         2s refused back remote_port_in_use: nothing
         4s tick: ask the server to listen back
         4s bound back: back is active",
    );
}

#[test]
fn a_remote_forward_added_to_a_live_session_waits_for_the_server() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add back -R 9000:localhost:22 prod: ask the server to listen back
         3s refused back remote_port_in_use: reply remote_port_in_use
         4s tick: nothing",
    );
}

#[test]
fn stop_wins_over_every_retry() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         1s stop web: save [web (stopped)]
         1s saved: close web, web is stopped
         1s closed web: reply ok
         60s tick: nothing
         61s start web: listen web, connect prod #4, web is starting
         61s bound web: save [web]
         61s saved: reply ok",
    );
}

#[test]
fn a_disconnected_session_comes_back_when_a_person_asks() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s disconnect prod: disconnect prod #2, web is suspended (disconnected), reply ok
         60s tick: nothing
         61s retry: connect prod #3, web is starting, reply ok",
    );
}

#[test]
fn a_lazy_forward_connects_with_its_first_connection() {
    check(
        "0s add web -L 8080:localhost:80 prod lazy idle=60: listen web
         0s bound web: save [web]
         0s saved: web is new, reply added web active
         10s used web: connect prod #2, web is starting
         11s connected prod: web is active
         20s quiet web: nothing
         79s tick: nothing
         80s tick: disconnect prod #2
         81s used web: connect prod #3, web is starting",
    );
}

#[test]
fn a_restart_closes_and_opens_again() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s restart web: close web, web is starting
         2s closed web: listen web
         2s bound web: web is active, reply ok",
    );
}

#[test]
fn after_a_sleep_the_living_are_asked_and_the_waiting_try_at_once() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         60s roused: ask prod #2
         65s lost prod keepalive_lost: web is suspended (keepalive_lost) until 65.001s
         66s tick: connect prod #3
         67s lost prod connection_refused: web is suspended (connection_refused) until 68s
         67.5s roused: connect prod #4",
    );
}
