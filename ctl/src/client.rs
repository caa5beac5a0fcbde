//! Talks to the daemon: one connection, calls, pages and the events of a watch.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alknet_proto::endpoint;
use alknet_proto::event::Snapshot;
use alknet_proto::operation::ForwardRef;
use alknet_proto::pending::{Caller, Subscription};
use alknet_proto::{
    Code, DaemonStatus, Destination, Fault, ForwardStatus, Operation, Output, Selector, Seq, SessionStatus, StatusEvent,
};

use crate::args::Global;
use crate::printer;

const PROGRAM: &str = env!("CARGO_PKG_NAME");
/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the daemon is, and how long it may take to answer.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    socket: PathBuf,
    /// Whether a person named the socket, so that the daemon has to be told of it too.
    is_named: bool,
    timeout: Duration,
    /// What a person asked for, for what has no limit otherwise.
    asked_timeout: Option<Duration>,
    trace: bool,
}

/// How long an answer may take unless a person says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

impl Address {
    /// --socket before ALKNET_SOCKET before the system's place.
    ///
    /// # Errors
    /// [`Code::InvalidConfig`] when the system has no place for it.
    pub(crate) fn new(global: &Global, from_environment: Option<OsString>) -> Result<Self, Fault> {
        let from_environment = from_environment.filter(|path| !path.is_empty()).map(PathBuf::from);
        let named = global.socket.clone().or(from_environment);
        let is_named = named.is_some();
        let socket = match named {
            Some(socket) => socket,
            None => endpoint::default_socket()?,
        };
        let asked_timeout = global.timeout;
        let timeout = asked_timeout.unwrap_or(DEFAULT_TIMEOUT);
        Ok(Address { socket, is_named, timeout, asked_timeout, trace: global.verbose })
    }

    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The limit that a person gave, if any.
    pub(crate) fn asked_timeout(&self) -> Option<Duration> {
        self.asked_timeout
    }

    /// The same with another limit.
    pub(crate) fn with_timeout(&self, timeout: Duration) -> Self {
        Address { timeout, ..self.clone() }
    }

    /// Connects and greets, within the time that an answer may take.
    ///
    /// # Errors
    /// [`Code::NoDaemon`] with the command that starts it, [`Code::VersionMismatch`] and others.
    pub(crate) async fn connect(&self) -> Result<Client, Fault> {
        self.trace("connect", &self.socket.display().to_string());
        let greeted = async {
            let stream = endpoint::connect(&self.socket).await?;
            Caller::open(stream, PROGRAM, VERSION).await
        };
        match tokio::time::timeout(self.timeout, greeted).await {
            Ok(Ok(caller)) => Ok(Client { caller, address: self.clone() }),
            Ok(Err(fault)) => Err(self.with_command(fault)),
            Err(_) => {
                let limit = self.timeout.as_secs_f64();
                let fault = Fault::new(Code::TimedOut, format!("the daemon did not greet within {limit} s"));
                Err(fault
                    .with_hint("wait longer with --timeout; if it stays silent, end its process and start it again"))
            }
        }
    }

    /// Whether nobody listens at the socket.
    pub(crate) async fn is_silent(&self) -> bool {
        match endpoint::connect(&self.socket).await {
            Ok(_) => false,
            Err(fault) => fault.code == Code::NoDaemon,
        }
    }

    /// Where no daemon runs, a person is told the command that starts it.
    fn with_command(&self, fault: Fault) -> Fault {
        let is_hinted = fault.hint.as_deref().is_some_and(|hint| !self.is_named || !hint.starts_with(HOW_TO_START));
        if fault.code != Code::NoDaemon || is_hinted {
            return fault;
        }
        fault.with_hint(command_that_starts(self.is_named.then_some(&self.socket)))
    }

    fn trace(&self, what: &str, of: &str) {
        if self.trace {
            printer::trace(what, of);
        }
    }
}

/// How the hint begins that names the command.
const HOW_TO_START: &str = "start it";

