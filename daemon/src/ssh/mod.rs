//! SSH sessions: the only room that names russh.
//!
//! `attempt` brings a session up and says when it is over; what the rest of the daemon sees of it is a [`Link`].

pub mod link;

pub use link::{Channel, ChannelReader, ChannelWriter, Incoming, Link, Links, Received, RemoteListener};
