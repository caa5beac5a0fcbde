//! What waits on one connection, and what becomes of it with each message.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use super::{CONNECTION_ID, SUBSCRIPTION_QUEUE};
use crate::envelope::{Body, Envelope, Request};
use crate::fault::{Code, Fault};
use crate::ids::RequestId;
use crate::operation::Output;

/// The requests of one connection that wait for something.
#[derive(Debug, Default)]
pub struct PendingMap {
    waiting: HashMap<RequestId, Waiting>,
    over: Option<Fault>,
}

#[derive(Debug)]
enum Waiting {
    Call(oneshot::Sender<Result<Output, Fault>>),
    Subscription { outputs: mpsc::Sender<Output>, end: oneshot::Sender<Fault> },
}

/// What is left to do with a message that was taken in.
#[derive(Debug)]
pub enum Delivery {
    /// Nothing.
    Done,
    /// The output belongs to this subscription, which may have to be waited for.
    Push(mpsc::Sender<Output>, Box<Output>),
    /// Nobody waits for it. That is normal for what crossed an abort on its way.
    Unknown,
    /// The other side asks for something itself.
    Asked(Request),
    /// The other side ends the connection, for this reason.
    Over(Fault),
}

impl PendingMap {
    /// Waits for the one answer to `id`.
    ///
    /// # Errors
    /// Why the connection is over.
    pub fn expect_answer(&mut self, id: RequestId) -> Result<oneshot::Receiver<Result<Output, Fault>>, Fault> {
        let (answer, receiver) = oneshot::channel();
        self.insert(id, Waiting::Call(answer))?;
        Ok(receiver)
    }

    /// Waits for the outputs of `id`, and for the fault that may end them.
    ///
    /// # Errors
    /// Why the connection is over.
    pub fn expect_outputs(
        &mut self,
        id: RequestId,
    ) -> Result<(mpsc::Receiver<Output>, oneshot::Receiver<Fault>), Fault> {
        let (outputs, received) = mpsc::channel(SUBSCRIPTION_QUEUE);
        let (end, ended) = oneshot::channel();
        self.insert(id, Waiting::Subscription { outputs, end })?;
        Ok((received, ended))
    }

    fn insert(&mut self, id: RequestId, waiting: Waiting) -> Result<(), Fault> {
        if let Some(fault) = &self.over {
            return Err(fault.clone());
        }
        self.waiting.insert(id, waiting);
        Ok(())
    }

    /// Takes in one message of the other side.
    pub fn take_in(&mut self, envelope: Envelope) -> Delivery {
        let id = envelope.id;
        match envelope.body {
            Body::Requested(request) => Delivery::Asked(request),
            Body::Error(fault) if id == CONNECTION_ID => Delivery::Over(fault),
            Body::Error(fault) => self.fail(id, fault),
            Body::Aborted => self.fail(id, Fault::new(Code::Aborted, "the daemon took the request back")),
            Body::Completed => self.complete(id),
            Body::Responded(output) => self.respond(id, output),
        }
    }

    fn respond(&mut self, id: RequestId, output: Output) -> Delivery {
        match self.waiting.remove(&id) {
            // Whoever waited may have gone in this moment; then nobody misses the answer.
            Some(Waiting::Call(answer)) => {
                let _ = answer.send(Ok(output));
                Delivery::Done
            }
            Some(Waiting::Subscription { outputs, end }) => {
                let subscriber = outputs.clone();
                self.waiting.insert(id, Waiting::Subscription { outputs, end });
                Delivery::Push(subscriber, Box::new(output))
            }
            None => Delivery::Unknown,
        }
    }

    fn complete(&mut self, id: RequestId) -> Delivery {
        match self.waiting.remove(&id) {
            Some(Waiting::Call(answer)) => {
                let _ = answer.send(Err(Fault::new(Code::InvalidRequest, "the daemon ended a call without an answer")));
                Delivery::Done
            }
            // Dropping both ends it: the outputs that are queued are still read.
            Some(Waiting::Subscription { .. }) => Delivery::Done,
            None => Delivery::Unknown,
        }
    }

    fn fail(&mut self, id: RequestId, fault: Fault) -> Delivery {
        match self.waiting.remove(&id) {
            Some(waiting) => {
                waiting.fail(fault);
                Delivery::Done
            }
            None => Delivery::Unknown,
        }
    }

