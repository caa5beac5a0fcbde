//! What a watcher believes, from its snapshots and its events alone.

use std::collections::{BTreeMap, BTreeSet};

use alknet_core::model::Snapshot;
use alknet_core::{Call, ClientId};
use alknet_proto::event::{ForwardChanged, SessionChanged};
use alknet_proto::{
    Destination, ForwardId, ForwardStatus, RequestId, Selector, Seq, SessionState, Status, StatusEvent,
};

/// One watcher, over all its subscriptions.
pub(crate) struct Watcher {
    pub(crate) call: Call,
    pub(crate) selectors: Vec<Selector>,
    /// It watches now.
    pub(crate) is_on: bool,
    /// It is too slow: what it is told is lost until it has caught up.
    pub(crate) is_deaf: bool,
    /// The next that it hears has to be that it lagged.
    pub(crate) awaits_lagged: bool,
    pub(crate) forwards: BTreeMap<ForwardId, (Status, Destination)>,
    sessions: BTreeMap<Destination, SessionState>,
    gone: BTreeSet<ForwardId>,
    pub(crate) seq: Seq,
}

impl Watcher {
    pub(crate) fn new(client: u64, selectors: Vec<Selector>) -> Self {
        Watcher {
            call: Call { client: ClientId(client), request: RequestId(1) },
            selectors,
            is_on: false,
            is_deaf: false,
            awaits_lagged: false,
            forwards: BTreeMap::new(),
            sessions: BTreeMap::new(),
            gone: BTreeSet::new(),
            seq: 0,
        }
    }

    fn watches_all(&self) -> bool {
        self.selectors.is_empty()
    }

    pub(crate) fn hear(&mut self, event: StatusEvent) {
        assert!(self.is_on, "a watcher that is gone was told {event:?}");
        if self.is_deaf {
            return;
        }
        assert!(
            !self.awaits_lagged || matches!(event, StatusEvent::Lagged(_)),
            "no word of what was missed: {event:?}"
        );
        self.awaits_lagged = false;
        match event {
            StatusEvent::Snapshot(snapshot) => {
                self.seq = snapshot.seq;
                assert!(!snapshot.more, "a page is missing");
                let forwards = snapshot.forwards.iter();
                self.forwards = forwards.map(|f| (f.id, (f.status, f.destination.clone()))).collect();
                self.sessions = snapshot.sessions.iter().map(|s| (s.destination.clone(), s.state)).collect();
            }
            StatusEvent::ForwardAdded(added) => {
                self.grow(added.seq);
                let known = (added.forward.status, added.forward.destination.clone());
                assert!(self.forwards.insert(added.forward.id, known).is_none(), "added twice: {added:?}");
            }
            StatusEvent::ForwardRemoved(removed) => {
                self.grow(removed.seq);
                assert!(
                    self.forwards.remove(&removed.id).is_some(),
                    "the end of a forward that it never saw: {removed:?}"
                );
                assert!(self.gone.insert(removed.id), "removed twice: {removed:?}");
                // Of a session that none of its forwards uses it hears nothing more.
                let (watches_all, forwards) = (self.watches_all(), &self.forwards);
                self.sessions.retain(|session, _| watches_all || forwards.values().any(|(_, used)| used == session));
            }
            StatusEvent::ForwardStatus(changed) => self.see_forward(&changed),
            StatusEvent::SessionStatus(changed) => self.see_session(&changed),
            StatusEvent::Heartbeat(beat) => assert!(self.seq <= beat.seq),
            StatusEvent::Lagged(_) => {}
            StatusEvent::Stats(stats) => {
                assert!(stats.forwards.iter().all(|f| self.forwards.contains_key(&f.id)), "figures of a stranger");
            }
        }
    }

    fn grow(&mut self, seq: Seq) {
        assert!(self.seq < seq, "it saw a change twice");
        assert!(!self.watches_all() || seq == self.seq + 1, "it missed a change");
        self.seq = seq;
    }

    fn see_forward(&mut self, changed: &ForwardChanged) {
        self.grow(changed.seq);
        let known = self.forwards.get_mut(&changed.id);
        let (status, _) = known.unwrap_or_else(|| panic!("news of a forward it does not watch: {changed:?}"));
        assert_eq!(*status, changed.from, "an edge that is none");
        *status = changed.to;
    }

    fn see_session(&mut self, changed: &SessionChanged) {
        self.grow(changed.seq);
        let is_shown = self.forwards.values().any(|(_, destination)| *destination == changed.destination);
        if !self.watches_all() && !is_shown {
            return; // One of its forwards is being added and may be taken back: there may be no more to hear.
        }
        let before = self.sessions.insert(changed.destination.clone(), changed.to);
        if self.watches_all() {
            assert_eq!(before.unwrap_or(SessionState::Idle), changed.from, "an edge that is none");
        }
    }

    /// What it believes is so, of what it watches and of nothing else.
    pub(crate) fn check(&self, snapshot: &Snapshot) {
        if !self.is_on || self.is_deaf {
            return;
        }
        let mut n_meant = 0;
        for forward in snapshot.forwards.iter().filter(|forward| self.means(forward)) {
            n_meant += 1;
            let believed = self.forwards.get(&forward.id).map(|(status, _)| *status);
            assert_eq!(
                believed,
                Some(forward.status),
                "{:?} believes something else of {}",
                self.selectors,
                forward.id
            );
        }
        // A forward that is being closed for good is gone from lists before its removal is told.
        assert!(n_meant <= self.forwards.len());
        for session in &snapshot.sessions {
            let is_shown = self.forwards.values().any(|(_, destination)| *destination == session.destination);
            let believed = self.sessions.get(&session.destination).copied();
            if self.watches_all() {
                assert_eq!(believed.unwrap_or(SessionState::Idle), session.state, "{}", session.destination);
            } else if is_shown && let Some(believed) = believed {
                // Of a session that was there before its forward, it hears with the next edge.
                assert_eq!(believed, session.state, "{:?} of {}", self.selectors, session.destination);
            }
        }
    }

    /// Nothing is on its way: it believes exactly what there is.
    pub(crate) fn check_whole(&self, snapshot: &Snapshot) {
        let meant = snapshot.forwards.iter().filter(|forward| self.means(forward)).map(|forward| forward.id);
        assert!(self.forwards.keys().copied().eq(meant), "{:?} believes in others", self.selectors);
    }

    fn means(&self, forward: &ForwardStatus) -> bool {
        self.watches_all()
            || self.selectors.iter().any(|selector| match selector {
                Selector::Named(text) => forward.name.as_str() == text || forward.id.to_string() == *text,
                Selector::Glob(pattern) => forward.name.as_str().starts_with(pattern.trim_end_matches('*')),
                Selector::Tag(tag) => forward.tags.contains(tag),
                Selector::Host(destination) => forward.destination == *destination,
                Selector::All => true,
            })
    }
}
