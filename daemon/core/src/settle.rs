//! Bringing what is open in line with what is wanted: listeners and sessions.

use std::collections::BTreeMap;

use alknet_proto::{Bind, Code, Destination, ForwardId, Reason, Stage};

use crate::action::{Action, Listen};
use crate::backoff;
use crate::cause::may_cure_itself;
use crate::event::Epoch;
use crate::forward::{Forward, Life, Listener, Usage};
use crate::limits::{ATTEMPT_LIMIT, CLOSE_LIMIT, LISTEN_LIMIT, REBIND_AFTER};
use crate::model::{Model, Turn};
use crate::session::{Phase, Session};

impl Model {
    pub(crate) fn bound(
        &mut self,
        id: ForwardId,
        epoch: Epoch,
        port: Option<u16>,
        notices: Vec<String>,
        turn: &mut Turn,
    ) {
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        let Listener::Opening { epoch: current, on_session, .. } = forward.listener else { return };
        if current != epoch {
            return;
        }
        forward.listener = Listener::Open { epoch, on_session };
        forward.refusals = 0;
        let has_other_port = forward.port != port;
        forward.port = port;
        let is_rule = forward.life == Life::Kept && !forward.spec.ephemeral;
        let asks_for_any = matches!(forward.spec.forwarding.bind(), Bind::Tcp(_, 0));
        if has_other_port && is_rule && asks_for_any {
            self.save(turn);
        }
        if let Some(pending) = self.calls.iter_mut().find(|pending| pending.forwards.contains(&id)) {
            pending.notices.extend(notices);
        }
    }

    pub(crate) fn refused(&mut self, id: ForwardId, epoch: Epoch, reason: Reason, turn: &Turn) {
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        match forward.listener {
            // Also one that was open: it ended without being told to.
            Listener::Opening { epoch: current, on_session, .. } | Listener::Open { epoch: current, on_session }
                if current == epoch =>
            {
                let delay = if forward.is_remote() {
                    backoff::delay(reason.code, forward.refusals, turn.jitter)
                } else {
                    REBIND_AFTER
                };
                forward.refusals = forward.refusals.saturating_add(1);
                let retry_at = may_cure_itself(reason.code).then(|| turn.now + delay);
                forward.listener = Listener::Refused { reason, on_session, retry_at };
            }
            // It was told to close while it tried to open: there is nothing left to close.
            Listener::Closing { epoch: current, .. } if current == epoch => forward.listener = Listener::Closed,
            Listener::Closed
            | Listener::Opening { .. }
            | Listener::Open { .. }
            | Listener::Closing { .. }
            | Listener::Refused { .. } => {}
        }
    }

    fn next_epoch(&mut self) -> Epoch {
        self.last_epoch = Epoch(self.last_epoch.0 + 1);
        self.last_epoch
    }

    /// Opens and closes listeners until each is as its forward wants it, or on its way there.
    pub(crate) fn settle_listeners(&mut self, turn: &mut Turn) {
        let ids: Vec<ForwardId> = self.forwards.keys().copied().collect();
        for id in ids {
            let Some(mut forward) = self.forwards.remove(&id) else { continue };
            self.settle_listener(&mut forward, turn);
            self.forwards.insert(id, forward);
        }
    }

    fn settle_listener(&mut self, forward: &mut Forward, turn: &mut Turn) {
        let session = self.sessions.get(&forward.spec.destination);
        let active = session.and_then(Session::active_epoch);
        let wanted = forward.should_listen(session);
        let now = turn.now.steady;
        // A listener on the server ends with its session; nobody has to close it.
        let on_session = match &forward.listener {
            Listener::Opening { on_session, .. }
            | Listener::Open { on_session, .. }
            | Listener::Closing { on_session, .. }
            | Listener::Refused { on_session, .. } => *on_session,
            Listener::Closed => None,
        };
        if on_session.is_some() && on_session != active {
            forward.listener = Listener::Closed;
        }
        match &forward.listener {
            Listener::Opening { epoch, on_session, .. } | Listener::Open { epoch, on_session } if wanted.is_none() => {
                let (epoch, on_session) = (*epoch, *on_session);
                turn.actions.push(Action::Close { forward: forward.id, epoch });
                forward.listener = Listener::Closing { epoch, on_session, deadline: turn.now + CLOSE_LIMIT };
            }
            Listener::Opening { epoch, on_session, deadline } if deadline.steady <= now => {
                let (epoch, on_session) = (*epoch, *on_session);
                turn.actions.push(Action::Close { forward: forward.id, epoch });
                forward.refusals = forward.refusals.saturating_add(1);
                let stage = if forward.is_remote() { Stage::Forward } else { Stage::Bind };
                let message = format!("listening took longer than {} s", LISTEN_LIMIT.as_secs());
                let reason = Reason::new(stage, Code::TimedOut, message);
                forward.listener = Listener::Refused { reason, on_session, retry_at: Some(turn.now + REBIND_AFTER) };
            }
            Listener::Closing { deadline, .. } if deadline.steady <= now => forward.listener = Listener::Closed,
            Listener::Refused { .. } if wanted.is_none() => forward.listener = Listener::Closed,
            Listener::Refused { retry_at: Some(at), .. } if at.steady <= now && forward.is_visible() => {
                forward.listener = Listener::Closed;
            }
            Listener::Closed
            | Listener::Opening { .. }
            | Listener::Open { .. }
            | Listener::Closing { .. }
            | Listener::Refused { .. } => {}
        }
        if let (Listener::Closed, Some(on_session)) = (&forward.listener, wanted) {
            self.listen(forward, on_session, turn);
        }
    }

