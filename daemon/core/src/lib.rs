//! Every decision of alknetd, without IO: events go in, actions come out.
//!
//! [`Model::step`] is the whole of it. It neither sleeps, connects nor rolls dice: time and
//! jitter are arguments, so that its tests are stories and histories that run in no time.

pub mod model;

pub mod action;
pub mod event;
pub mod moment;
pub mod rules;

pub mod backoff;
pub mod cause;
pub mod limits;
pub mod select;

mod budget;
mod calls;
mod extra;
mod forward;
mod host;
mod naming;
mod publish;
mod remedy;
mod renewal;
mod requests;
mod session;
mod settle;
mod supervise;
mod unwanted;
mod waiting;
mod watch;

pub use action::{Action, Listen};
pub use event::{Call, ClientId, Epoch, Event, Options, Peer};
pub use host::Host;
pub use model::{Model, Snapshot};
pub use moment::Moment;
pub use rules::{SavedRule, SavedRules, check_spec};
