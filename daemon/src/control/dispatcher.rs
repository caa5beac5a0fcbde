//! Every request passes here, whatever transport it came by.

use std::time::Duration;

use alknet_core::{Call, ClientId, Event};
use alknet_proto::envelope::Request;
use alknet_proto::{Code, Fault, Operation, Output, RequestId};
use tokio::sync::mpsc;

use super::access::{AccessControl, Identity};
use super::clients::{Clients, Opened};
use super::explainer::{Explainer, Question};
use super::services;

/// A client, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its connection.
    pub client: ClientId,
    /// What its transport vouches for.
    pub identity: Identity,
}

/// Checks requests, answers the few that need no model, and hands the others to the loop.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    clients: Clients,
    inbox: mpsc::Sender<Event>,
    explainer: Explainer,
}

impl Dispatcher {
    /// Replies go to `clients`, what files decide to `explainer`, everything else to `inbox`.
    pub fn new(clients: Clients, inbox: mpsc::Sender<Event>, explainer: Explainer) -> Self {
        Dispatcher { clients, inbox, explainer }
    }

    /// Takes a request in. Its answers come through the client's outbox.
    ///
    /// Waits only for room in the daemon's inbox, never for the answer.
    pub async fn dispatch_requested(&self, peer: &Peer, request_id: RequestId, request: Request) {
        let call = Call { client: peer.client, request: request_id };
        if !is_id_of_a_client(request_id) {
            let message = format!("{request_id} is not the id of a client's request: odd numbers are");
            return self.clients.reject(call, Fault::new(Code::InvalidRequest, message));
        }
        match self.clients.open(call, request.operation.kind()) {
            Opened::Open => {}
            Opened::Refused(fault) => return self.clients.reject(call, fault),
            Opened::Doubled(fault) => {
                self.clients.reject(call, fault);
                return self.tell(Event::Aborted(call)).await;
            }
        }
        if let Err(fault) = AccessControl::check(&peer.identity, &request.operation) {
            tracing::debug!(client = peer.client.0, operation = request.operation.name(), "refused");
            return self.clients.reply(call, Err(fault));
        }
        tracing::debug!(client = peer.client.0, request = request_id.0, operation = request.operation.name(), "asked");
        let timeout = request.timeout();
        match request.operation {
            Operation::Ping => self.clients.reply(call, Ok(Output::Done)),
            Operation::ListServices => {
                self.clients.reply(call, Ok(Output::Services(services::list(&peer.identity))));
            }
            Operation::ServiceSchema(name) => {
                let schema = services::schema(&peer.identity, &name);
                self.clients.reply(call, schema.map(|schema| Output::Schema(Box::new(schema))));
            }
            Operation::Explain(destination) => self.ask(call, Question::Explain(destination), timeout),
            Operation::FindForwards { destinations, skip } => {
                self.ask(call, Question::FindForwards { destinations, skip }, timeout);
            }
            operation @ (Operation::DaemonStatus
            | Operation::Shutdown
            | Operation::Reload
            | Operation::AddForwards(_)
            | Operation::RemoveForwards(_)
            | Operation::StartForwards(_)
            | Operation::StopForwards(_)
            | Operation::RestartForwards(_)
            | Operation::ListForwards { .. }
            | Operation::ShowForward(_)
            | Operation::ListSessions { .. }
            | Operation::RetrySessions(_)
            | Operation::DisconnectSession(_)
            | Operation::RenewSession(_)
            | Operation::History { .. }
            | Operation::Watch { .. }) => self.tell(Event::Requested { call, operation, timeout }).await,
        }
    }

    fn ask(&self, call: Call, question: Question, limit: Duration) {
        if let Err(fault) = self.explainer.ask(call, question, limit) {
            self.clients.reply(call, Err(fault));
        }
    }

    /// Takes a request back: nothing more comes for it, and everything that it started stops.
    pub async fn handle_abort(&self, call: Call) {
        if self.clients.forget(call) {
            self.tell(Event::Aborted(call)).await;
        }
    }

    /// Tells the loop. Without it the daemon is ending, and what was asked for fails.
    pub(super) async fn tell(&self, event: Event) {
        if let Err(mpsc::error::SendError(Event::Requested { call, .. })) = self.inbox.send(event).await {
            self.clients.reply(call, Err(Fault::new(Code::DaemonStopping, "the daemon is ending")));
        }
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }
}

/// Even ones are the daemon's own, and 0 is the connection.
fn is_id_of_a_client(id: RequestId) -> bool {
    id.0 % 2 == 1
}
