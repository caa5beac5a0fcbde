//! Operations: what each asks for, and what is refused before anything is begun.

use alknet_proto::operation::{MAX_ADDED_AT_ONCE, PAGE};
use alknet_proto::status::ForwardDetail;
use alknet_proto::{
    Bind, Code, Destination, Fault, ForwardId, ForwardName, ForwardSpec, Operation, Output, Selector, Stage,
};

use crate::calls::{Answer, PendingCall, Step, Work};
use crate::event::Call;
use crate::forward::{Forward, Life, Listener};
use crate::limits::MAX_FORWARDS;
use crate::model::{Deferred, Model, Turn};
use crate::moment::Moment;
use crate::naming::name_for;
use crate::rules::check_spec;
use crate::select::pick;

impl Model {
    /// Begins an operation; answers at once what needs no waiting.
    pub(crate) fn requested(&mut self, call: Call, operation: Operation, deadline: Moment, turn: &mut Turn) {
        if self.stopping {
            let fault = Fault::new(Code::DaemonStopping, "the daemon is stopping");
            turn.answers.push((call, Answer::Ready(Err(fault))));
            return;
        }
        let answer = match operation {
            Operation::AddForwards(specs) => self.add(call, specs, deadline, turn).err().map(Err),
            Operation::RemoveForwards(selectors) => self.alter(call, Work::Remove, selectors, deadline, turn),
            Operation::StartForwards(selectors) => self.alter(call, Work::Start, selectors, deadline, turn),
            Operation::StopForwards(selectors) => self.alter(call, Work::Stop, selectors, deadline, turn),
            Operation::RestartForwards(selectors) => self.alter(call, Work::Restart, selectors, deadline, turn),
            Operation::ListForwards { selectors, after } => Some(self.list(&selectors, after)),
            Operation::ShowForward(selector) => Some(self.show(&selector)),
            Operation::ListSessions { after } => Some(Ok(self.list_sessions(after.as_ref()))),
            Operation::RetrySessions(destinations) => Some(self.retry(destinations, turn)),
            Operation::DisconnectSession(destination) => Some(self.disconnect(destination, turn)),
            Operation::RenewSession(destination) => self.renew(call, destination, deadline, turn),
            Operation::Watch { selectors, since, stats_ms } => {
                self.watch(call, selectors, since, stats_ms, turn).err().map(Err)
            }
            Operation::Shutdown => {
                turn.answers.push((call, Answer::Ready(Ok(Output::Done))));
                self.stop(turn);
                None
            }
            Operation::Ping
            | Operation::DaemonStatus
            | Operation::ListServices
            | Operation::ServiceSchema(_)
            | Operation::Explain(_)
            | Operation::FindForwards { .. }
            | Operation::Reload
            | Operation::History { .. } => {
                let message = "the model was asked for what it does not know";
                Some(Err(Fault::new(Code::Internal, message)))
            }
        };
        if let Some(answer) = answer {
            turn.answers.push((call, Answer::Ready(answer)));
        }
    }

    /// Removes, starts, stops or restarts what is selected, after whatever is being done to it.
    pub(crate) fn alter(
        &mut self,
        call: Call,
        work: Work,
        selectors: Vec<Selector>,
        deadline: Moment,
        turn: &mut Turn,
    ) -> Option<Result<Output, Fault>> {
        match self.pick(&selectors) {
            Ok(ids) if ids.iter().any(|id| self.is_busy(*id)) => {
                self.deferred.push(Deferred { call, work, selectors, deadline });
                None
            }
            Ok(ids) => {
                self.change(call, work, ids, deadline, turn);
                None
            }
            Err(fault) => Some(Err(fault)),
        }
    }

    fn add(&mut self, call: Call, specs: Vec<ForwardSpec>, deadline: Moment, turn: &mut Turn) -> Result<(), Fault> {
        if specs.is_empty() || MAX_ADDED_AT_ONCE < specs.len() {
            let message = format!("1 to {MAX_ADDED_AT_ONCE} forwards can be added at once, not {}", specs.len());
            return Err(Fault::new(Code::InvalidSpec, message));
        }
        if MAX_FORWARDS < self.forwards.len() + specs.len() {
            return Err(Fault::new(Code::SessionLimit, format!("there may be at most {MAX_FORWARDS} forwards"))
                .with_hint("alknetctl remove-forward makes room"));
        }
        for (n, spec) in specs.iter().enumerate() {
            check_spec(spec)?;
            self.check_conflicts(spec, &specs[..n])?;
        }
        // Names that were chosen come before names that are made up.
        let chosen: Vec<ForwardName> = specs.iter().filter_map(|spec| spec.name.clone()).collect();
        let mut ids = Vec::new();
        let mut notices = Vec::new();
        for spec in specs {
            let is_taken =
                |name: &ForwardName| chosen.contains(name) || self.forwards.values().any(|f| f.name == *name);
            let name = spec.name.clone().unwrap_or_else(|| name_for(&spec, is_taken));
            let id = self.unused_id(&chosen);
            notices.extend(opens_the_server(&spec));
            self.forwards.insert(id, Forward::new(id, name, spec, turn.now));
            ids.push(id);
        }
        self.begin(PendingCall { notices, ..PendingCall::new(call, Work::Add, ids, deadline, Step::Opening) });
        Ok(())
    }

