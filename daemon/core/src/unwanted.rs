//! Sessions that nobody wants: how long each stays logged in, and when it gives way.

use std::collections::BTreeMap;
use std::time::Duration;

use alknet_proto::Destination;

use crate::event::Epoch;
use crate::forward::Usage;
use crate::model::{Model, Turn};
use crate::moment::Moment;
use crate::session::{Phase, Session};

impl Session {
    /// Nobody wants it now. A first link that is logged in stays so for `idle_timeout`, or until something ends it
    /// where that is `None`; anything else rests. Tells what has to be ended.
    pub(crate) fn let_be(&mut self, idle_timeout: Option<Duration>, now: Moment) -> Vec<Epoch> {
        let (epoch, live, since) = match &self.phase {
            Phase::Active { epoch, live } => (*epoch, live, now),
            Phase::Unwanted { epoch, live, since, .. } => (*epoch, live, *since),
            Phase::Idle { .. } | Phase::Connecting { .. } | Phase::Suspended { .. } | Phase::Failed { .. } => {
                return self.rest(now);
            }
        };
        let until = idle_timeout.map(|timeout| since + timeout);
        if until.is_some_and(|until| until.steady <= now.steady) {
            return self.rest(now);
        }
        self.phase = Phase::Unwanted { epoch, live: live.clone(), since, until };
        self.extras.end_all()
    }

    /// Somebody wants it again: it goes on where it was let be.
    pub(crate) fn take_up(&mut self) {
        if let Phase::Unwanted { epoch, live, .. } = &self.phase {
            self.phase = Phase::Active { epoch: *epoch, live: live.clone() };
        }
    }

    /// Since when nobody wants it, while it is logged in.
    pub(crate) fn unwanted_since(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Unwanted { since, .. } => Some(*since),
            Phase::Idle { .. }
            | Phase::Connecting { .. }
            | Phase::Active { .. }
            | Phase::Suspended { .. }
            | Phase::Failed { .. } => None,
        }
    }

    /// When it ends by itself, since nobody wants it.
    pub(crate) fn idle_until(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Unwanted { until, .. } => *until,
            Phase::Idle { .. }
            | Phase::Connecting { .. }
            | Phase::Active { .. }
            | Phase::Suspended { .. }
            | Phase::Failed { .. } => None,
        }
    }
}

/// Makes room for `n_starts` attempts: ends sessions that nobody wants, the one that has been so for longest first.
pub(crate) fn give_way(
    sessions: &mut BTreeMap<Destination, Session>,
    n_starts: usize,
    max_sessions: usize,
    turn: &mut Turn,
) {
    let n_links: usize = sessions.values().map(Session::n_links).sum();
    let mut n_too_many = (n_links + n_starts).saturating_sub(max_sessions);
    while 0 < n_too_many {
        let unwanted = sessions.iter_mut().filter_map(|(to, session)| Some((session.unwanted_since()?, to, session)));
        let Some((_, destination, session)) = unwanted.min_by_key(|(since, ..)| since.steady) else { return };
        let ended = session.rest(turn.now);
        n_too_many = n_too_many.saturating_sub(ended.len());
        turn.disconnect(destination, ended);
    }
}

impl Model {
    /// Forwards whose own idle timeout is over use nothing now. Tells whose sessions have to go without any of theirs.
    pub(crate) fn settle_usage(&mut self, now: Moment) -> Vec<Destination> {
        let mut let_go = Vec::new();
        for forward in self.forwards.values_mut() {
            if forward.quiet_until().is_some_and(|end| end.steady <= now.steady) {
                forward.usage = Usage::Unused;
                if forward.is_visible() && !forward.stopped {
                    let_go.push(forward.spec.destination.clone());
                }
            }
        }
        let_go
    }

    /// Nothing is known of a session that has ended and that no forward names.
    pub(crate) fn forget_unnamed(&mut self, turn: &mut Turn) {
        let is_over = |session: &Session| session.active_epoch().is_none();
        let over = self.sessions.iter().filter(|(to, session)| is_over(session) && self.users(to).next().is_none());
        for destination in over.map(|(destination, _)| destination.clone()).collect::<Vec<_>>() {
            self.forget_session(&destination, turn);
        }
    }
}