    fn listen(&mut self, forward: &mut Forward, on_session: Option<Epoch>, turn: &mut Turn) {
        let epoch = self.next_epoch();
        forward.listener = Listener::Opening { epoch, on_session, deadline: turn.now + LISTEN_LIMIT };
        turn.actions.push(Action::Listen(Listen {
            forward: forward.id,
            epoch,
            destination: forward.spec.destination.clone(),
            forwarding: forward.spec.forwarding.clone(),
            earlier_port: forward.port,
            on_suspend: forward.spec.on_suspend,
            tells_use: forward.is_on_demand(),
            on_session,
        }));
    }

    /// Connects the sessions that forwards want and ends those that none wants.
    pub(crate) fn settle_sessions(&mut self, turn: &mut Turn) {
        let mut wanted: BTreeMap<Destination, bool> = BTreeMap::new();
        for forward in self.forwards.values_mut() {
            if forward.quiet_until().is_some_and(|end| end.steady <= turn.now.steady) {
                forward.usage = Usage::Unused;
            }
            // A session is known as long as a rule names it, wanted or not.
            let is_wanted = forward.wants_session(turn.now);
            if forward.is_visible() {
                *wanted.entry(forward.spec.destination.clone()).or_default() |= is_wanted;
            }
        }
        for destination in wanted.keys() {
            self.sessions.entry(destination.clone()).or_insert_with(|| Session::new(turn.now));
        }
        for destination in self.sessions.keys().cloned().collect::<Vec<_>>() {
            let Some(mut session) = self.sessions.remove(&destination) else { continue };
            let is_known = wanted.contains_key(&destination);
            let is_wanted = wanted.get(&destination).copied().unwrap_or(false);
            self.settle_session(&destination, &mut session, is_wanted, turn);
            if is_known || session.open_epoch().is_some() {
                self.sessions.insert(destination, session);
            } else {
                self.publish_session(&destination, &mut session, turn);
                turn.actions.push(Action::ForgetSession(destination));
            }
        }
    }

    fn settle_session(&mut self, destination: &Destination, session: &mut Session, is_wanted: bool, turn: &mut Turn) {
        if let Phase::Connecting { epoch, deadline, .. } = &session.phase
            && deadline.steady <= turn.now.steady
        {
            let epoch = *epoch;
            turn.actions.push(Action::Disconnect { destination: destination.clone(), epoch });
            let message = format!("connecting took longer than {} s", ATTEMPT_LIMIT.as_secs());
            let reason = Reason::new(Stage::Tcp, Code::TimedOut, message);
            session.lost(epoch, reason, turn.now, turn.jitter);
        }
        if !is_wanted {
            if let Some(epoch) = session.open_epoch() {
                turn.actions.push(Action::Disconnect { destination: destination.clone(), epoch });
            }
            let is_kept = matches!(session.phase, Phase::Idle { .. });
            if !is_kept {
                session.phase = Phase::Idle { by_person: false };
                session.failures = 0;
            }
        } else if session.is_due(turn.now) && !self.stopping {
            let epoch = self.next_epoch();
            session.start_attempt(epoch, turn.now + ATTEMPT_LIMIT);
            let of_session = |forward: &&Forward| forward.spec.destination == *destination && forward.is_visible();
            let accept_new = self.forwards.values().filter(of_session).any(|forward| forward.spec.accept_new);
            turn.actions.push(Action::Connect { destination: destination.clone(), epoch, accept_new });
        }
    }
}
