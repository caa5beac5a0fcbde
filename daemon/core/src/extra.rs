//! Further links of one destination: beside the first one, in its place, or on their way out.

use std::collections::BTreeMap;

use alknet_proto::status::{LinkRole, LinkStatus};

use crate::event::{Epoch, Peer};
use crate::limits::{ATTEMPT_LIMIT, EXTRA_AFTER, EXTRA_IDLE, RETIRING_GRACE, RETIRING_LIMIT};
use crate::moment::Moment;

/// A link that is logged in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Live {
    pub(crate) since: Moment,
    pub(crate) peer: Peer,
    /// Since when it carries nothing; `None` while channels are open.
    pub(crate) quiet_since: Option<Moment>,
}

/// What a further attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The others are full or busy.
    Beside,
    /// It replaces the first link, which goes on until its connections have ended.
    InPlace,
}

/// One further link, or the attempt to get it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Extra {
    Opening {
        since: Moment,
        deadline: Moment,
        purpose: Purpose,
    },
    Open(Live),
    /// Takes nothing new, and ends at `until`: soon after its last connection, and never later than `limit`.
    Retiring {
        since: Moment,
        until: Moment,
        limit: Moment,
    },
}

/// What had its time.
#[derive(Debug, Default)]
pub(crate) struct Expired {
    /// To be ended now.
    pub(crate) ended: Vec<Epoch>,
    /// Takes nothing new from now on.
    pub(crate) retired: Vec<Epoch>,
}

/// All of them, of one destination.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    each: BTreeMap<Epoch, Extra>,
    /// Connections would rather have one more.
    is_asked_for: bool,
    /// An attempt failed, or may not be yet: the next one waits until then.
    not_before: Option<Moment>,
    /// What connections were last told about whether asking helps.
    told_may_grow: bool,
}

impl Extras {
    pub(crate) fn contains(&self, epoch: Epoch) -> bool {
        self.each.contains_key(&epoch)
    }

    pub(crate) fn is_attempt(&self, epoch: Epoch) -> bool {
        matches!(self.each.get(&epoch), Some(Extra::Opening { .. }))
    }

    /// An attempt waited for its turn: its time begins now.
    pub(crate) fn prolong(&mut self, epoch: Epoch, until: Moment) {
        if let Some(Extra::Opening { deadline, .. }) = self.each.get_mut(&epoch) {
            *deadline = until;
        }
    }

    /// How many there are of them all, attempts included.
    pub(crate) fn n_links(&self) -> usize {
        self.each.len()
    }

    /// Those that are logged in.
    pub(crate) fn logged_in(&self) -> impl Iterator<Item = Epoch> {
        self.each.iter().filter(|(_, extra)| !matches!(extra, Extra::Opening { .. })).map(|(epoch, _)| *epoch)
    }

    pub(crate) fn is_retiring(&self, epoch: Epoch) -> bool {
        matches!(self.each.get(&epoch), Some(Extra::Retiring { .. }))
    }

    /// What clients see of them; the counters are filled in by whoever counts.
    pub(crate) fn status(&self) -> impl Iterator<Item = LinkStatus> {
        self.each.iter().map(|(epoch, extra)| match extra {
            Extra::Opening { since, .. } => link_status(*epoch, LinkRole::Opening, *since),
            Extra::Open(live) => link_status(*epoch, LinkRole::Further, live.since),
            Extra::Retiring { since, .. } => link_status(*epoch, LinkRole::Retiring, *since),
        })
    }

    pub(crate) fn ask(&mut self) {
        self.is_asked_for = true;
    }

    /// Whether an attempt has to start now. The question is answered by that, either way.
    pub(crate) fn take_question(&mut self, now: Moment, max_links: usize) -> bool {
        std::mem::take(&mut self.is_asked_for) && self.has_room(now, max_links) && !self.is_opening(Purpose::Beside)
    }

    /// The attempt that was asked for may not be before then. From then on, connections may ask again.
    pub(crate) fn put_off(&mut self, until: Moment) {
        self.not_before = Some(until);
    }

    /// Whether one more may be there, beside the first link.
    fn has_room(&self, now: Moment, max_links: usize) -> bool {
        let n_links = 1 + self.each.values().filter(|extra| !matches!(extra, Extra::Retiring { .. })).count();
        n_links < max_links && self.not_before.is_none_or(|at| at.steady <= now.steady)
    }

    pub(crate) fn is_opening(&self, meant: Purpose) -> bool {
        self.each.values().any(|extra| matches!(extra, Extra::Opening { purpose, .. } if *purpose == meant))
    }

    /// Whether connections that want one more may get one, where that is news. `may_start`: there may be one more as
    /// far as it is not about this destination alone.
    pub(crate) fn growth_news(&mut self, may_start: bool, now: Moment, max_links: usize) -> Option<bool> {
        let may_grow = self.is_opening(Purpose::Beside) || may_start && self.has_room(now, max_links);
        let is_news = may_grow != self.told_may_grow;
        self.told_may_grow = may_grow;
        is_news.then_some(may_grow)
    }

    pub(crate) fn start(&mut self, epoch: Epoch, purpose: Purpose, now: Moment) {
        self.each.insert(epoch, Extra::Opening { since: now, deadline: now + ATTEMPT_LIMIT, purpose });
    }

    pub(crate) fn retire(&mut self, epoch: Epoch, live: &Live, now: Moment) {
        self.each.insert(epoch, live.retiring(now));
    }

