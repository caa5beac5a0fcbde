//! SSH sessions: the only room that names russh.
//!
//! `attempt` brings a session up and says when it is over; what the rest of the daemon sees of it is a [`Link`].

mod algorithms;
pub mod attempt;
mod auth;
pub mod channel;
mod config;
mod door;
mod exec;
pub mod explain;
mod failure;
mod gather;
mod greeted;
mod handler;
mod handshake;
mod hop;
mod host_key;
mod known_hosts;
pub mod link;
mod load;
pub mod lookout;
mod notices;
mod opening;
mod opens;
mod pattern;
mod pool;
mod prompt;
mod proxy_command;
mod reach;
mod reclaim;
pub mod remote;
mod revoked;
mod session;
pub mod settings;
mod shell;
mod source;
mod stamp;
mod transport;
mod wear;
mod whole_file;
mod wire;

pub use attempt::Attempt;
pub use channel::{Channel, ChannelClosed, ChannelReader, ChannelWriter, Received};
pub use link::Link;
pub use load::{Account, BUSY_CHANNELS, Claim};
pub use opens::Opens;
pub use pool::{NoLink, Pool, Wish};
pub use reclaim::{Ended, ServerProcess};
pub use remote::{Incoming, RemoteListener};
pub use session::HeldUp;
pub use settings::{Settings, SshOptions};

#[cfg(test)]
mod tests;
