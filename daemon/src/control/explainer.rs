//! Answers what files decide and not the model: outside of the loop, a few questions at a time, each within a time limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use alknet_core::Call;
use alknet_proto::{Code, Destination, Fault, Output};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

use super::clients::Clients;
use crate::ssh::{Settings, explain};

/// How many questions wait to be taken up; one more is refused.
const WAITING: usize = 64;
/// How many are answered at a time. A file system that hangs holds no more threads than these.
const AT_ONCE: usize = 4;
/// How long the files may take to be read, and the agent to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// What the ssh configuration makes of a destination.
    Explain(Destination),
    /// Which forwards it asks for.
    FindForwards {
        /// Of which Hosts; none means every Host without a pattern.
        destinations: Vec<Destination>,
        /// How many of them are known already.
        skip: u32,
    },
}

#[derive(Debug)]
struct Asked {
    call: Call,
    question: Question,
    limit: Duration,
}

/// Takes questions in. Clones go to the same answers.
#[derive(Clone, Debug)]
pub struct Explainer {
    asked: mpsc::Sender<Asked>,
}

/// Where the questions of an [`Explainer`] come out; [`Questions::run`] answers them.
#[derive(Debug)]
pub struct Questions {
    asked: mpsc::Receiver<Asked>,
}

impl Explainer {
    /// Both ends.
    pub fn new() -> (Explainer, Questions) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Explainer { asked: sender }, Questions { asked: receiver })
    }

    /// Asks; the answer comes through the client's outbox. Waits for nothing.
    ///
    /// # Errors
    /// [`Code::SessionLimit`] when too many wait already, [`Code::DaemonStopping`] when nobody answers any more.
    pub(super) fn ask(&self, call: Call, question: Question, limit: Duration) -> Result<(), Fault> {
        self.asked.try_send(Asked { call, question, limit }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Fault::new(Code::SessionLimit, format!("{WAITING} questions about the ssh configuration wait already"))
                    .with_hint("one of its files may be on a disk that does not answer")
            }
            mpsc::error::TrySendError::Closed(_) => Fault::new(Code::DaemonStopping, "the daemon is ending"),
        })
    }
}

impl Questions {
    /// Answers until every [`Explainer`] is gone. Dropping it takes back what is under way.
    ///
    /// Each question is read with the settings of its moment.
    pub async fn run(mut self, settings: watch::Receiver<Arc<Settings>>, clients: Clients) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut answering: JoinSet<Result<Output, Fault>> = JoinSet::new();
        let mut calls: HashMap<Id, Call> = HashMap::new();
        loop {
            // Receiving and joining lose nothing when they are dropped half way.
            tokio::select! {
                asked = self.asked.recv() => {
                    let Some(Asked { call, question, limit }) = asked else { return };
                    let answer = answer(question, limit.min(LIMIT), settings.borrow().clone(), places.clone());
                    calls.insert(answering.spawn(answer).id(), call);
                }
                Some(ended) = answering.join_next_with_id() => {
                    let (id, result) = match ended {
                        Ok(ended) => ended,
                        Err(error) => {
                            tracing::error!(%error, "explaining failed");
                            (error.id(), Err(Fault::new(Code::Internal, "alknetd has a defect and cannot answer this")))
                        }
                    };
                    if let Some(call) = calls.remove(&id) {
                        clients.reply(call, result);
                    }
                }
            }
        }
    }
}

async fn answer(
    question: Question,
    limit: Duration,
    settings: Arc<Settings>,
    places: Arc<Semaphore>,
) -> Result<Output, Fault> {
    let answered = timeout(limit, async {
        // The place belongs to the reading itself: it is free when the files were read, however long that takes.
        let place = places.acquire_owned().await.map_err(|_| Fault::new(Code::Internal, "nobody answers"))?;
        match question {
            Question::Explain(destination) => {
                let explanation = explain::explain(destination, settings, place).await?;
                Ok(Output::Explanation(Box::new(explanation)))
            }
            Question::FindForwards { destinations, skip } => {
                let (forwards, more) = explain::find_forwards(destinations, skip, settings, place).await?;
                Ok(Output::FoundForwards { forwards, more })
            }
        }
    });
    answered.await.unwrap_or_else(|_| {
        let seconds = limit.as_secs_f64();
        Err(Fault::new(Code::TimedOut, format!("the ssh configuration could not be read within {seconds} s"))
            .with_hint("one of its files may be on a disk that does not answer"))
    })
}