    /// An id that no forward has, neither as its id nor as its name: a selector of its text means one forward.
    fn unused_id(&mut self, chosen: &[ForwardName]) -> ForwardId {
        let is_taken = |id: ForwardId| {
            let text = id.to_string();
            self.forwards.contains_key(&id)
                || self.forwards.values().map(|forward| &forward.name).chain(chosen).any(|name| name.as_str() == text)
        };
        let mut next_id = self.next_id;
        while is_taken(ForwardId(next_id)) {
            next_id = next_id.wrapping_add(1);
        }
        self.next_id = next_id;
        let id = ForwardId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        id
    }

    /// What another forward has already.
    fn check_conflicts(&self, spec: &ForwardSpec, earlier: &[ForwardSpec]) -> Result<(), Fault> {
        if let Some(name) = &spec.name {
            let is_taken = self.forwards.values().any(|other| other.name == *name)
                || earlier.iter().any(|other| other.name.as_ref() == Some(name));
            if is_taken {
                return Err(Fault::new(Code::NameInUse, format!("there is already a forward `{name}`"))
                    .with_hint("choose another --name, or remove the other one first"));
            }
            if let Some(other) = self.forwards.values().find(|other| other.id.to_string() == name.as_str()) {
                let message = format!("`{name}` is the id of the forward `{}`", other.name);
                return Err(Fault::new(Code::NameInUse, message).with_hint("choose another --name"));
            }
        }
        if spec.stopped {
            return Ok(());
        }
        let bind = spec.forwarding.bind();
        let is_remote = spec.forwarding.kind().listens_remotely();
        let collides = |other: &ForwardSpec| {
            other.forwarding.bind().overlaps(bind)
                && other.forwarding.kind().listens_remotely() == is_remote
                && (!is_remote || other.destination == spec.destination)
        };
        let holder = self.forwards.values().find(|other| !other.stopped && collides(&other.spec));
        let (code, place) = if is_remote {
            (Code::RemotePortInUse, format!("{bind} on {}", spec.destination))
        } else {
            (Code::AddressInUse, bind.to_string())
        };
        let stage = if is_remote { Stage::Forward } else { Stage::Bind };
        let hint = "choose another port, or remove the other forward first";
        if let Some(holder) = holder {
            let message = format!("{place} is already used by the forward `{}`", holder.name);
            return Err(Fault::new(code, message).at(stage).with_hint(hint));
        }
        if earlier.iter().any(|other| !other.stopped && collides(other)) {
            let message = format!("{place} is asked for twice");
            return Err(Fault::new(code, message).at(stage).with_hint(hint));
        }
        Ok(())
    }

    /// Begins to remove, start, stop or restart forwards that nobody else works on.
    fn change(&mut self, call: Call, work: Work, ids: Vec<ForwardId>, deadline: Moment, turn: &mut Turn) {
        let now = turn.now;
        let step = match work {
            Work::Remove => {
                self.each(&ids, |forward| forward.life = Life::Leaving);
                let to_save = ids.iter().filter_map(|id| self.forwards.get(id)).any(|f| !f.spec.ephemeral);
                Step::Saving(if to_save { self.save(turn) } else { self.saved_revision })
            }
            Work::Stop => {
                let to_save = self.forwards.values().any(|f| ids.contains(&f.id) && !f.stopped && !f.spec.ephemeral);
                self.each(&ids, |forward| forward.stopped_on_disk = true);
                Step::Saving(if to_save { self.save(turn) } else { self.saved_revision })
            }
            Work::Start => {
                self.each(&ids, |forward| {
                    forward.stopped = false;
                    forget_refusal(forward);
                });
                self.revive_sessions(&ids, now);
                Step::Opening
            }
            Work::Restart => {
                self.each(&ids, |forward| {
                    if !forward.stopped {
                        forward.pausing = true;
                        forget_refusal(forward);
                    }
                });
                self.revive_sessions(&ids, now);
                Step::Closing
            }
            Work::Add => Step::Opening,
        };
        let is_worked_on = |id: &ForwardId| {
            self.forwards.get(id).is_some_and(|forward| match work {
                // A start that fails puts back to rest what it woke, and nothing else.
                Work::Start => forward.stopped_on_disk,
                // Only a start brings back what a person stopped.
                Work::Restart => !forward.stopped,
                Work::Add | Work::Remove | Work::Stop => true,
            })
        };
        let (worked_on, left): (Vec<ForwardId>, Vec<ForwardId>) = ids.iter().copied().partition(is_worked_on);
        let left = if work == Work::Restart { left } else { Vec::new() };
        if worked_on.is_empty() {
            let mut changed = self.references(&ids);
            changed.iter_mut().for_each(|reference| reference.left_stopped = work == Work::Restart);
            turn.answers.push((call, Answer::Ready(Ok(Output::Changed(changed)))));
            return;
        }
        self.begin(PendingCall { left, ..PendingCall::new(call, work, worked_on, deadline, step) });
    }

