//! A live, authenticated session, as the data plane sees it.

use std::sync::Arc;

use alknet_core::Epoch;
use alknet_proto::{Bind, Reason, Target};
use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::counters::SessionCounters;

/// The live session of one destination, or `None` while there is none. Written by the attempt alone.
pub type Links = watch::Receiver<Option<Arc<Link>>>;

/// A live, authenticated session.
pub struct Link {
    epoch: Epoch,
    counters: Arc<SessionCounters>,
    over: CancellationToken,
}

impl Link {
    /// Which attempt it came from.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What its destination's session carries, over all reconnects.
    pub fn counters(&self) -> &Arc<SessionCounters> {
        &self.counters
    }

    /// Is cancelled as soon as the session is over, for whatever reason. Relays on it end by reset.
    pub fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// Opens a channel to `target`, as the server sees it. `originator` is told to the server.
    ///
    /// Waits at most `OPEN_TIMEOUT` (15 s) and never delays another caller.
    ///
    /// # Errors
    /// A [`Reason`] of stage `target` when the server could not or would not connect (`connection_refused`,
    /// `permission_denied`, `timed_out`, `unreachable`); the session stays usable. Stage `tcp` with
    /// `connection_lost` when the session is over.
    pub async fn open(&self, target: &Target, originator: (String, u16)) -> Result<Channel, Reason> {
        let _ = (target, originator);
        std::future::pending().await
    }

    /// Asks the server to listen. Connections come out of the [`RemoteListener`].
    ///
    /// Waits at most `FORWARD_TIMEOUT` (10 s).
    ///
    /// # Errors
    /// A [`Reason`] of stage `forward` with `remote_port_in_use`, `remote_forward_refused` or `timed_out`.
    pub async fn listen(self: &Arc<Self>, bind: &Bind) -> Result<RemoteListener, Reason> {
        let _ = bind;
        std::future::pending().await
    }
}

/// The server listens for us. Dropping it refuses every further connection at once.
pub struct RemoteListener {}

impl RemoteListener {
    /// The port that the server listens on; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        None
    }

    /// The next connection that the server accepted; `None` when the session is over. Cancel-safe.
    pub async fn next(&mut self) -> Option<Incoming> {
        std::future::pending().await
    }

    /// Asks the server to stop listening. Waits at most `FORWARD_TIMEOUT` (10 s).
    pub async fn cancel(self) {}
}

/// A connection that the server accepted for us and that waits for our answer. Dropping it refuses it.
pub struct Incoming {}

impl Incoming {
    /// Who connected, as the server says.
    pub fn originator(&self) -> (String, u16) {
        (String::new(), 0)
    }

    /// Takes the connection.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn accept(self) -> Result<Channel, Reason> {
        std::future::pending().await
    }

    /// Tells the server that the target could not be reached.
    pub fn refuse(self) {}
}

/// An open channel. Dropping both halves closes it; without [`ChannelWriter::finish`] that is a cut, not an end.
pub struct Channel {}

impl Channel {
    /// Reading and writing go on side by side.
    pub fn split(self) -> (ChannelReader, ChannelWriter) {
        (ChannelReader {}, ChannelWriter {})
    }
}

/// What comes out of a channel.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Bytes, never empty.
    Data(Bytes),
    /// The other side has sent everything; it may still read.
    Eof,
    /// The channel was closed, or the session is over. Without an `Eof` before it, something is missing.
    Closed,
}

/// The side of a channel that is read.
pub struct ChannelReader {}

impl ChannelReader {
    /// Waits for what comes next. After `Closed` it is `Closed` for ever. Cancel-safe.
    pub async fn next(&mut self) -> Received {
        std::future::pending().await
    }
}

/// The side of a channel that is written.
pub struct ChannelWriter {}

/// The channel was closed by the server, or the session is over: what was written may be lost.
#[derive(Debug, PartialEq, Eq)]
pub struct ChannelClosed;

impl ChannelWriter {
    /// Writes all of `data`, waiting for the server's window; never for ever on a dead channel or session.
    /// Not cancel-safe: part of the data may have been sent.
    ///
    /// # Errors
    /// When the channel or the session is over.
    pub async fn write(&mut self, data: Bytes) -> Result<(), ChannelClosed> {
        let _ = data;
        std::future::pending().await
    }

    /// Says that everything was sent.
    ///
    /// # Errors
    /// When the channel or the session is over.
    pub async fn finish(&mut self) -> Result<(), ChannelClosed> {
        std::future::pending().await
    }
}
