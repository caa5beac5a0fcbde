//! Listeners, and the connections that they accept: local sockets on one side, channels of a session on the other.
//!
//! [`Listener::run`] is the whole of one forward. Bytes go from task to socket and never through the model.

mod listener;

mod bind;
mod connection;
mod connections;
mod held;
mod reclaim;
mod remote;

mod local;
mod relay;
mod socks;
mod spill;

pub use connection::MAX_HELD;
pub use connections::{Crowd, MAX_CONNECTIONS};
pub use held::Held;
pub use listener::Listener;