    fn begin(&mut self, pending: PendingCall) {
        self.calls.push(pending);
    }

    /// Sessions of these forwards try now, also those that wait for a person: a person just asked.
    pub(crate) fn revive_sessions(&mut self, ids: &[ForwardId], now: Moment) {
        let destinations: Vec<Destination> = ids
            .iter()
            .filter_map(|id| self.forwards.get(id))
            .filter(|f| !f.stopped)
            .map(|f| f.spec.destination.clone())
            .collect();
        for destination in destinations {
            if let Some(session) = self.sessions.get_mut(&destination) {
                session.retry(now);
                self.supervision.excuse(&destination);
            }
        }
    }

    fn list(&self, selectors: &[Selector], after: Option<ForwardId>) -> Result<Output, Fault> {
        let ids = if selectors.is_empty() { self.pick(&[Selector::All])? } else { self.pick(selectors)? };
        let mut ids = ids.into_iter().filter(|id| after.is_none_or(|after| after < *id));
        let forwards = ids.by_ref().take(PAGE).map(|id| self.status_of(&self.forwards[&id])).collect();
        Ok(Output::Forwards { forwards, more: ids.next().is_some() })
    }

    fn show(&self, selector: &Selector) -> Result<Output, Fault> {
        match self.pick(std::slice::from_ref(selector))?.as_slice() {
            [id] => {
                let forward = &self.forwards[id];
                let destination = &forward.spec.destination;
                Ok(Output::Forward(Box::new(ForwardDetail {
                    forward: self.status_of(forward),
                    history: forward.history.iter().cloned().collect(),
                    last_refusal: None,
                    session: self.sessions.get(destination).map(|session| session.detail(destination)),
                    // Whoever keeps the journal fills them in.
                    outages: Vec::new(),
                })))
            }
            [] => Err(Fault::new(Code::NotFound, "there is no forward")),
            several => Err(Fault::new(Code::Ambiguous, format!("{} forwards are meant", several.len()))
                .with_hint("name one of them; alknetctl list-forwards shows them")),
        }
    }

    fn list_sessions(&self, after: Option<&Destination>) -> Output {
        let mut sessions =
            self.sessions.iter().filter(|(destination, _)| after.is_none_or(|after| after < destination));
        let page = sessions.by_ref().take(PAGE).map(|(destination, session)| session.status(destination)).collect();
        Output::Sessions { sessions: page, more: sessions.next().is_some() }
    }

    fn retry(&mut self, destinations: Vec<Destination>, turn: &Turn) -> Result<Output, Fault> {
        if let Some(unknown) = destinations.iter().find(|destination| !self.sessions.contains_key(destination)) {
            return Err(no_session(unknown));
        }
        let all = destinations.is_empty();
        let mut retried = Vec::new();
        for (destination, session) in &mut self.sessions {
            if (all || destinations.contains(destination)) && session.retry(turn.now) {
                self.supervision.excuse(destination);
                retried.push(destination.clone());
            }
        }
        for forward in self.forwards.values_mut() {
            if forward.is_visible() && (all || destinations.contains(&forward.spec.destination)) {
                forget_refusal(forward);
            }
        }
        Ok(Output::Destinations(retried))
    }

    fn disconnect(&mut self, destination: Destination, turn: &mut Turn) -> Result<Output, Fault> {
        let Some(session) = self.sessions.get_mut(&destination) else { return Err(no_session(&destination)) };
        turn.disconnect(&destination, session.disconnect(turn.now));
        Ok(Output::Destinations(vec![destination]))
    }

    /// The visible forwards that are meant.
    pub(crate) fn pick(&self, selectors: &[Selector]) -> Result<Vec<ForwardId>, Fault> {
        pick(selectors, self.forwards.values().filter(|forward| forward.is_visible()))
    }
}

/// What a person should know of a listener on a server. Its session may still be down, so nobody waits for it.
fn opens_the_server(spec: &ForwardSpec) -> Option<String> {
    let Bind::Tcp(address, port) = spec.forwarding.bind() else { return None };
    if !spec.forwarding.kind().listens_remotely() || !address.is_wide() {
        return None;
    }
    let place = if address.is_wildcard() { "every address".to_owned() } else { address.as_str().to_owned() };
    let port = if *port == 0 { "the port".to_owned() } else { format!("port {port}") };
    let host = &spec.destination.host;
    Some(format!("{port} on {place} of {host} is open to other machines, where its GatewayPorts allows it"))
}

/// A refused listener may try again at once.
fn forget_refusal(forward: &mut Forward) {
    if matches!(forward.listener, Listener::Refused { .. }) {
        forward.listener = Listener::Closed;
    }
}

pub(crate) fn no_session(destination: &Destination) -> Fault {
    Fault::new(Code::NotFound, format!("there is no session to {destination}"))
        .with_hint("alknetctl list-sessions shows all there are")
}
