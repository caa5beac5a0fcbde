//! The one shape of every message: an id, a type and what the type carries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::ids::RequestId;
use crate::operation::{Operation, Output};

/// How long a call may take unless it says otherwise. A subscription has no limit.
pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// One message, in either direction.
///
/// Whoever calls chooses the id: a client counts 1, 3, 5 …, the daemon 2, 4, 6 …, so that an
/// answer or an abort can never be mistaken for one of the other side's requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The request that this message belongs to.
    pub id: RequestId,
    /// The type and what it carries.
    pub body: Body,
}

/// The five types of messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// `call.requested`: please do this.
    Requested(Request),
    /// `call.responded`: once for a call, many times for a subscription.
    Responded(Output),
    /// `call.completed`: the subscription is over.
    Completed,
    /// `call.aborted`: stop; everything that the request started stops too. Not answered.
    Aborted,
    /// `call.error`: it was not done, and nothing else comes for this id.
    Error(Fault),
}

/// What `call.requested` carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// After how many milliseconds the caller no longer waits; without one, 30,000.
    /// A subscription does not end by it.
    pub timeout_ms: Option<u32>,
}

impl Request {
    /// How long the caller waits.
    pub fn timeout(&self) -> Duration {
        self.timeout_ms.map_or(DEFAULT_CALL_TIMEOUT, |ms| Duration::from_millis(ms.into()))
    }
}

impl Body {
    /// The name of the type.
    pub fn name(&self) -> &'static str {
        match self {
            Body::Requested(_) => "call.requested",
            Body::Responded(_) => "call.responded",
            Body::Completed => "call.completed",
            Body::Aborted => "call.aborted",
            Body::Error(_) => "call.error",
        }
    }
}
