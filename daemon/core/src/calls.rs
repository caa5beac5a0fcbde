//! Requests that take more than one turn: what each waits for, and how it ends.

use alknet_proto::operation::ForwardRef;
use alknet_proto::{Code, Fault, ForwardId, Output, Reason, Stage};

use crate::event::Call;
use crate::forward::{Life, Listener};
use crate::limits::SAVE_AGAIN_AFTER;
use crate::model::{Model, Turn};
use crate::moment::Moment;

/// A request that was begun and is not answered.
#[derive(Debug)]
pub(crate) struct PendingCall {
    /// Who waits for the answer; nobody after an abort, when the work goes on to its end.
    pub(crate) call: Option<Call>,
    /// When whoever waits gives up.
    pub(crate) give_up_at: Moment,
    /// The forwards that are worked on; no other request touches them meanwhile.
    pub(crate) forwards: Vec<ForwardId>,
    pub(crate) work: Work,
    pub(crate) step: Step,
    /// What a person should know about the result.
    pub(crate) notices: Vec<String>,
    /// Forwards that were meant and are left as they are.
    pub(crate) left: Vec<ForwardId>,
}

impl PendingCall {
    pub(crate) fn new(call: Call, work: Work, forwards: Vec<ForwardId>, give_up_at: Moment, step: Step) -> Self {
        PendingCall { call: Some(call), give_up_at, forwards, work, step, notices: Vec::new(), left: Vec::new() }
    }

    /// When somebody who still waits has to be told that it took too long.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let is_waited_for = self.call.is_some() && !matches!(self.step, Step::Undoing { .. });
        is_waited_for.then_some(self.give_up_at)
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Add,
    Remove,
    Start,
    Stop,
    Restart,
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Its listeners have to open.
    Opening,
    /// The rules of this revision have to be on disk.
    Saving(u64),
    /// Its listeners have to close.
    Closing,
    /// It failed, and what it had begun has to be taken back first.
    Undoing {
        /// What is answered then.
        fault: Fault,
        /// The rules as they were have to be on disk again, from this revision on.
        revision: u64,
    },
}

/// How a request ended.
pub(crate) enum Answer {
    /// The forwards it added.
    Added(Vec<ForwardId>, Vec<String>),
    /// Anything else.
    Ready(Result<Output, Fault>),
}

/// Whether the listener of a forward is where a start wants it.
enum Readiness {
    Waits,
    Ready,
    Refused(Reason),
}

impl Model {
    /// Takes every pending request as far as it goes; true if anything moved.
    pub(crate) fn advance_calls(&mut self, turn: &mut Turn) -> bool {
        let mut moved = false;
        let mut waiting = Vec::new();
        for mut pending in std::mem::take(&mut self.calls) {
            if pending.deadline().is_some_and(|deadline| deadline.steady <= turn.now.steady) {
                self.give_up(&mut pending, turn, late());
                moved = true;
            }
            let mut answer = None;
            while answer.is_none() {
                let before = pending.step.clone();
                answer = self.advance(&mut pending, turn);
                if pending.step == before {
                    break;
                }
                moved = true;
            }
            match answer {
                Some(answer) => {
                    moved = true;
                    if let Some(call) = pending.call {
                        turn.answers.push((call, answer));
                    }
                }
                None => waiting.push(pending),
            }
        }
        self.calls = waiting;
        moved
    }

    fn advance(&mut self, pending: &mut PendingCall, turn: &mut Turn) -> Option<Answer> {
        match (pending.work, &pending.step) {
            (_, Step::Opening) => self.advance_opening(pending, turn),
            (_, Step::Saving(revision)) if *revision <= self.saved_revision => self.advance_saved(pending, turn),
            (_, Step::Saving(_)) => None,
            (_, Step::Undoing { revision, .. }) if self.saved_revision < *revision => None,
            (Work::Add, Step::Undoing { fault, .. }) => {
                let fault = fault.clone();
                self.all_closed(&pending.forwards).then(|| {
                    self.forget(&pending.forwards, false, turn);
                    Answer::Ready(Err(fault))
                })
            }
            (_, Step::Undoing { fault, .. }) => Some(Answer::Ready(Err(fault.clone()))),
            (Work::Restart, Step::Closing) => {
                if self.all_closed(&pending.forwards) {
                    self.each(&pending.forwards, |forward| forward.pausing = false);
                    pending.step = Step::Opening;
                }
                None
            }
            (Work::Remove, Step::Closing) => self.all_closed(&pending.forwards).then(|| {
                let changed = self.references(&pending.forwards);
                self.forget(&pending.forwards, true, turn);
                Answer::Ready(Ok(Output::Changed(changed)))
            }),
            (Work::Add | Work::Start | Work::Stop, Step::Closing) => self
                .all_closed(&pending.forwards)
                .then(|| Answer::Ready(Ok(Output::Changed(self.references(&pending.forwards))))),
        }
    }

    fn advance_opening(&mut self, pending: &mut PendingCall, turn: &mut Turn) -> Option<Answer> {
        let mut waits = false;
        for id in pending.forwards.clone() {
            match self.readiness(id) {
                Readiness::Waits => waits = true,
                Readiness::Ready => {}
                Readiness::Refused(reason) => {
                    self.undo(pending, turn, reason.into());
                    return None;
                }
            }
        }
        if waits {
            return None;
        }
        let mut to_save = false;
        self.each(&pending.forwards, |forward| {
            let is_new = forward.life == Life::New;
            to_save |= (is_new || forward.stopped_on_disk != forward.stopped) && !forward.spec.ephemeral;
            forward.stopped_on_disk = forward.stopped;
            if is_new {
                forward.life = Life::Entering;
            }
        });
        pending.step = Step::Saving(if to_save { self.save(turn) } else { self.saved_revision });
        None
    }