    /// A further link is to take nothing new. Tells whether it did until now.
    pub(crate) fn retire_open(&mut self, epoch: Epoch, now: Moment) -> bool {
        let live = self.take(epoch);
        if let Some(live) = &live {
            self.retire(epoch, live, now);
        }
        live.is_some()
    }

    /// An attempt succeeded. Tells what it was for; `None` where nobody waits for it any more.
    pub(crate) fn connected(&mut self, epoch: Epoch, live: Live) -> Option<Purpose> {
        let extra = self.each.get_mut(&epoch)?;
        let Extra::Opening { purpose, .. } = *extra else { return None };
        self.not_before = None;
        *extra = Extra::Open(live);
        Some(purpose)
    }

    /// An attempt failed or a link ended. Tells whether it was one of these, and if it was an attempt what it was for.
    pub(crate) fn lost(&mut self, epoch: Epoch, now: Moment) -> Option<Option<Purpose>> {
        let purpose = match self.each.remove(&epoch)? {
            Extra::Opening { purpose, .. } => {
                self.not_before = Some(now + EXTRA_AFTER);
                Some(purpose)
            }
            Extra::Open(_) | Extra::Retiring { .. } => None,
        };
        Some(purpose)
    }

    /// The link that takes the place of a first one that ended.
    pub(crate) fn take_open(&mut self) -> Option<(Epoch, Live)> {
        let epoch = self.each.iter().find_map(|(epoch, extra)| matches!(extra, Extra::Open(_)).then_some(*epoch))?;
        self.take(epoch).map(|live| (epoch, live))
    }

    /// The link of this number, taken out to become the first one.
    pub(crate) fn take(&mut self, epoch: Epoch) -> Option<Live> {
        match self.each.get(&epoch)? {
            Extra::Open(live) => {
                let live = live.clone();
                self.each.remove(&epoch);
                Some(live)
            }
            Extra::Opening { .. } | Extra::Retiring { .. } => None,
        }
    }

    pub(crate) fn note_use(&mut self, epoch: Epoch, in_use: bool, now: Moment) {
        match self.each.get_mut(&epoch) {
            Some(Extra::Open(live)) => live.note_use(in_use, now),
            Some(Extra::Retiring { until, limit, .. }) => *until = if in_use { *limit } else { now + RETIRING_GRACE },
            Some(Extra::Opening { .. }) | None => {}
        }
    }

    /// Lets go of what has had its time.
    pub(crate) fn expire(&mut self, now: Moment) -> Expired {
        let mut expired = Expired::default();
        let is_over = |at: Moment| at.steady <= now.steady;
        self.not_before = self.not_before.filter(|at| !is_over(*at));
        self.each.retain(|epoch, extra| {
            if !extra.deadline().is_some_and(is_over) {
                return true;
            }
            match extra {
                Extra::Open(live) => {
                    expired.retired.push(*epoch);
                    *extra = live.retiring(now);
                    return true;
                }
                Extra::Opening { .. } => self.not_before = Some(now + EXTRA_AFTER),
                Extra::Retiring { .. } => {}
            }
            expired.ended.push(*epoch);
            false
        });
        expired
    }

    /// Attempts make no sense while there is no first link. Tells what has to be ended.
    pub(crate) fn end_attempts(&mut self) -> Vec<Epoch> {
        self.end(|extra| matches!(extra, Extra::Opening { .. }))
    }

    /// Nothing is wanted any more. Tells what has to be ended.
    pub(crate) fn end_all(&mut self) -> Vec<Epoch> {
        self.is_asked_for = false;
        self.end(|_| true)
    }

    fn end(&mut self, is_meant: impl Fn(&Extra) -> bool) -> Vec<Epoch> {
        let ended: Vec<Epoch> =
            self.each.iter().filter_map(|(epoch, extra)| is_meant(extra).then_some(*epoch)).collect();
        self.each.retain(|_, extra| !is_meant(extra));
        ended
    }

    /// When something has to happen if nothing else does.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = Moment> {
        // From `not_before` on, connections may ask again.
        self.each.values().filter_map(Extra::deadline).chain(self.not_before)
    }
}

/// What clients see of one link.
pub(crate) fn link_status(epoch: Epoch, role: LinkRole, since: Moment) -> LinkStatus {
    LinkStatus { number: epoch.0, role, since: since.wall, ..LinkStatus::default() }
}

impl Extra {
    fn deadline(&self) -> Option<Moment> {
        match self {
            Extra::Opening { deadline, .. } => Some(*deadline),
            Extra::Open(live) => live.quiet_since.map(|since| since + EXTRA_IDLE),
            Extra::Retiring { until, .. } => Some(*until),
        }
    }
}

impl Live {
    pub(crate) fn new(peer: Peer, now: Moment) -> Self {
        Live { since: now, peer, quiet_since: Some(now) }
    }

    pub(crate) fn note_use(&mut self, in_use: bool, now: Moment) {
        self.quiet_since = if in_use { None } else { Some(self.quiet_since.unwrap_or(now)) };
    }

    /// What it becomes when it takes nothing new any more.
    fn retiring(&self, now: Moment) -> Extra {
        let limit = now + RETIRING_LIMIT;
        // Also a quiet one: a connection may have chosen it in this moment.
        let until = if self.quiet_since.is_some() { now + RETIRING_GRACE } else { limit };
        Extra::Retiring { since: self.since, until, limit }
    }
}
