//! What the lines of the journal mean: when each rule was up, when it was down, and why. No IO.

use std::collections::BTreeMap;

use alknet_proto::{Code, Destination, ForwardId, ForwardName, Outage, Reason, Stage, Tag};
use jiff::Timestamp;

use super::record::{Record, RuleRecord, State};

/// The past of every rule that the journal knows, removed ones among them.
#[derive(Debug, Default)]
pub(super) struct Timelines {
    pub(super) rules: BTreeMap<(ForwardId, ForwardName), Timeline>,
    /// Whether the daemon ran, as far as the lines say.
    is_running: bool,
    /// The moment of the newest line.
    pub(super) last_at: Option<Timestamp>,
}

/// The past of one rule.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) destination: Destination,
    pub(super) tags: Vec<Tag>,
    /// What the newest line about it says.
    pub(super) state: State,
    pub(super) known_since: Timestamp,
    pub(super) removed_at: Option<Timestamp>,
    now: Phase,
    ups: Vec<(Timestamp, Timestamp)>,
    downs: Vec<Down>,
}

/// How a rule is while its lines are read.
#[derive(Clone, Debug)]
enum Phase {
    /// Nobody expects it to be there: stopped, removed, or on its way up for the first time.
    NotMeant,
    Up(Timestamp),
    Down(Down),
}

#[derive(Clone, Debug)]
struct Down {
    began: Timestamp,
    ended: Option<Timestamp>,
    reason: Option<Reason>,
    last_reason: Option<Reason>,
    /// The daemon was not there to hold it.
    is_absence: bool,
}

/// How one rule was over some time.
#[derive(Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) up_seconds: f64,
    pub(super) down_seconds: f64,
    /// Those that lie in the time, wholly or in part, the oldest first.
    pub(super) outages: Vec<Outage>,
}

impl Timelines {
    /// Reads lines in the order in which they were written.
    pub(super) fn of(records: impl IntoIterator<Item = Record>) -> Self {
        let mut timelines = Timelines { is_running: true, ..Timelines::default() };
        for record in records {
            timelines.take(record);
        }
        timelines
    }

    fn take(&mut self, record: Record) {
        let at = record.at();
        match record {
            Record::Started { at, last_alive } => {
                if self.is_running {
                    let end = last_alive.or(self.last_at).unwrap_or(at);
                    self.all_absent(end, "it ended without notice: killed, crashed, or the machine went down");
                }
                self.is_running = true;
            }
            Record::Stopped { at } => {
                self.all_absent(at, "it was stopped in order");
                self.is_running = false;
            }
            Record::Rule(rule) => self.take_rule(rule),
        }
        self.last_at = self.last_at.max(Some(at));
    }

    fn all_absent(&mut self, at: Timestamp, how: &str) {
        for timeline in self.rules.values_mut() {
            timeline.absent(at, how);
        }
    }

    fn take_rule(&mut self, rule: RuleRecord) {
        let RuleRecord { at, id, name, destination, tags, state, reason } = rule;
        let timeline = self.rules.entry((id, name)).or_insert_with(|| Timeline {
            destination: destination.clone(),
            tags: Vec::new(),
            state: State::Starting,
            known_since: at,
            removed_at: None,
            now: Phase::NotMeant,
            ups: Vec::new(),
            downs: Vec::new(),
        });
        (timeline.destination, timeline.tags) = (destination, tags);
        timeline.become_(state, at, reason);
    }
}

impl Timeline {
    fn become_(&mut self, state: State, at: Timestamp, reason: Option<Reason>) {
        self.state = state;
        self.removed_at = (state == State::Removed).then_some(at);
        match (state, &mut self.now) {
            // A line that says again what is known.
            (State::Active, Phase::Up(_)) => {}
            // Not there yet: what was, goes on.
            (State::Starting, Phase::Down(_)) => {}
            (State::Suspended | State::Error, Phase::Down(down)) if !down.is_absence => {
                let is_news = reason.as_ref().map(|reason| reason.code) != down.reason.as_ref().map(|first| first.code);
                down.last_reason = reason.filter(|_| is_news);
            }
            (State::Active, Phase::NotMeant | Phase::Down(_)) => self.enter(Phase::Up(at), at),
            (State::Suspended | State::Error, Phase::NotMeant | Phase::Up(_) | Phase::Down(_)) => {
                let down = Down { began: at, ended: None, reason, last_reason: None, is_absence: false };
                self.enter(Phase::Down(down), at);
            }
            (State::Starting, Phase::NotMeant | Phase::Up(_))
            | (State::Stopped | State::Removed, Phase::NotMeant | Phase::Up(_) | Phase::Down(_)) => {
                self.enter(Phase::NotMeant, at);
            }
        }
    }

    /// The daemon is not there any more.
    fn absent(&mut self, at: Timestamp, how: &str) {
        let is_meant = match (&self.now, self.state) {
            (_, State::Stopped | State::Removed) => false,
            (Phase::Down(down), _) => !down.is_absence,
            (Phase::Up(_), _) => true,
            // It was on its way up, and would have been there.
            (Phase::NotMeant, State::Starting | State::Active | State::Suspended | State::Error) => true,
        };
        if is_meant {
            let message = format!("alknetd was not running: {how}");
            let reason = Some(Reason::new(Stage::LocalIo, Code::NoDaemon, message));
            let down = Down { began: at, ended: None, reason, last_reason: None, is_absence: true };
            self.enter(Phase::Down(down), at);
        }
    }

    /// Leaves the present phase at `at`. A clock that was set back makes it empty, never negative.
    fn enter(&mut self, next: Phase, at: Timestamp) {
        match std::mem::replace(&mut self.now, next) {
            Phase::NotMeant => {}
            Phase::Up(since) => self.ups.push((since, at.max(since))),
            Phase::Down(down) => self.downs.push(Down { ended: Some(at.max(down.began)), ..down }),
        }
    }

    /// How it was from `since` to `until`, which is now.
    pub(super) fn measure(&self, since: Timestamp, until: Timestamp) -> Measured {
        let within = |from: Timestamp, to: Timestamp| millis(from.max(since), to.min(until));
        let (open_up, open_down) = match &self.now {
            Phase::NotMeant => (None, None),
            Phase::Up(from) => (Some((*from, until)), None),
            Phase::Down(down) => (None, Some(down)),
        };
        let ups = self.ups.iter().copied().chain(open_up);
        let downs = || self.downs.iter().chain(open_down);
        let is_in = |down: &&Down| down.ended.is_none_or(|ended| since <= ended) && down.began <= until;
        Measured {
            up_seconds: seconds(ups.map(|(from, to)| within(from, to)).sum()),
            down_seconds: seconds(downs().map(|down| within(down.began, down.ended.unwrap_or(until))).sum()),
            outages: downs().filter(is_in).map(|down| down.shown(until)).collect(),
        }
    }
}

impl Down {
    fn shown(&self, now: Timestamp) -> Outage {
        Outage {
            began: self.began,
            ended: self.ended,
            seconds: seconds(millis(self.began, self.ended.unwrap_or(now))),
            reason: self.reason.clone(),
            last_reason: self.last_reason.clone(),
        }
    }
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond().saturating_sub(from.as_millisecond()).max(0)
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1e3
}

#[cfg(test)]
mod tests;