fn command_that_starts(named: Option<&PathBuf>) -> String {
    let (how, in_background) = if cfg!(windows) { ("in another window with", "") } else { ("with", " &") };
    match named.map(|socket| quoted(socket)) {
        Some(socket) => format!("start it {how}: alknetd --socket {socket}{in_background}"),
        None => format!("start it {how}: alknetd{in_background}"),
    }
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "/._-:\\".contains(c));
    if is_plain { text } else { format!("'{text}'") }
}

/// One connection to the daemon. Dropping it takes back everything that is still asked for.
pub(crate) struct Client {
    caller: Caller,
    address: Address,
}

impl Client {
    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.address.timeout
    }

    /// Asks for one thing and waits for the answer, at most as long as --timeout says.
    ///
    /// # Errors
    /// The daemon's fault, [`Code::TimedOut`], [`Code::NoDaemon`].
    pub(crate) async fn call(&self, operation: Operation) -> Result<Output, Fault> {
        let name = operation.name();
        self.address.trace("-> call.requested", name);
        let answer = self.caller.call(operation, self.address.timeout).await;
        let kind = if answer.is_ok() { "<- call.responded" } else { "<- call.error" };
        self.address.trace(kind, name);
        answer.map_err(|fault| self.address.with_command(fault))
    }

    /// The daemon itself.
    pub(crate) async fn daemon(&self) -> Result<DaemonStatus, Fault> {
        match self.call(Operation::DaemonStatus).await? {
            Output::Daemon(daemon) => Ok(daemon),
            other => Err(unexpected("daemon/status", &other)),
        }
    }

    /// All forwards that the selectors pick; none picks all.
    pub(crate) async fn forwards(&self, selectors: &[Selector]) -> Result<Vec<ForwardStatus>, Fault> {
        let mut all: Vec<ForwardStatus> = Vec::new();
        loop {
            let after = all.last().map(|forward| forward.id);
            let page = Operation::ListForwards { selectors: selectors.to_vec(), after };
            match self.call(page).await? {
                Output::Forwards { forwards, more } => {
                    let goes_on = more && !forwards.is_empty();
                    all.extend(forwards);
                    if !goes_on {
                        return Ok(all);
                    }
                }
                other => return Err(unexpected("forwards/list", &other)),
            }
        }
    }

    /// All sessions.
    pub(crate) async fn sessions(&self) -> Result<Vec<SessionStatus>, Fault> {
        let mut all: Vec<SessionStatus> = Vec::new();
        loop {
            let after = all.last().map(|session| session.destination.clone());
            match self.call(Operation::ListSessions { after }).await? {
                Output::Sessions { sessions, more } => {
                    let goes_on = more && !sessions.is_empty();
                    all.extend(sessions);
                    if !goes_on {
                        return Ok(all);
                    }
                }
                other => return Err(unexpected("sessions/list", &other)),
            }
        }
    }

    /// Does something to forwards, and says to which.
    pub(crate) async fn change(&self, operation: Operation) -> Result<Vec<ForwardRef>, Fault> {
        let name = operation.name();
        match self.call(operation).await? {
            Output::Changed(forwards) => Ok(forwards),
            other => Err(unexpected(name, &other)),
        }
    }

    /// Lets the daemon read its configuration again: what changed, and what a person should know about it.
    pub(crate) async fn reload(&self) -> Result<(Vec<String>, Vec<String>), Fault> {
        match self.call(Operation::Reload).await? {
            Output::Reloaded { changed, notices } => Ok((changed, notices)),
            other => Err(unexpected("daemon/reload", &other)),
        }
    }

    /// Does something to sessions, and says to which.
    pub(crate) async fn change_sessions(&self, operation: Operation) -> Result<Vec<Destination>, Fault> {
        let name = operation.name();
        match self.call(operation).await? {
            Output::Destinations(destinations) => Ok(destinations),
            other => Err(unexpected(name, &other)),
        }
    }

    /// Begins to watch, with figures of traffic after each `figures`. A refusal, if any, is the first thing that comes.
    pub(crate) async fn watch(
        &self,
        selectors: Vec<Selector>,
        since: Option<Seq>,
        figures: Option<Duration>,
    ) -> Result<Events, Fault> {
        self.address.trace("-> call.requested", "events/watch");
        let stats_ms = figures.map(|period| u32::try_from(period.as_millis()).unwrap_or(u32::MAX));
        let subscription = self.caller.subscribe(Operation::Watch { selectors, since, stats_ms }).await?;
        Ok(Events { subscription, part: None, address: self.address.clone() })
    }
}

