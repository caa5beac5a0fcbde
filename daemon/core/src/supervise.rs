//! What stands between a session that wants to try and its server: budgets, crowds, servers that limit us.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use alknet_proto::{Code, Destination, Reason};

use crate::action::Action;
use crate::budget::Budget;
use crate::cause::{Patience, had_handshake, is_of_network, patience};
use crate::event::Epoch;
use crate::host::{Host, Hosts, Quiet};
use crate::limits::{ATTEMPT_LIMIT, NUDGE_AFTER};
use crate::model::{Model, Turn};
use crate::moment::Moment;
use crate::session::{Phase, Session};

/// What is remembered of attempts beyond the session that they belong to: it outlives `disconnect`, `restart` and a
/// rule that is removed and added again.
#[derive(Debug, Default)]
pub(crate) struct Supervision {
    hosts: Hosts,
    /// Attempts that have come to a server's door and are not logged in.
    attempts: BTreeMap<Epoch, Attempt>,
    records: BTreeMap<Destination, Record>,
}

/// An attempt at a server's door.
#[derive(Debug)]
struct Attempt {
    destination: Destination,
    host: Host,
    /// When it was let go; it waits while it was not.
    entered: Option<Moment>,
}

/// What one destination's attempts have come to.
#[derive(Debug, Default)]
struct Record {
    budget: Budget,
    /// It was logged in: its next try costs nothing unless it fails.
    has_pass: bool,
    /// Where its attempts went last.
    host: Option<Host>,
    /// What its last handshake without a login came to.
    last: Option<Reason>,
    /// The kind of its last failure, and how often it came in a row.
    in_a_row: Option<(Code, u32)>,
    /// When data was damaged.
    damages: VecDeque<Moment>,
    /// When it last tried because another destination came back.
    nudged_at: Option<Moment>,
}

/// What the end of an attempt means for the session of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Its attempt failed.
    OfAttempt,
    /// It was logged in and is over.
    OfSession,
    /// Nothing: it is about another attempt.
    Stale,
}

impl News {
    /// What an end of the attempt `epoch` is, before `session` takes it in.
    pub(crate) fn of(session: Option<&Session>, epoch: Epoch) -> Self {
        match session {
            Some(session) if session.active_epoch() == Some(epoch) => News::OfSession,
            Some(session) if session.open_epoch() == Some(epoch) => News::OfAttempt,
            Some(_) | None => News::Stale,
        }
    }
}

impl Supervision {
    /// The daemon starts and does not know what an earlier run has spent.
    pub(crate) fn begin(&mut self, destination: &Destination, now: Moment) {
        let record = Record { budget: Budget::after_start(now), ..Record::default() };
        self.records.entry(destination.clone()).or_insert(record);
    }