    /// The disk has it: what was promised becomes so.
    fn advance_saved(&mut self, pending: &mut PendingCall, turn: &mut Turn) -> Option<Answer> {
        match pending.work {
            Work::Add => {
                self.each(&pending.forwards, |forward| forward.life = Life::Kept);
                // Somebody adds a forward because it is to work: that is asking for its session.
                self.revive_sessions(&pending.forwards, turn.now);
                for id in &pending.forwards {
                    self.publish_added(*id, turn);
                }
                Some(Answer::Added(pending.forwards.clone(), std::mem::take(&mut pending.notices)))
            }
            Work::Start | Work::Restart => {
                let mut changed = self.references(&pending.forwards);
                let left = self.references(&pending.left).into_iter();
                changed.extend(left.map(|reference| ForwardRef { left_stopped: true, ..reference }));
                Some(Answer::Ready(Ok(Output::Changed(changed))))
            }
            Work::Remove => {
                self.each(&pending.forwards, |forward| forward.life = Life::Ending);
                pending.step = Step::Closing;
                None
            }
            Work::Stop => {
                self.each(&pending.forwards, |forward| forward.stopped = true);
                pending.step = Step::Closing;
                None
            }
        }
    }

    /// Whoever asked waits no longer. What can be taken back is, the rest goes on unobserved.
    pub(crate) fn give_up(&mut self, pending: &mut PendingCall, turn: &mut Turn, fault: Fault) {
        let may_undo = matches!(pending.step, Step::Opening | Step::Saving(_)) && pending.work != Work::Restart;
        if may_undo {
            self.undo(pending, turn, fault);
        } else if let Some(call) = pending.call.take() {
            turn.answers.push((call, Answer::Ready(Err(fault))));
        }
    }

    /// Puts everything back to where it was before the request.
    pub(crate) fn undo(&mut self, pending: &mut PendingCall, turn: &mut Turn, fault: Fault) {
        let was_saving = matches!(pending.step, Step::Saving(_));
        self.take_back(pending);
        // The rules may be on their way to the disk as they should not be.
        let revision = if was_saving { self.save(turn) } else { 0 };
        pending.step = Step::Undoing { fault, revision };
    }

    fn take_back(&mut self, pending: &PendingCall) {
        match pending.work {
            Work::Add => self.each(&pending.forwards, |forward| forward.life = Life::Failed),
            Work::Remove => self.each(&pending.forwards, |forward| forward.life = Life::Kept),
            Work::Stop => self.each(&pending.forwards, |forward| forward.stopped_on_disk = forward.stopped),
            Work::Start => self.each(&pending.forwards, |forward| {
                forward.stopped = true;
                forward.stopped_on_disk = true;
            }),
            // A rule that was running stays as it is; its reason says what is wrong.
            Work::Restart => self.each(&pending.forwards, |forward| forward.pausing = false),
        }
    }

    /// The rules up to this revision are not on disk.
    pub(crate) fn not_saved(&mut self, revision: u64, reason: &Reason, turn: &mut Turn) {
        let mut calls = std::mem::take(&mut self.calls);
        let mut undone = false;
        for pending in &mut calls {
            match &mut pending.step {
                Step::Saving(wanted) if *wanted <= revision => {
                    // Nothing reached the disk, so there is nothing to write again.
                    self.take_back(pending);
                    pending.step = Step::Undoing { fault: reason.clone().into(), revision: 0 };
                    undone = true;
                }
                // It is tried again, but nobody is kept waiting for it.
                Step::Undoing { revision: wanted, .. } if *wanted <= revision => *wanted = 0,
                Step::Opening | Step::Saving(_) | Step::Closing | Step::Undoing { .. } => {}
            }
        }
        self.calls = calls;
        if revision < self.revision {
            // Newer rules are on their way; they may still contain what was just taken back.
            if undone {
                self.save(turn);
            }
        } else {
            // What an earlier revision left there may be more than what is true now.
            self.save_again_at = Some(turn.now + SAVE_AGAIN_AFTER);
        }
    }

    fn readiness(&self, id: ForwardId) -> Readiness {
        let Some(forward) = self.forwards.get(&id) else { return Readiness::Ready };
        match &forward.listener {
            Listener::Open { .. } => Readiness::Ready,
            Listener::Refused { reason, .. } => Readiness::Refused(reason.clone()),
            Listener::Closed | Listener::Opening { .. } | Listener::Closing { .. } => {
                let session = self.sessions.get(&forward.spec.destination);
                match forward.should_listen(session) {
                    // Stopped, or remote with its session down: it listens when the session comes.
                    None => Readiness::Ready,
                    Some(_) => Readiness::Waits,
                }
            }
        }
    }

    fn all_closed(&self, ids: &[ForwardId]) -> bool {
        ids.iter().filter_map(|id| self.forwards.get(id)).all(|forward| forward.listener == Listener::Closed)
    }
}

pub(crate) fn late() -> Fault {
    Fault::new(Code::TimedOut, "it was not done in the time that the client waits")
        .at(Stage::LocalIo)
        .with_hint("--timeout SECONDS waits longer")
}