/// The events of one watch. Dropping it ends the watch.
pub(crate) struct Events {
    subscription: Subscription,
    /// The pages of a snapshot that is not whole yet.
    part: Option<Snapshot>,
    address: Address,
}

impl Events {
    /// Waits for the next event; the pages of a snapshot come as one. Cancel-safe.
    ///
    /// # Errors
    /// The daemon's refusal, and [`Code::DaemonStopping`] or [`Code::NoDaemon`] at its end.
    pub(crate) async fn next(&mut self) -> Result<StatusEvent, Fault> {
        loop {
            let event = match self.subscription.next().await {
                Some(Ok(Output::Event(event))) => event,
                Some(Ok(other)) => return Err(unexpected("events/watch", &other)),
                Some(Err(fault)) => return Err(self.address.with_command(fault)),
                None => {
                    let fault = Fault::new(Code::DaemonStopping, "the daemon stops, and ended the watch");
                    return Err(fault.with_hint(command_that_starts(None)));
                }
            };
            self.address.trace("<- call.responded", event.word());
            match event {
                StatusEvent::Snapshot(page) => {
                    if let Some(whole) = merge_page(&mut self.part, page) {
                        return Ok(StatusEvent::Snapshot(whole));
                    }
                }
                change => return Ok(change),
            }
        }
    }
}

/// An answer of another form than what was asked for.
pub(crate) fn unexpected(name: &str, output: &Output) -> Fault {
    let kind = match output {
        Output::Done => "done",
        Output::Daemon(_) => "the daemon's status",
        Output::Added { .. } => "added forwards",
        Output::Changed(_) => "changed forwards",
        Output::Forwards { .. } => "forwards",
        Output::Forward(_) => "one forward",
        Output::Sessions { .. } => "sessions",
        Output::Destinations(_) => "destinations",
        Output::Event(_) => "an event",
        Output::Services(_) => "services",
        Output::Schema(_) => "a schema",
        Output::Explanation(_) => "an explanation",
        Output::FoundForwards { .. } => "forwards of the ssh configuration",
        Output::History(_) => "a history",
        Output::Reloaded { .. } => "what a new configuration changes",
    };
    Fault::new(Code::Internal, format!("the daemon answered {name} with {kind}"))
        .with_hint("`alknetctl version` says whether both programs are of one version")
}

/// Puts the pages of a snapshot together; `None` while more pages follow.
fn merge_page(part: &mut Option<Snapshot>, mut page: Snapshot) -> Option<Snapshot> {
    let mut whole = match part.take() {
        Some(whole) if whole.seq == page.seq => whole,
        Some(_) | None => Snapshot { seq: page.seq, forwards: Vec::new(), sessions: Vec::new(), more: false },
    };
    whole.forwards.append(&mut page.forwards);
    whole.sessions.append(&mut page.sessions);
    if page.more {
        *part = Some(whole);
        return None;
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_pages_of_a_snapshot_become_one() {
        let page = |name, more| Snapshot { seq: 7, forwards: vec![sample::active(name)], sessions: Vec::new(), more };
        let mut part = None;

        assert_eq!(merge_page(&mut part, page("a", true)), None);
        let whole = merge_page(&mut part, page("b", false)).unwrap();

        let names: Vec<&str> = whole.forwards.iter().map(|f| f.name.as_str()).collect();
        assert_eq!((names, whole.more, part), (vec!["a", "b"], false, None));
    }

    #[test]
    fn a_socket_that_was_named_is_named_to_the_daemon_too() {
        assert_eq!(
            command_that_starts(None),
            if cfg!(windows) { "start it with: alknetd" } else { "start it with: alknetd &" }
        );
        assert!(command_that_starts(Some(&PathBuf::from("/tmp/a b"))).contains("alknetd --socket '/tmp/a b'"));
    }
}
