//! Owns the files of the journal: writes what it is told, reads what it is asked, and makes up for what was lost.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use alknet_proto::{Output, history::LAST_OUTAGES};
use jiff::Timestamp;

use crate::control::Clients;

use super::file::{JournalFile, Limits};
use super::heartbeat::{self, Heartbeat};
use super::known::Known;
use super::record::{Record, RuleRecord, State};
use super::timeline::Timelines;
use super::{Message, answer};

/// A line survives the end of the process at once, and that of the machine after at most so long.
const SYNC_AFTER: Duration = Duration::from_secs(5);
/// Lines that are written in one go.
const BATCH: usize = 256;

/// Owns the files. Everything it does may wait for the disk.
pub(super) struct Keeper {
    file: JournalFile,
    heart: Heartbeat,
    known: Known,
    clients: Clients,
    /// Lines may be missing in the file.
    is_behind: bool,
    /// The disk refused, and it was said.
    has_complained: bool,
    unsynced_since: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(folder: &Path, limits: Limits, known: Known, clients: Clients) -> Self {
        Keeper {
            file: JournalFile::new(folder, limits),
            heart: Heartbeat::new(folder),
            known,
            clients,
            is_behind: false,
            has_complained: false,
            unsynced_since: None,
        }
    }

    /// Keeps the journal until nobody can tell anything any more.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        self.start(Timestamp::now());
        let mut next_beat = Instant::now() + heartbeat::INTERVAL;
        loop {
            let sync_at = self.unsynced_since.map_or(next_beat, |since| since + SYNC_AFTER);
            let patience = next_beat.min(sync_at).saturating_duration_since(Instant::now());
            let mut records = Vec::new();
            let mut question = None;
            match messages.recv_timeout(patience) {
                Ok(first) => {
                    let more = messages.try_iter();
                    for message in std::iter::once(first).chain(more) {
                        match message {
                            Message::Changed(record) => records.push(Record::Rule(record)),
                            asked @ (Message::Asked(..) | Message::Shown(..)) => question = Some(asked),
                        }
                        if question.is_some() || BATCH <= records.len() {
                            break;
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.write(&records, Timestamp::now());
            if let Some(question) = question {
                self.answer(question);
            }
            if self.unsynced_since.is_some_and(|since| SYNC_AFTER <= since.elapsed()) {
                self.sync();
            }
            if next_beat <= Instant::now() {
                next_beat = Instant::now() + heartbeat::INTERVAL;
                self.beat(Timestamp::now());
            }
        }
        let now = Timestamp::now();
        self.write(&[Record::Stopped { at: now }], now);
        self.sync();
    }

    /// Closes what the run before left open, and says that a new one began.
    pub(super) fn start(&mut self, now: Timestamp) {
        let past = Timelines::of(self.file.read().records);
        let mut lines = Vec::new();
        if let Some(last_at) = past.last_at {
            let last_alive = self.heart.last().map_or(last_at, |beat| beat.max(last_at)).min(now);
            lines.extend(self.removed(&past, last_alive));
            lines.push(Record::Started { at: now, last_alive: Some(last_alive) });
        } else {
            lines.push(Record::Started { at: now, last_alive: None });
        }
        let is_news = |rule: &RuleRecord| {
            past.rules.get(&(rule.id, rule.name.clone())).is_none_or(|line| {
                let was_stopped = matches!(line.state, State::Stopped | State::Removed);
                line.destination != rule.destination
                    || line.tags != rule.tags
                    || was_stopped != (rule.state == State::Stopped)
            })
        };
        lines.extend(self.known.all().into_iter().filter(is_news).map(Record::Rule));
        self.write(&lines, now);
        self.beat(now);
    }

    /// The rules that the lines still have and the daemon has not.
    fn removed(&self, past: &Timelines, at: Timestamp) -> Vec<Record> {
        let known = self.known.all();
        let is_gone = |id, name| !known.iter().any(|rule| rule.id == id && rule.name == name);
        let lines = past.rules.iter().filter(|(_, line)| line.state != State::Removed);
        let gone = lines.filter(|((id, name), _)| is_gone(*id, name.clone()));
        gone.map(|((id, name), line)| {
            let (destination, tags) = (line.destination.clone(), line.tags.clone());
            let (id, name, state) = (*id, name.clone(), State::Removed);
            Record::Rule(RuleRecord { at, id, name, destination, tags, state, reason: None })
        })
        .collect()
    }

    /// Writes lines, or remembers that they are missing.
    pub(super) fn write(&mut self, records: &[Record], now: Timestamp) {
        self.is_behind |= self.known.has_missed();
        let written = if self.is_behind { self.catch_up(records, now) } else { self.append(records, now) };
        match written {
            Ok(true) if self.has_complained => {
                self.has_complained = false;
                tracing::info!("outages are recorded again");
            }
            Ok(_) => {}
            Err(error) => {
                self.is_behind = true;
                if !self.has_complained {
                    self.has_complained = true;
                    let (path, error) = (self.file.path().display(), error.to_string());
                    let error = error.split(" (os error").next().unwrap_or_default();
                    tracing::warn!(%path, error, "outages are not recorded until the disk takes them; forwards go on");
                }
            }
        }
    }

    /// Tells whether there was anything to write.
    fn append(&mut self, records: &[Record], now: Timestamp) -> io::Result<bool> {
        if records.is_empty() {
            return Ok(false);
        }
        self.file.append(records)?;
        self.unsynced_since.get_or_insert_with(Instant::now);
        if self.file.is_full(now) {
            self.file.begin_anew()?;
            // The older file goes one day: every rule is in each.
            let rules: Vec<Record> = self.known.all().into_iter().map(Record::Rule).collect();
            self.file.append(&rules)?;
        }
        Ok(true)
    }

    /// Says how every rule is, where the lines say something else; what was lost in between stays lost.
    fn catch_up(&mut self, records: &[Record], now: Timestamp) -> io::Result<bool> {
        let past = Timelines::of(self.file.read().records);
        let differs = |rule: &RuleRecord| {
            let line = past.rules.get(&(rule.id, rule.name.clone()));
            line.is_none_or(|line| line.state != rule.state)
        };
        let mut lines = self.removed(&past, now);
        lines.extend(self.known.all().into_iter().filter(differs).map(Record::Rule));
        // How the rules are is said above; that the daemon began or ended is not.
        lines.extend(records.iter().filter(|record| !matches!(record, Record::Rule(_))).cloned());
        let has_written = self.append(&lines, now)?;
        self.is_behind = false;
        Ok(has_written)
    }

    fn sync(&mut self) {
        self.unsynced_since = None;
        if let Err(error) = self.file.sync() {
            tracing::debug!(%error, "journal of outages not synced");
        }
    }

    fn beat(&mut self, now: Timestamp) {
        if let Err(error) = self.heart.beat(now) {
            tracing::debug!(%error, "sign of life not written");
        }
        // Where lines are missing, this is the next try.
        self.write(&[], now);
    }

    fn answer(&self, message: Message) {
        let contents = self.file.read();
        let (timelines, now) = (Timelines::of(contents.records), Timestamp::now());
        match message {
            Message::Changed(_) => {}
            Message::Asked(call, question) => {
                let page = answer::page(&timelines, &question, now, contents.n_skipped);
                self.clients.reply(call, page.map(Output::History));
            }
            Message::Shown(call, mut detail) => {
                let key = (detail.forward.id, detail.forward.name.clone());
                if let Some(timeline) = timelines.rules.get(&key) {
                    let mut outages = timeline.measure(Timestamp::UNIX_EPOCH, now).outages;
                    detail.outages = outages.split_off(outages.len().saturating_sub(LAST_OUTAGES));
                }
                self.clients.reply(call, Ok(Output::Forward(detail)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
