//! The live links of one destination, and which of them takes a new connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alknet_core::{Epoch, Event};
use alknet_proto::status::LinkStatus;
use alknet_proto::{Destination, ForwardId};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::link::Link;
use super::session::locked;
use crate::counters::SessionCounters;
use crate::lanes::{Lane, Lanes};

/// How long a connection waits for a further link where all that are there are busy.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a connection waits for a link of its own where other rules use all that are there, though they are not busy:
/// what a person does not notice. One of them may turn into bulk at any time, and the connection cannot move then.
const SHORT_PATIENCE: Duration = Duration::from_millis(200);
/// How long a connection waits for a further link where every link is sealed.
const SEALED_LIMIT: Duration = Duration::from_secs(15);
/// Who asked for a further link and heard nothing asks again after so long.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The links of one destination.
pub struct Pool {
    destination: Destination,
    lanes: Arc<Lanes>,
    /// Where its rules listen, and its first link lives.
    pub home: Lane,
    /// What its session carries, over all links and reconnects.
    pub counters: Arc<SessionCounters>,
    links: watch::Sender<Links>,
    /// Is told when a link that was sealed takes connections again.
    pub(super) eased: Arc<Notify>,
    /// When somebody asked for a further link, if that was since the links last changed.
    asked_at: Mutex<Option<Instant>>,
    inbox: mpsc::Sender<Event>,
}

/// The links that are live now.
#[derive(Default)]
struct Links {
    /// In the order in which they logged in.
    live: Vec<Arc<Link>>,
    /// Asking for a further one helps.
    may_grow: bool,
    /// None comes before a person acts.
    has_failed: bool,
}

/// Who wants a link.
pub struct Wish<'a> {
    /// The rule whose connection it is.
    pub forward: ForwardId,
    /// Links that this connection has tried and lost.
    pub lost: &'a [Epoch],
    /// Until when it waits while there is no link; `None` is not at all.
    pub hold: Option<Instant>,
    /// Connections of its rule that may wait at once.
    pub held: &'a Semaphore,
}

/// Why there is no link for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLink {
    /// The session is down, and the connection does not wait.
    Down,
    /// The session failed, and nobody knows when it comes back.
    Failed,
    /// Too many connections wait.
    TooManyWait,
    /// It was down for as long as the connection waits.
    NotInTime,
    /// The daemon is ending.
    Ending,
}

/// What there is for a connection.
enum Pick {
    Good(Arc<Link>),
    /// One that is kept busy, or that another rule uses: a further one is worth so much time.
    Fair(Arc<Link>, Duration),
    /// All are sealed; in this one the least waits.
    Sealed(Arc<Link>),
    Down,
}

impl Pool {
    /// No link is live yet.
    pub fn new(destination: Destination, lanes: Arc<Lanes>, inbox: mpsc::Sender<Event>) -> Pool {
        Pool {
            destination,
            home: lanes.home(),
            lanes,
            counters: Arc::default(),
            links: watch::Sender::default(),
            eased: Arc::default(),
            asked_at: Mutex::new(None),
            inbox,
        }
    }

    /// Where the next link is to live: apart from the others.
    pub fn lane_for_a_link(&self) -> Lane {
        let taken: Vec<usize> = self.links.borrow().live.iter().map(|link| link.lane().number()).collect();
        self.lanes.emptiest(&self.home, &taken)
    }

    pub(super) fn add(&self, link: Arc<Link>) {
        self.links.send_modify(|links| {
            if links.live.is_empty() {
                self.counters.forget_round_trip();
            }
            links.live.push(link);
        });
        *locked(&self.asked_at) = None;
    }

    pub(super) fn take_away(&self, epoch: Epoch) {
        self.links.send_modify(|links| links.live.retain(|link| link.epoch() != epoch));
        *locked(&self.asked_at) = None;
    }

    /// Whether connections that ask for a further link may get one.
    pub fn set_growth(&self, may_grow: bool) {
        self.links.send_modify(|links| links.may_grow = may_grow);
        *locked(&self.asked_at) = None;
    }

    /// Whether no link comes before a person acts: connections do not wait for it then.
    pub fn set_failed(&self, has_failed: bool) {
        self.links.send_modify(|links| links.has_failed = has_failed);
    }

    /// The link takes no new connections.
    pub fn retire(&self, epoch: Epoch) {
        if let Some(link) = self.link(epoch) {
            link.retire();
        }
    }

    /// The link of this attempt, while it is live.
    pub fn link(&self, epoch: Epoch) -> Option<Arc<Link>> {
        self.links.borrow().live.iter().find(|link| link.epoch() == epoch).cloned()
    }

