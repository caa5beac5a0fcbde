//! Bringing what is open in line with what is wanted: listeners and sessions.

use std::collections::BTreeSet;

use alknet_proto::{Bind, Code, Destination, ForwardId, Reason, Stage};

use crate::action::{Action, Listen};
use crate::backoff;
use crate::cause::may_cure_itself;
use crate::event::Epoch;
use crate::extra::Purpose;
use crate::forward::{Forward, Life, Listener};
use crate::limits::{ATTEMPT_LIMIT, CLOSE_LIMIT, LISTEN_LIMIT, REBIND_AFTER, ROOM_AGAIN};
use crate::model::{Model, Turn};
use crate::session::{Phase, Session};
use crate::unwanted::give_way;

/// Whose sessions are wanted.
struct Wanted {
    each: BTreeSet<Destination>,
    /// Those whose connections would rather have one more link.
    crowded: BTreeSet<Destination>,
}

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
        forward.hampered = None;
        forward.refusals = 0;
        forward.moves = false;
        let has_other_port = forward.port != port;
        forward.port = port;
        let is_rule = matches!(forward.life, Life::Entering | Life::Kept) && !forward.spec.ephemeral;
        let asks_for_any = matches!(forward.spec.forwarding.bind(), Bind::Tcp(_, 0));
        if has_other_port && is_rule && asks_for_any {
            self.save(turn);
        }
        if let Some(pending) = self.calls.iter_mut().find(|pending| pending.forwards.contains(&id)) {
            pending.notices.extend(notices);
        }
    }

    pub(crate) fn refused(&mut self, id: ForwardId, epoch: Epoch, reason: Reason, turn: &Turn) {
        let reason = self.named(id, reason);
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        match forward.listener {
            // Also one that was open: it ended without being told to.
            Listener::Opening { epoch: current, on_session, .. } | Listener::Open { epoch: current, on_session }
                if current == epoch =>
            {
                let delay = if forward.is_remote() {
                    backoff::delay_of_listener(forward.refusals, turn.jitter)
                } else {
                    REBIND_AFTER
                };
                forward.refusals = forward.refusals.saturating_add(1);
                let retry_at = may_cure_itself(reason.code).then(|| turn.now + delay);
                forward.listener = Listener::Refused { reason, on_session, retry_at };
                forward.moves = false;
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

    /// The system knows programs, not rules: where another rule of ours holds the address, the reason says which.
    fn named(&self, id: ForwardId, reason: Reason) -> Reason {
        let wanted = self.forwards.get(&id).filter(|forward| !forward.is_remote());
        let Some(bind) = wanted.map(Forward::bind_now).filter(|_| reason.code == Code::AddressInUse) else {
            return reason;
        };
        let is_held = |other: &&Forward| {
            let is_open = matches!(other.listener, Listener::Open { .. } | Listener::Closing { .. });
            other.id != id && !other.is_remote() && is_open && other.bind_now().overlaps(&bind)
        };
        match self.forwards.values().find(is_held) {
            Some(holder) => {
                let message = format!("{bind} is already used by the forward `{}`", holder.name);
                Reason::new(Stage::Bind, Code::AddressInUse, message)
                    .with_hint("stop the other forward first, or choose another port")
            }
            None => reason,
        }
    }

    /// Opens and closes listeners until each is as its forward wants it, or on its way there.
    pub(crate) fn settle_listeners(&mut self, turn: &mut Turn) {
        let Model { forwards, sessions, last_epoch, .. } = self;
        for forward in forwards.values_mut() {
            let session = sessions.get(&forward.spec.destination);
            let wanted = forward.should_listen(session);
            settle_listener(forward, wanted, session, turn);
            if let (Listener::Closed, Some(on_session)) = (&forward.listener, wanted) {
                listen(forward, on_session, last_epoch.next(), turn);
            }
        }
    }

    /// Connects the sessions that forwards want and lets those be that none wants.
    pub(crate) fn settle_sessions(&mut self, turn: &mut Turn) {
        for forward in self.forwards.values().filter(|forward| forward.is_visible()) {
            if !self.sessions.contains_key(&forward.spec.destination) {
                self.sessions.insert(forward.spec.destination.clone(), Session::new(turn.now));
            }
        }
        let wanted = self.settle_what_is_there(turn);
        self.start_what_is_wanted(&wanted, turn);
        self.forget_unnamed(turn);
    }

    /// Ends what has had its time, and lets sessions be or takes them up. Tells which are wanted.
    fn settle_what_is_there(&mut self, turn: &mut Turn) -> Wanted {
        let let_go = self.settle_usage(turn.now);
        let Model { sessions, forwards, options, .. } = self;
        let wanting = forwards.values().filter(|forward| forward.wants_session(turn.now));
        let unique: BTreeSet<&Destination> = wanting.map(|forward| &forward.spec.destination).collect();
        let each: BTreeSet<Destination> = unique.into_iter().cloned().collect();
        let mut crowded = BTreeSet::new();
        for (destination, session) in sessions {
            give_up_if_late(destination, session, turn);
            let wants_one_more = settle_extras(destination, session, options.max_links, turn);
            if each.contains(destination) {
                session.take_up();
                crowded.extend(wants_one_more.then(|| destination.clone()));
            } else if let_go.contains(destination) {
                turn.disconnect(destination, session.rest(turn.now));
            } else {
                turn.disconnect(destination, session.let_be(options.idle_timeout, turn.now));
            }
        }
        Wanted { each, crowded }
    }

    /// Starts the attempts that are due and for which there is room, or room can be made.
    fn start_what_is_wanted(&mut self, wanted: &Wanted, turn: &mut Turn) {
        let Model { sessions, forwards, last_epoch, stopping, options, supervision, .. } = self;
        let is_to_start = |session: &Session| session.is_due(turn.now) || session.waits_for_room();
        let to_start = sessions.iter().filter(|(to, session)| wanted.each.contains(to) && is_to_start(session));
        let n_starts = if *stopping { 0 } else { to_start.count() + wanted.crowded.len() };
        give_way(sessions, n_starts, options.max_sessions, turn);

        let n_unwanted = sessions.values().filter(|session| session.unwanted_since().is_some()).count();
        let mut n_links: usize = sessions.values().map(Session::n_links).sum();
        for (destination, session) in sessions.iter_mut() {
            n_links -= session.n_links();
            let has_room = |session: &Session| n_links + session.n_links() < options.max_sessions;
            let users = || forwards.values().filter(|forward| forward.spec.destination == *destination);
            if !wanted.each.contains(destination) || *stopping {
                // Nothing is to be started.
            } else if session.is_due(turn.now) && !has_room(session) {
                session.wait_for_room(options.max_sessions, turn.now + ROOM_AGAIN);
            } else if (session.is_due(turn.now) || session.waits_for_room() && has_room(session))
                && supervision.let_start(destination, session, turn.now)
            {
                let epoch = last_epoch.next();
                session.start_attempt(epoch, turn.now + ATTEMPT_LIMIT);
                turn.connect(destination, epoch, accepts_new_key(users()));
            } else if wanted.crowded.contains(destination) && has_room(session) {
                match supervision.may_start(destination, turn.now) {
                    Ok(()) => {
                        let epoch = last_epoch.next();
                        session.extras.start(epoch, Purpose::Beside, turn.now);
                        turn.connect(destination, epoch, accepts_new_key(users()));
                    }
                    Err(wait) => session.extras.put_off(turn.now + wait),
                }
            }
            // A session that nobody wants gives way to a further link.
            let may_have_room = n_links + session.n_links() < options.max_sessions + n_unwanted;
            let may_start = session.may_have_more() && may_have_room;
            if let Some(may_grow) = session.extras.growth_news(may_start, turn.now, options.max_links) {
                turn.actions.push(Action::Growth { destination: destination.clone(), may_grow });
            }
            n_links += session.n_links();
        }
    }

    /// Connections do not wait for a session that does not come back by itself.
    pub(crate) fn settle_hopes(&mut self, turn: &mut Turn) {
        for (destination, session) in &mut self.sessions {
            if let Some(has_failed) = session.failure_news() {
                turn.actions.push(Action::Hope { destination: destination.clone(), has_failed });
            }
        }
    }

    /// The forwards that go to a destination.
    pub(crate) fn users(&self, destination: &Destination) -> impl Iterator<Item = &Forward> {
        self.forwards.values().filter(move |forward| forward.spec.destination == *destination)
    }

    /// Nobody names this destination any more: its session ends, and everything that is known of it.
    pub(crate) fn forget_session(&mut self, destination: &Destination, turn: &mut Turn) {
        if let Some(session) = self.sessions.get_mut(destination) {
            turn.disconnect(destination, session.rest(turn.now));
            self.publish_session(destination, turn);
            self.sessions.remove(destination);
        }
        turn.actions.push(Action::ForgetSession(destination.clone()));
        self.remedies.forget(destination);
        let is_named = |other: &Destination| self.sessions.contains_key(other);
        self.supervision.forget(is_named, turn.now);
    }
}

/// Whether one of a destination's forwards wants the key of an unknown server to be stored.
pub(crate) fn accepts_new_key<'a>(mut users: impl Iterator<Item = &'a Forward>) -> bool {
    users.any(|forward| forward.is_visible() && forward.spec.accept_new)
}

/// An attempt that never reports is given up.
fn give_up_if_late(destination: &Destination, session: &mut Session, turn: &mut Turn) {
    if let Phase::Connecting { epoch, deadline, .. } = &session.phase
        && deadline.steady <= turn.now.steady
    {
        let epoch = *epoch;
        turn.disconnect(destination, [epoch]);
        let message = format!("connecting took longer than {} s", ATTEMPT_LIMIT.as_secs());
        let reason = Reason::new(Stage::Tcp, Code::TimedOut, message);
        session.lost(epoch, reason, turn.now, turn.jitter);
    }
}

/// Ends further links that have had their time. Tells whether one more is to be brought up.
fn settle_extras(destination: &Destination, session: &mut Session, max_links: usize, turn: &mut Turn) -> bool {
    let expired = session.extras.expire(turn.now);
    for epoch in expired.retired {
        turn.actions.push(Action::Retire { destination: destination.clone(), epoch });
    }
    turn.disconnect(destination, expired.ended);
    if session.active_epoch().is_none() {
        turn.disconnect(destination, session.extras.end_attempts());
    }
    session.may_have_more() && session.extras.take_question(turn.now, max_links)
}

/// Closes what is not wanted, and lets go of what is late, refused or gone with its session.
fn settle_listener(forward: &mut Forward, wanted: Option<Option<Epoch>>, session: Option<&Session>, turn: &mut Turn) {
    let now = turn.now.steady;
    let active = session.and_then(Session::active_epoch);
    // A listener on the server ends with its session; nobody has to close it.
    let on_session = match &forward.listener {
        Listener::Opening { on_session, .. }
        | Listener::Open { on_session, .. }
        | Listener::Closing { on_session, .. }
        | Listener::Refused { on_session, .. } => *on_session,
        Listener::Closed => None,
    };
    let has_moved = on_session.is_some() && on_session != active;
    let is_left_behind = has_moved && session.zip(on_session).is_some_and(|(s, epoch)| s.extras.is_retiring(epoch));
    // One that moves has nothing to wait for when the link that it leaves has ended.
    forward.moves &= wanted.is_some() && (!has_moved || matches!(forward.listener, Listener::Closing { .. }));
    if has_moved && !is_left_behind {
        forward.listener = Listener::Closed;
    }
    if forward.has_left_some && !forward.may_carry() {
        turn.actions.push(Action::Cut(forward.id));
        forward.has_left_some = false;
    }
    match forward.listener {
        Listener::Opening { epoch, on_session, .. } | Listener::Open { epoch, on_session }
            if wanted.is_none() || is_left_behind =>
        {
            // The connections of a listener that only moves to another link go on.
            turn.actions.push(Action::Close { forward: forward.id, epoch, cut: !forward.may_carry() });
            forward.has_left_some |= forward.may_carry();
            forward.moves = wanted.is_some() && (forward.moves || matches!(forward.listener, Listener::Open { .. }));
            forward.listener = Listener::Closing { epoch, on_session, deadline: turn.now + CLOSE_LIMIT };
        }
        Listener::Opening { epoch, on_session, deadline } if deadline.steady <= now => {
            turn.actions.push(Action::Close { forward: forward.id, epoch, cut: true });
            forward.refusals = forward.refusals.saturating_add(1);
            let stage = if forward.is_remote() { Stage::Forward } else { Stage::Bind };
            let message = format!("listening took longer than {} s", LISTEN_LIMIT.as_secs());
            let reason = Reason::new(stage, Code::TimedOut, message);
            forward.listener = Listener::Refused { reason, on_session, retry_at: Some(turn.now + REBIND_AFTER) };
        }
        Listener::Closing { deadline, .. } if deadline.steady <= now => forward.listener = Listener::Closed,
        Listener::Refused { .. } if wanted.is_none() || forward.is_due_again(turn.now) => {
            forward.listener = Listener::Closed;
        }
        Listener::Closed
        | Listener::Opening { .. }
        | Listener::Open { .. }
        | Listener::Closing { .. }
        | Listener::Refused { .. } => {}
    }
}

fn listen(forward: &mut Forward, on_session: Option<Epoch>, epoch: Epoch, turn: &mut Turn) {
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
        reclaim: forward.spec.reclaim,
    }));
}
