//! The words that alknetd and alknetctl share, and their bytes.
//!
//! Without the feature `io` this crate is values only: it neither opens, reads nor waits.
//! `PROTOCOL.md` beside this crate says in words what these types put on the wire.

pub mod destination;
pub mod envelope;
pub mod event;
pub mod explain;
pub mod fault;
pub mod forwarding;
pub mod frame;
pub mod hello;
pub mod history;
pub mod ids;
pub mod operation;
mod overlap;
pub mod selector;
pub mod spec;
pub mod status;
pub mod words;

#[cfg(feature = "io")]
pub mod connection;
#[cfg(feature = "io")]
pub mod endpoint;
#[cfg(feature = "io")]
pub mod pending;

pub use destination::Destination;
pub use envelope::{Body, Envelope};
pub use event::StatusEvent;
pub use explain::Explanation;
pub use fault::{Code, Fault, Reason, Stage};
pub use forwarding::{Bind, BindAddress, ForwardKind, Forwarding, Target};
pub use hello::PROTOCOL_VERSION;
pub use history::{ForwardHistory, HistoryPage, Outage, SessionDetail};
pub use ids::{ForwardId, RequestId, Seq};
pub use operation::{Operation, Output};
pub use selector::Selector;
pub use spec::{ForwardName, ForwardSpec, OnSuspend, Tag};
pub use status::{DaemonStatus, ForwardStats, ForwardStatus, SessionState, SessionStatus, Status};