    /// Fills in what the links carry now.
    pub fn count(&self, links: &mut [LinkStatus]) {
        for status in links {
            if let Some(link) = self.link(Epoch(status.number)) {
                link.count(status);
            }
        }
    }

    /// The link for one connection: one that is not busy and that no other rule uses if there is one, else the one
    /// with the most room.
    ///
    /// Waits at most 200 ms for a further link where other rules keep using all that are there, at most 1 s where all are
    /// busy, at most 15 s where every link is sealed, and until `hold` where there is none, but not for a session that
    /// failed. Where no further one comes, a busy or sealed one is better than none.
    /// Dropping the future gives up.
    pub async fn link_for(&self, wish: Wish<'_>) -> Result<Arc<Link>, NoLink> {
        let began = Instant::now();
        let mut links = self.links.subscribe();
        let mut held = None;
        loop {
            let eased = self.eased.notified();
            tokio::pin!(eased);
            eased.as_mut().enable();
            let (picked, may_grow, has_failed) = {
                let links = links.borrow_and_update();
                (pick(&links.live, &wish), links.may_grow, links.has_failed)
            };
            let (until, instead) = match picked {
                Pick::Good(link) => return Ok(link),
                Pick::Fair(link, patience) => {
                    let is_in_time = may_grow && link.login_took() < patience;
                    if may_grow {
                        self.ask_for_more();
                    }
                    let until = if is_in_time { began + patience } else { began };
                    (until, Some(link))
                }
                Pick::Sealed(link) => {
                    if may_grow {
                        self.ask_for_more();
                    }
                    // Without a further one, its reader is read on for the newcomer, as long as that goes.
                    let until = if may_grow { began + SEALED_LIMIT } else { began };
                    (until, Some(link))
                }
                Pick::Down if has_failed => return Err(NoLink::Failed),
                Pick::Down => (wish.hold.ok_or(NoLink::Down)?, None),
            };
            if until <= Instant::now() {
                return instead.ok_or(NoLink::NotInTime);
            }
            if held.is_none() {
                match wish.held.try_acquire() {
                    Ok(permit) => held = Some((permit, self.counters.wait())),
                    Err(_) => return instead.ok_or(NoLink::TooManyWait),
                }
            }
            // All arms are cancel-safe; whatever comes, the links are looked at again.
            tokio::select! {
                changed = links.changed() => changed.map_err(|_| NoLink::Ending)?,
                () = &mut eased => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Once for each state of the links: a full inbox has more important things to hear.
    fn ask_for_more(&self) {
        let mut asked_at = locked(&self.asked_at);
        if asked_at.is_none_or(|at| ASK_AGAIN_AFTER <= at.elapsed())
            && self.inbox.try_send(Event::Crowded { destination: self.destination.clone() }).is_ok()
        {
            *asked_at = Some(Instant::now());
        }
    }
}

fn pick(live: &[Arc<Link>], wish: &Wish<'_>) -> Pick {
    let usable = live
        .iter()
        .filter(|link| !link.is_retired() && !wish.lost.contains(&link.epoch()) && !link.over().is_cancelled());
    let mut sealed: Option<(usize, &Arc<Link>)> = None;
    let mut best: Option<(_, &Arc<Link>)> = None;
    for link in usable {
        if link.is_sealed() {
            let waits = link.buffered_bytes();
            if sealed.is_none_or(|(least, _)| waits < least) {
                sealed = Some((waits, link));
            }
            continue;
        }
        let room = link.room_for(wish.forward);
        if best.as_ref().is_none_or(|(least, _)| room < *least) {
            best = Some((room, link));
        }
    }
    match (best, sealed) {
        (Some((room, link)), _) if room.is_crowded => Pick::Fair(link.clone(), PATIENCE),
        (Some((room, link)), _) if room.is_kept_by_others => Pick::Fair(link.clone(), SHORT_PATIENCE),
        (Some((_, link)), _) => Pick::Good(link.clone()),
        (None, Some((_, link))) => Pick::Sealed(link.clone()),
        (None, None) => Pick::Down,
    }
}

/// How much a connection would wait for others on a link; the least is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Room {
    pub(super) is_crowded: bool,
    pub(super) is_used_by_others: bool,
    /// It has no connection of the rule: those stay together, so that other links are free for what comes later.
    pub(super) is_new_to_rule: bool,
    pub(super) n_busy: u32,
    pub(super) n_connections: usize,
    /// They will go on using it, which requests that follow each other through several rules do not: one that is free
    /// of them is worth waiting for.
    pub(super) is_kept_by_others: bool,
}