    /// Forgets a request; whether it was still waiting.
    pub fn forget(&mut self, id: RequestId) -> bool {
        self.waiting.remove(&id).is_some()
    }

    /// Why the connection is over, if it is.
    pub fn over(&self) -> Option<&Fault> {
        self.over.as_ref()
    }

    /// Fails everything that waits, and everything that comes from now on.
    pub fn fail_all(&mut self, fault: &Fault) {
        self.over = Some(fault.clone());
        for (_, waiting) in self.waiting.drain() {
            waiting.fail(fault.clone());
        }
    }
}

impl Waiting {
    fn fail(self, fault: Fault) {
        // Whoever waited may have gone in this moment; then nobody misses the fault.
        match self {
            Waiting::Call(answer) => drop(answer.send(Err(fault))),
            Waiting::Subscription { end, .. } => drop(end.send(fault)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RequestId = RequestId(1);

    fn message(body: Body) -> Envelope {
        Envelope { id: ID, body }
    }

    fn fault() -> Fault {
        Fault::new(Code::NotFound, "no forward matches `web`")
    }

    #[test]
    fn a_call_has_one_answer_and_what_comes_later_is_unknown() {
        let mut map = PendingMap::default();
        let mut answer = map.expect_answer(ID).unwrap();

        assert!(matches!(map.take_in(message(Body::Responded(Output::Done))), Delivery::Done));
        assert!(matches!(map.take_in(message(Body::Responded(Output::Done))), Delivery::Unknown));

        assert_eq!(answer.try_recv(), Ok(Ok(Output::Done)));
    }

    #[test]
    fn an_error_ends_a_call() {
        let mut map = PendingMap::default();
        let mut answer = map.expect_answer(ID).unwrap();

        map.take_in(message(Body::Error(fault())));

        assert_eq!(answer.try_recv(), Ok(Err(fault())));
        assert!(!map.forget(ID));
    }

    #[test]
    fn a_call_that_the_daemon_takes_back_fails_as_aborted() {
        let mut map = PendingMap::default();
        let mut answer = map.expect_answer(ID).unwrap();

        map.take_in(message(Body::Aborted));

        assert_eq!(answer.try_recv().unwrap().unwrap_err().code, Code::Aborted);
    }

    #[test]
    fn a_call_that_is_completed_without_an_answer_fails() {
        let mut map = PendingMap::default();
        let mut answer = map.expect_answer(ID).unwrap();

        map.take_in(message(Body::Completed));

        assert_eq!(answer.try_recv().unwrap().unwrap_err().code, Code::InvalidRequest);
    }

    #[test]
    fn a_subscription_stays_open_until_it_is_completed() {
        let mut map = PendingMap::default();
        let (mut outputs, mut end) = map.expect_outputs(ID).unwrap();

        for _ in 0..2 {
            let Delivery::Push(subscriber, output) = map.take_in(message(Body::Responded(Output::Done))) else {
                panic!("the output was not for the subscription")
            };
            subscriber.try_send(*output).unwrap();
        }
        map.take_in(message(Body::Completed));

        assert_eq!(outputs.try_recv(), Ok(Output::Done));
        assert_eq!(outputs.try_recv(), Ok(Output::Done));
        assert_eq!(outputs.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert_eq!(end.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn the_end_of_the_connection_fails_everything_before_and_after() {
        let mut map = PendingMap::default();
        let mut answer = map.expect_answer(ID).unwrap();
        let (_outputs, mut end) = map.expect_outputs(RequestId(3)).unwrap();

        map.fail_all(&fault());

        assert_eq!(answer.try_recv(), Ok(Err(fault())));
        assert_eq!(end.try_recv(), Ok(fault()));
        assert_eq!(map.expect_answer(RequestId(5)).unwrap_err(), fault());
    }

    #[test]
    fn what_is_said_about_the_connection_ends_it() {
        let mut map = PendingMap::default();
        let over = Envelope { id: CONNECTION_ID, body: Body::Error(fault()) };
        assert!(matches!(map.take_in(over), Delivery::Over(reason) if reason == fault()));
    }
}