    /// Whether an attempt to `destination` may begin now; otherwise after how long. Beginning uses up the pass of a
    /// session that was logged in.
    pub(crate) fn may_start(&mut self, destination: &Destination, now: Moment) -> Result<(), Duration> {
        let Some(record) = self.records.get_mut(destination) else { return Ok(()) };
        if std::mem::take(&mut record.has_pass) {
            return Ok(());
        }
        let n_under_way = self.attempts.values().filter(|attempt| attempt.destination == *destination).count();
        let wait = record.budget.wait(n_under_way, now);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// As [`Supervision::may_start`], for the session of the destination itself: one that may not waits, and says why.
    pub(crate) fn let_start(&mut self, destination: &Destination, session: &mut Session, now: Moment) -> bool {
        match self.may_start(destination, now) {
            Ok(()) => true,
            Err(wait) => {
                let last = self.records.get(destination).and_then(|record| record.last.clone());
                session.hold(last, now + wait);
                false
            }
        }
    }

    /// A person asks for it: its server need not be left alone any more.
    pub(crate) fn excuse(&mut self, destination: &Destination) {
        let host = self.host_of(destination);
        self.hosts.excuse(&host);
    }

    /// The network is another one, or time has passed unseen.
    pub(crate) fn excuse_all(&mut self) {
        self.hosts.excuse_all();
    }

    fn host_of(&self, destination: &Destination) -> Host {
        let known = self.records.get(destination).and_then(|record| record.host.clone());
        known.unwrap_or_else(|| Host::guess(destination))
    }

    /// An attempt stands before `host` and waits to be let go.
    pub(crate) fn knocks(&mut self, destination: Destination, epoch: Epoch, host: Host) {
        self.records.entry(destination.clone()).or_default().host = Some(host.clone());
        let attempt = Attempt { destination, host, entered: None };
        // At the next one on its way it is logged in where it was before.
        if let Some(Attempt { host, entered: Some(_), .. }) = self.attempts.insert(epoch, attempt) {
            self.hosts.leave(&host, epoch);
            self.hosts.welcomed(&host);
        }
    }

    /// The next attempt that is to be let go, or sent away from a server that is left alone.
    fn next_answer(&mut self, now: Moment) -> Option<(Destination, Epoch, Option<Quiet>)> {
        let waiting = self.attempts.iter_mut().filter(|(_, attempt)| attempt.entered.is_none());
        for (epoch, attempt) in waiting {
            if let Some(quiet) = self.hosts.quiet(&attempt.host, now) {
                let (epoch, quiet) = (*epoch, quiet.clone());
                let attempt = self.attempts.remove(&epoch)?;
                return Some((attempt.destination, epoch, Some(quiet)));
            }
            if self.hosts.has_room(&attempt.host) {
                attempt.entered = Some(now);
                self.hosts.enter(&attempt.host, *epoch);
                return Some((attempt.destination.clone(), *epoch, None));
            }
        }
        None
    }

    /// An attempt is logged in, or is over.
    fn ends(&mut self, epoch: Epoch) -> Option<Attempt> {
        let attempt = self.attempts.remove(&epoch)?;
        if attempt.entered.is_some() {
            self.hosts.leave(&attempt.host, epoch);
        }
        Some(attempt)
    }

    /// Lets go of what makes no difference any more.
    pub(crate) fn forget(&mut self, is_named: impl Fn(&Destination) -> bool, now: Moment) {
        self.records.retain(|destination, record| is_named(destination) || !record.budget.is_whole(now));
        let used: Vec<Host> = self.records.keys().map(|destination| self.host_of(destination)).collect();
        self.hosts.keep(|host| used.contains(host));
    }
}

impl Record {
    /// Counts a failure; tells how often it came where that makes it final.
    fn strike(&mut self, code: Code, now: Moment) -> Option<u32> {
        let before = self.in_a_row.filter(|(other, _)| *other == code).map_or(0, |(_, n)| n);
        let n = before.saturating_add(1);
        self.in_a_row = Some((code, n));
        match patience(code) {
            Patience::Endless => None,
            Patience::InARow(limit) => (limit <= n).then_some(n),
            Patience::Within(limit, window) => {
                self.damages.push_back(now);
                self.damages.retain(|at| now.since(*at) < window);
                let n = u32::try_from(self.damages.len()).unwrap_or(u32::MAX);
                (limit <= n).then_some(n)
            }
        }
    }
}

impl Model {
    /// Attempts at the doors of servers are let go, or sent away.
    pub(crate) fn settle_attempts(&mut self, turn: &mut Turn) {
        // Whoever was told to end while it waited, or before it knocked, gets no answer.
        let sessions = &self.sessions;
        let is_wanted = |epoch: &Epoch, attempt: &Attempt| {
            sessions.get(&attempt.destination).is_some_and(|session| session.is_trying(*epoch))
        };
        self.supervision.attempts.retain(|epoch, attempt| attempt.entered.is_some() || is_wanted(epoch, attempt));
        while let Some((destination, epoch, quiet)) = self.supervision.next_answer(turn.now) {
            match quiet {
                None => {
                    if let Some(session) = self.sessions.get_mut(&destination) {
                        session.prolong(epoch, turn.now + ATTEMPT_LIMIT);
                    }
                    turn.actions.push(Action::Admit { destination, epoch });
                }
                Some(quiet) => {
                    let session = self.sessions.get_mut(&destination);
                    if session.as_ref().is_some_and(|session| session.extras.is_attempt(epoch)) {
                        self.lost(&destination, epoch, quiet.reason, turn);
                    } else if let Some(session) = session {
                        session.put_off(epoch, quiet.reason, quiet.until);
                    }
                    turn.disconnect(&destination, [epoch]);
                }
            }
        }
    }

