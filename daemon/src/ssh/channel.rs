//! One open channel: its two halves, and how it is closed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio_util::sync::CancellationToken;

use crate::counters::{OpenChannel, SessionCounters};

use super::load::{Account, ChannelTraffic, Claim};
use super::session::{HeldUp, Session, locked};

/// How long the server may take to close a channel after both sides have sent everything.
const LINGER: Duration = Duration::from_secs(5);

/// An open channel. Dropping both halves closes it; without [`ChannelWriter::finish`] that is a cut, not an end.
pub struct Channel {
    reader: ChannelReader,
    writer: ChannelWriter,
}

impl Channel {
    pub(super) fn new(
        channel: russh::Channel<Msg>,
        session: &Arc<Session>,
        counters: &Arc<SessionCounters>,
    ) -> Channel {
        let closing = session.closing(channel.id());
        let (read_half, write_half) = channel.split();
        let core = Arc::new(Core {
            session: session.clone(),
            counters: counters.clone(),
            traffic: ChannelTraffic::default(),
            claim: Mutex::new(None),
            _open: counters.channel(),
            read_half: Mutex::new(None),
            write_half: Some(write_half),
            closing,
            has_finished: AtomicBool::new(false),
            saw_eof: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        });
        let reader = ChannelReader { read_half: Some(read_half), core: core.clone() };
        Channel { reader, writer: ChannelWriter { core } }
    }

    /// Counts the channel as one that uses its link, until the server has closed it or both halves are gone.
    pub fn hold(&self, claim: Claim) {
        *locked(&self.writer.core.claim) = Some(claim);
    }

    /// Reading and writing go on side by side.
    pub fn split(self) -> (ChannelReader, ChannelWriter) {
        (self.reader, self.writer)
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
pub struct ChannelReader {
    /// `None` only while it is dropped: the core gets it back then.
    read_half: Option<ChannelReadHalf>,
    core: Arc<Core>,
}

impl ChannelReader {
    /// Waits for what comes next. After `Closed` it is `Closed` for ever. Cancel-safe.
    ///
    /// What the server sent before the end of the session still comes out.
    pub async fn next(&mut self) -> Received {
        let Some(read_half) = self.read_half.as_mut() else { return Received::Closed };
        loop {
            if self.core.is_closed.load(Relaxed) {
                return Received::Closed;
            }
            let message = tokio::select! {
                biased;
                message = read_half.wait() => message,
                () = self.core.session.over.cancelled() => None,
            };
            match message {
                Some(ChannelMsg::Data { data }) if data.is_empty() => {}
                Some(ChannelMsg::Data { data }) => {
                    self.core.counters.add_received(data.len());
                    // The clock was read when the packet came.
                    let session = &self.core.session;
                    session.load.received(&self.core.traffic, data.len(), session.last_heard.at());
                    return Received::Data(data);
                }
                Some(ChannelMsg::Eof) if self.core.saw_eof.swap(true, Relaxed) => {}
                Some(ChannelMsg::Eof) => {
                    self.core.note_end();
                    return Received::Eof;
                }
                Some(ChannelMsg::Close) | None => {
                    self.core.is_closed.store(true, Relaxed);
                    self.core.closing.cancel();
                    locked(&self.core.claim).take();
                    return Received::Closed;
                }
                // What programs of an interactive session say; a forwarded connection has none of it.
                Some(_) => {}
            }
        }
    }
}

impl ChannelReader {
    /// Says that [`ChannelReader::next`] is not called for a while, because nobody takes what came. Everything
    /// else on the session waits meanwhile, and the session is not taken for dead.
    pub fn hold_up(&self) -> HeldUp {
        self.core.session.hold_up()
    }

    /// Where it is counted what of this channel waits for its program.
    pub fn account(&self) -> Account {
        Account::new(&self.core.session)
    }
}

impl Drop for ChannelReader {
    fn drop(&mut self) {
        *locked(&self.core.read_half) = self.read_half.take();
    }
}

/// The side of a channel that is written.
pub struct ChannelWriter {
    core: Arc<Core>,
}

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
        let length = data.len();
        let write_half = self.core.write_half()?;
        self.core.unless_closed(write_half.data_bytes(data)).await?;
        self.core.counters.add_sent(length);
        self.core.session.load.sent(&self.core.traffic, length);
        Ok(())
    }

    /// Says that everything was sent.
    ///
    /// # Errors
    /// When the channel or the session is over.
    pub async fn finish(&mut self) -> Result<(), ChannelClosed> {
        let write_half = self.core.write_half()?;
        self.core.unless_closed(write_half.eof()).await?;
        self.core.has_finished.store(true, Relaxed);
        self.core.note_end();
        Ok(())
    }
}

/// What both halves hold; it goes with the later of them and closes the channel then.
struct Core {
    session: Arc<Session>,
    counters: Arc<SessionCounters>,
    traffic: ChannelTraffic,
    claim: Mutex<Option<Claim>>,
    _open: OpenChannel,
    /// Comes back from the reader, so that what is left in it can be waited for.
    read_half: Mutex<Option<ChannelReadHalf>>,
    /// `None` only after the drop has taken it.
    write_half: Option<ChannelWriteHalf<Msg>>,
    /// Is cancelled when the server closed the channel or the session is over.
    closing: CancellationToken,
    has_finished: AtomicBool,
    saw_eof: AtomicBool,
    is_closed: AtomicBool,
}

impl Core {
    fn write_half(&self) -> Result<&ChannelWriteHalf<Msg>, ChannelClosed> {
        self.write_half.as_ref().ok_or(ChannelClosed)
    }

    fn note_end(&self) {
        if let Some(claim) = locked(&self.claim).as_mut() {
            claim.note_end();
        }
    }

    /// russh's writers wait for ever for the window of a channel that is gone, so they never wait alone.
    async fn unless_closed(
        &self,
        sending: impl Future<Output = Result<(), russh::Error>>,
    ) -> Result<(), ChannelClosed> {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => Err(ChannelClosed),
            sent = sending => sent.map_err(|_| ChannelClosed),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let id_of = |half: &ChannelWriteHalf<Msg>| half.id();
        let Some(write_half) = self.write_half.take() else { return };
        self.session.forget_channel(id_of(&write_half));
        let was_closed = self.closing.is_cancelled();
        if was_closed {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let both_are_done = self.has_finished.load(Relaxed) && self.saw_eof.load(Relaxed);
        let read_half = locked(&self.read_half).take();
        let over = self.session.over.clone();
        // Ends with the close, with the session, or after LINGER; it reports to nobody.
        runtime.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = close(write_half, read_half.filter(|_| both_are_done)) => {}
            }
        });
    }
}

/// Closes the channel. A channel that ended in order is left to the server to close: russh frees all that
/// it keeps about a channel only when the server's close comes first.
async fn close(write_half: ChannelWriteHalf<Msg>, ended: Option<ChannelReadHalf>) {
    if let Some(mut read_half) = ended {
        let closed_by_server = async {
            loop {
                match read_half.wait().await {
                    Some(ChannelMsg::Close) | None => break,
                    Some(_) => {}
                }
            }
        };
        if tokio::time::timeout(LINGER, closed_by_server).await.is_ok() {
            return;
        }
    }
    // An error means that the session is over, and the channel with it.
    let _ = write_half.close().await;
}
