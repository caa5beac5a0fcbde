//! Make before break: a new link is brought up beside the first one and takes its place.

use std::time::Duration;

use alknet_proto::{Code, Destination, Fault, Output, Reason, Stage};

use crate::action::Action;
use crate::calls::{Answer, late};
use crate::event::{Call, Epoch, Peer};
use crate::extra::{Live, Purpose};
use crate::model::{Model, Turn};
use crate::moment::Moment;
use crate::requests::no_session;
use crate::session::{Phase, Session};
use crate::settle::accepts_new_key;
use crate::unwanted::give_way;
use crate::waiting::no_room;

/// Somebody waits for a link to be replaced.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) call: Call,
    pub(crate) destination: Destination,
    pub(crate) deadline: Moment,
}

impl Model {
    /// A person wants a fresh link without breaking a connection. Answers at once where there is none to replace.
    pub(crate) fn renew(
        &mut self,
        call: Call,
        destination: Destination,
        deadline: Moment,
        turn: &mut Turn,
    ) -> Option<Result<Output, Fault>> {
        let Some(session) = self.sessions.get_mut(&destination) else {
            return Some(Err(no_session(&destination)));
        };
        if session.unwanted_since().is_some() {
            // The next one who wants it gets a fresh one.
            turn.disconnect(&destination, session.rest(turn.now));
        }
        if session.active_epoch().is_none() {
            session.retry(turn.now);
            return Some(Ok(Output::Destinations(vec![destination])));
        }
        if let Err(fault) = self.replace_link(&destination, turn) {
            return Some(Err(fault));
        }
        self.renewals.push(Renewal { call, destination, deadline });
        None
    }

    /// A link says that its time has come.
    pub(crate) fn worn(&mut self, destination: &Destination, epoch: Epoch, turn: &mut Turn) {
        let Some(session) = self.sessions.get_mut(destination) else { return };
        if session.active_epoch() != Some(epoch) {
            // There are others, and connections ask for one more where these are busy.
            if session.extras.retire_open(epoch, turn.now) {
                turn.actions.push(Action::Retire { destination: destination.clone(), epoch });
            }
        } else if session.may_have_more() {
            // It says so again, if it may not be replaced now. Nobody is asked for a login that nobody waits for.
            let _ = self.replace_link(destination, turn);
        }
    }

    /// Starts the attempt that is to replace the first link, unless one is under way. Fails where it may not be now.
    fn replace_link(&mut self, destination: &Destination, turn: &mut Turn) -> Result<(), Fault> {
        let accept_new = accepts_new_key(self.users(destination));
        let is_under_way = |session: &Session| session.extras.is_opening(Purpose::InPlace);
        if self.stopping || self.sessions.get(destination).is_none_or(is_under_way) {
            return Ok(());
        }
        give_way(&mut self.sessions, 1, self.options.max_sessions, turn);
        if self.options.max_sessions <= self.n_links() {
            return Err(no_room(self.options.max_sessions).into());
        }
        self.supervision.may_start(destination, turn.now).map_err(|wait| too_many_handshakes(destination, wait))?;
        let epoch = self.last_epoch.next();
        if let Some(session) = self.sessions.get_mut(destination) {
            session.extras.start(epoch, Purpose::InPlace, turn.now);
            turn.connect(destination, epoch, accept_new);
        }
        Ok(())
    }

    /// An attempt succeeded: the one that was waited for, or one for a further link.
    pub(crate) fn connected(&mut self, destination: &Destination, epoch: Epoch, peer: Peer, turn: &mut Turn) {
        let Some(session) = self.sessions.get_mut(destination) else { return };
        if !session.extras.contains(epoch) {
            session.connected(epoch, peer, turn.now);
            return;
        }
        if session.extras.connected(epoch, Live::new(peer, turn.now)) == Some(Purpose::InPlace)
            && let Phase::Active { epoch: first, live } = &mut session.phase
            && let Some(fresh) = session.extras.take(epoch)
        {
            let old = std::mem::replace(first, epoch);
            session.extras.retire(old, live, turn.now);
            *live = fresh;
            turn.actions.push(Action::Retire { destination: destination.clone(), epoch: old });
            self.answer_renewals(destination, Ok(()), turn);
        }
    }

    /// An attempt failed or a link ended.
    pub(crate) fn lost(&mut self, destination: &Destination, epoch: Epoch, reason: Reason, turn: &mut Turn) {
        let Some(session) = self.sessions.get_mut(destination) else { return };
        match session.extras.lost(epoch, turn.now) {
            Some(Some(Purpose::InPlace)) => self.answer_renewals(destination, Err(reason.into()), turn),
            Some(Some(Purpose::Beside) | None) => {}
            None => session.lost(epoch, reason, turn.now, turn.jitter),
        }
    }

    /// Nobody who asked for a fresh link is kept waiting for one that does not come.
    pub(crate) fn settle_renewals(&mut self, turn: &mut Turn) {
        for renewal in std::mem::take(&mut self.renewals) {
            let session = self.sessions.get(&renewal.destination);
            if renewal.deadline.steady <= turn.now.steady {
                turn.answers.push((renewal.call, Answer::Ready(Err(late()))));
            } else if session.is_some_and(|session| session.extras.is_opening(Purpose::InPlace)) {
                self.renewals.push(renewal);
            } else {
                let is_unwanted = session.is_some_and(|session| session.unwanted_since().is_some());
                let what = if is_unwanted { "was not wanted any more" } else { "ended" };
                let message = format!("the session to {} {what} before its successor was there", renewal.destination);
                let fault = Fault::new(Code::ConnectionLost, message).at(Stage::Tcp);
                turn.answers.push((renewal.call, Answer::Ready(Err(fault))));
            }
        }
    }

    fn answer_renewals(&mut self, destination: &Destination, result: Result<(), Fault>, turn: &mut Turn) {
        for renewal in self.renewals.extract_if(.., |renewal| renewal.destination == *destination) {
            let answer = result.clone().map(|()| Output::Destinations(vec![destination.clone()]));
            turn.answers.push((renewal.call, Answer::Ready(answer)));
        }
    }
}

fn too_many_handshakes(destination: &Destination, wait: Duration) -> Fault {
    let message = format!(
        "{destination} had too many handshakes without a login: the next one may be in {} s",
        wait.as_secs() + 1
    );
    Fault::new(Code::ServerBusy, message).at(Stage::Handshake)
}