    /// An attempt logged in. What waits for the network elsewhere tries, too.
    pub(crate) fn supervise_login(&mut self, destination: &Destination, epoch: Epoch, now: Moment) {
        let supervision = &mut self.supervision;
        let attempt = supervision.ends(epoch);
        let is_news = self.sessions.get(destination).is_some_and(|session| session.active_epoch() == Some(epoch));
        if attempt.is_none() && !is_news {
            return;
        }
        let host = supervision.host_of(destination);
        supervision.hosts.welcomed(&host);
        let record = supervision.records.entry(destination.clone()).or_default();
        (record.has_pass, record.in_a_row) = (true, None);
        for (other, session) in self.sessions.iter_mut().filter(|(other, _)| *other != destination) {
            // Only those that failed since they were up: two that flap would chase each other.
            let is_meant = session.failures != 0 && !session.is_held && session.cause().is_some_and(is_of_network);
            let Phase::Suspended { retry_at, .. } = &mut session.phase else { continue };
            if is_meant {
                let record = supervision.records.entry(other.clone()).or_default();
                if record.nudged_at.is_none_or(|at| NUDGE_AFTER <= now.since(at)) {
                    record.nudged_at = Some(now);
                    *retry_at = now;
                }
            }
        }
    }

    /// An attempt failed or a session ended. Called after the session took it in, if it was its news.
    pub(crate) fn supervise_loss(
        &mut self,
        destination: &Destination,
        epoch: Epoch,
        reason: &Reason,
        news: News,
        turn: &Turn,
    ) {
        let now = turn.now;
        let supervision = &mut self.supervision;
        let attempt = supervision.ends(epoch);
        let entered = attempt.as_ref().and_then(|attempt| attempt.entered);
        let host = attempt.as_ref().map_or_else(|| supervision.host_of(destination), |attempt| attempt.host.clone());
        let was_trying = attempt.is_some() || news == News::OfAttempt;
        let was_broken_off = reason.code == Code::Disconnected && entered.is_some();
        let record = supervision.records.entry(destination.clone()).or_default();
        if was_trying && (had_handshake(reason) || was_broken_off) {
            record.budget.spend(now);
            record.last = Some(reason.clone());
        }
        let quiet = if was_trying { supervision.hosts.learn(&host, reason, entered, now, turn.jitter) } else { None };
        let Some(session) = self.sessions.get_mut(destination).filter(|_| news != News::Stale) else { return };
        if matches!(session.phase, Phase::Suspended { .. })
            && let Some(n) = record.strike(reason.code, now)
        {
            session.despair(n);
        }
        match session.phase {
            Phase::Suspended { .. } => {}
            Phase::Failed { .. } => {
                self.remedies.failed(destination, epoch);
                return;
            }
            Phase::Idle { .. } | Phase::Connecting { .. } | Phase::Active { .. } | Phase::Unwanted { .. } => return,
        }
        if let Some(quiet) = quiet {
            session.leave_alone(quiet.reason, quiet.until);
        }
        let wait = record.budget.wait(0, now);
        let is_too_early = session.retry_at().is_some_and(|at| at.steady < (now + wait).steady);
        if is_too_early && !record.has_pass && !wait.is_zero() {
            session.hold(None, now + wait);
        }
    }
}
