//! The journal of outages: when each rule was there and when it was not, kept over every end of the daemon.
//!
//! `record` is one line of it, `file` how lines reach the disk and come back, `known` how the rules are now, `keeper`
//! who owns the files, `timeline` what the lines mean, `answer` what a client is told.

mod answer;
mod file;
mod heartbeat;
mod keeper;
mod known;
mod record;
mod timeline;

use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use alknet_core::{Call, SavedRules};
use alknet_proto::history::ForwardKey;
use alknet_proto::status::ForwardDetail;
use alknet_proto::{Code, Fault, Output, Selector, StatusEvent};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::control::Clients;

use file::Limits;
use keeper::Keeper;
use known::Known;
use record::RuleRecord;

/// What waits for the disk. Full means that the disk stands still: changes are left out then, and the keeper makes up
/// for them with how every rule is as soon as it has emptied the queue.
const QUEUE: usize = 4096;
/// How long the end of the daemon waits for a disk that stands still.
const END_LIMIT: Duration = Duration::from_secs(3);

/// What the keeper is told and asked.
#[derive(Debug)]
enum Message {
    /// A rule is so now.
    Changed(RuleRecord),
    /// `forwards/history`.
    Asked(Call, Question),
    /// `forwards/show`: the last outages are missing in it.
    Shown(Call, Box<ForwardDetail>),
}

/// What `forwards/history` asks for.
#[derive(Clone, Debug)]
pub struct Question {
    /// Which forwards; none means all that were there in the time.
    pub selectors: Vec<Selector>,
    /// From when on.
    pub since: Timestamp,
    /// The last one of the page before.
    pub after: Option<ForwardKey>,
}

/// Tells the journal what happens, and asks it. None of its calls waits.
#[derive(Debug)]
pub struct Journal {
    queue: SyncSender<Message>,
    known: Known,
    clients: Clients,
}

/// The end of the thread that keeps the journal.
#[derive(Debug)]
pub struct Ending(oneshot::Receiver<()>);

impl Journal {
    /// The journal in `state_dir`; `rules` are those that the daemon starts with.
    ///
    /// Its files belong to a thread of their own, which ends with everything on disk when the journal is dropped.
    pub fn open(state_dir: &Path, rules: &SavedRules, clients: Clients) -> (Journal, Ending) {
        let (queue, messages) = sync_channel(QUEUE);
        let (ended, ending) = oneshot::channel();
        let known = Known::of(rules, Timestamp::now());
        let keeper = Keeper::new(state_dir, Limits::default(), known.clone(), clients.clone());
        let kept = std::thread::Builder::new().name("outages".to_owned()).spawn(move || {
            keeper.run(&messages);
            // Whoever waited gave up.
            let _ = ended.send(());
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "outages are not recorded: there is no thread for it");
        }
        (Journal { queue, known, clients }, Ending(ending))
    }

    /// Takes note of a change.
    pub fn note(&self, event: &StatusEvent) {
        let Some(record) = self.known.learn(event) else { return };
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Changed(record)) {
            self.known.miss();
        }
    }

    /// Answers `forwards/history`, behind everything that was noted before.
    pub fn ask(&self, call: Call, question: Question) {
        if self.queue.try_send(Message::Asked(call, question)).is_err() {
            let fault = Fault::new(Code::TimedOut, "the journal of outages waits for the disk");
            self.clients.reply(call, Err(fault.with_hint("ask again in a moment")));
        }
    }

    /// Answers `forwards/show` with the last outages in it; without them when the disk stands still.
    pub fn show(&self, call: Call, detail: Box<ForwardDetail>) {
        let refused = match self.queue.try_send(Message::Shown(call, detail)) {
            Ok(()) => return,
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => message,
        };
        if let Message::Shown(call, detail) = refused {
            self.clients.reply(call, Ok(Output::Forward(detail)));
        }
    }
}

impl Ending {
    /// Waits until the last line is on disk, at most 3 s. The journal has to be dropped before.
    pub async fn wait(self) {
        if tokio::time::timeout(END_LIMIT, self.0).await.is_err() {
            tracing::warn!("the journal of outages did not reach the disk in time");
        }
    }
}
