//! Copies the bytes of one connection between a local program and a channel, both ways side by side.
//!
//! The end of one direction is passed on as an end and does not touch the other. The connection ends when both
//! directions have. What is cut short ends by a reset, so that no program takes it for a whole answer.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::time::Duration;

use alknet_proto::Reason;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::local::LocalStream;
use super::spill::{SLICES_AT_ONCE, Spill};
use crate::counters::ForwardCounters;
use crate::ssh::{Account, ChannelReader, ChannelWriter, HeldUp, Received};

/// What is read from a local program at once: the largest packet that servers take.
const CHUNK_BYTES: usize = 32 << 10;
/// A buffer with less room than this is replaced: a read should be worth its system call.
const LEAST_ROOM_BYTES: usize = 4 << 10;
/// How long a program may go on sending to a target that stopped listening, so that it reads the answer before
/// it meets the reset that its bytes would cause.
const LINGER: Duration = Duration::from_secs(2);
/// How long a program may take nothing while other connections wait for it.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both directions ended by themselves.
    Whole,
    /// The target sent everything and went away while the local program could still send.
    TargetLeft,
    /// The local program cut the connection, or cannot be written to.
    LocalFailed(io::Error),
    /// The local program took nothing for as long as everybody may wait for it.
    Stalled,
    /// The session or the channel was lost, or the connection was told to end: something is missing.
    CutShort,
    /// There was no session, or the target could not be connected to.
    Refused {
        reason: Reason,
        /// The client was told in its own protocol; a reset would take the answer away.
        is_answered: bool,
    },
    /// The SOCKS client did not say what it wants, or something that is not carried.
    NotUnderstood(&'static str),
}

impl End {
    /// Ends the local side in the way that tells the program the truth.
    pub(super) fn pass_on(&self, local: LocalStream) {
        match self {
            End::Whole | End::TargetLeft | End::NotUnderstood(_) | End::Refused { is_answered: true, .. } => {
                drop(local)
            }
            End::LocalFailed(_) | End::Stalled | End::CutShort | End::Refused { is_answered: false, .. } => {
                local.reset()
            }
        }
    }
}

/// Where what comes from the target is read. A channel; a pretended one in tests.
pub(super) trait Source: Send {
    /// As [`ChannelReader::next`]: what came before the end of the session comes out, then `Closed`.
    fn next(&mut self) -> impl Future<Output = Received> + Send;

    /// As [`ChannelReader::hold_up`]. A pretended source holds up nothing.
    fn hold_up(&self) -> Option<HeldUp> {
        None
    }

    /// As [`ChannelReader::account`]. A pretended source has nobody beside it.
    fn account(&self) -> Option<Account> {
        None
    }
}

/// Where what goes to the target is written. A channel; a pretended one in tests.
///
/// Both say whether it was taken: it is not when the channel or the session is over.
pub(super) trait Sink: Send {
    fn write(&mut self, data: Bytes) -> impl Future<Output = bool> + Send;
    fn finish(&mut self) -> impl Future<Output = bool> + Send;
}

impl Source for ChannelReader {
    fn next(&mut self) -> impl Future<Output = Received> + Send {
        ChannelReader::next(self)
    }

    fn hold_up(&self) -> Option<HeldUp> {
        Some(ChannelReader::hold_up(self))
    }

    fn account(&self) -> Option<Account> {
        Some(ChannelReader::account(self))
    }
}

impl Sink for ChannelWriter {
    async fn write(&mut self, data: Bytes) -> bool {
        ChannelWriter::write(self, data).await.is_ok()
    }

    async fn finish(&mut self) -> bool {
        ChannelWriter::finish(self).await.is_ok()
    }
}

/// Which side of a connection is the one that listens, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listens {
    Here,
    OnServer,
}

/// One connection whose two ends are there.
pub(super) struct Relay<'a> {
    pub(super) local: &'a LocalStream,
    /// What the side that listens has sent already, behind its SOCKS request.
    pub(super) early: Bytes,
    pub(super) listens: Listens,
    pub(super) counters: &'a ForwardCounters,
    /// The session's end: what is not finished then is cut short.
    pub(super) over: &'a CancellationToken,
    /// The most that waits for a slow local program, in bytes.
    pub(super) spill_bytes: usize,
}

impl Relay<'_> {
    /// Copies until both directions ended or one of them broke. Dropping it leaves the connection cut short.
    pub(super) async fn run(self, mut source: impl Source, mut sink: impl Sink) -> End {
        let sent_everything = Notify::new();
        let outbound = self.outbound(&mut sink, &sent_everything);
        let inbound = self.inbound(&mut source, &sent_everything);
        match tokio::try_join!(outbound, inbound) {
            Ok(((), ())) => End::Whole,
            Err(end) => end,
        }
    }

    /// From the local program to the channel.
    async fn outbound(&self, sink: &mut impl Sink, sent_everything: &Notify) -> Result<(), End> {
        if self.send_everything(sink).await? == Sent::Refused {
            // The other direction hears of it too, and knows whether the answer was whole. Meanwhile the program
            // is read, so that closing is an end for it and not a reset.
            let mut buffer = BytesMut::new();
            while self.read(&mut buffer).await?.is_some() {}
        }
        sent_everything.notify_one();
        Ok(())
    }

    async fn send_everything(&self, sink: &mut impl Sink) -> Result<Sent, End> {
        if self.listens == Listens::Here && !self.early.is_empty() {
            if !sink.write(self.early.clone()).await {
                return Ok(Sent::Refused);
            }
            self.count_outbound(self.early.len());
        }
        let mut buffer = BytesMut::new();
        while let Some(chunk) = self.read(&mut buffer).await? {
            let n_bytes = chunk.len();
            if !sink.write(chunk).await {
                return Ok(Sent::Refused);
            }
            self.count_outbound(n_bytes);
        }
        // A channel that is closed already has no use for our end.
        let _ = sink.finish().await;
        Ok(Sent::Everything)
    }

    /// What the local program sends next; `None` at its end. Holds memory only while there is something to read.
    async fn read(&self, buffer: &mut BytesMut) -> Result<Option<Bytes>, End> {
        loop {
            self.local.readable().await.map_err(End::LocalFailed)?;
            if buffer.capacity() < LEAST_ROOM_BYTES {
                buffer.reserve(CHUNK_BYTES);
            }
            match self.local.try_read(buffer) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(buffer.split().freeze())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => *buffer = BytesMut::new(),
                Err(error) => return Err(End::LocalFailed(error)),
            }
        }
    }

    /// From the channel to the local program.
    ///
    /// The channel is read even while the program takes nothing, until the queue or the session is full, and longer
    /// while others are on the session and it has room. Then the session waits: alone, for as long as the program
    /// likes, since nobody else does; with others, for a limited time in which the program has to take something. When the session is
    /// over, what it has left is little and is read whatever the queue holds: it may be the end of the answer.
    async fn inbound(&self, source: &mut impl Source, sent_everything: &Notify) -> Result<(), End> {
        let mut spill = Spill::new(self.spill_bytes);
        let mut account = source.account();
        if self.listens == Listens::OnServer {
            spill.push(self.early.clone());
        }
        let mut heard = Heard::Something;
        let mut is_over = false;
        let mut over = pin!(self.over.cancelled());
        let mut full: Option<Full> = None;
        loop {
            let took_something = self.write_what_fits(&mut spill)?;
            if let Some(account) = &mut account {
                account.note(spill.held_bytes(), !spill.has_room());
            }
            if spill.is_empty() && heard != Heard::Something {
                break;
            }
            // Who takes its bytes does not come to wait, and need not listen for what would end that.
            let mut changed = pin!(account.as_ref().filter(|_| !spill.is_empty()).map(Account::changed));
            if let Some(changed) = changed.as_mut().as_pin_mut() {
                changed.enable();
            }
            let has_others = account.as_ref().is_some_and(Account::has_others);
            let goes_on = match heard {
                Heard::Something => is_over || may_be_read(account.as_ref(), &spill),
                // No bytes come any more, so that a full queue is no reason not to listen.
                Heard::End => true,
                Heard::Closed => false,
            };
            let waits_for_program = heard == Heard::Something && !goes_on;
            if !waits_for_program || took_something {
                full = None;
            }
            let stalled_at = if waits_for_program {
                let full = full.get_or_insert_with(|| Full::since_now(source));
                full.note_others(has_others);
                Some(full.stalled_at)
            } else {
                None
            };
            // All arms are cancel-safe: they wait for readiness, a queue, tokens or the clock.
            tokio::select! {
                ready = self.local.writable(), if !spill.is_empty() => ready.map_err(End::LocalFailed)?,
                received = source.next(), if goes_on => {
                    heard = heard.then(received, &mut spill)?;
                    // What came together goes out together.
                    while heard == Heard::Something
                        && spill.has_room()
                        && !spill.fills_a_write()
                        && let Some(received) = source.next().now_or_never()
                    {
                        heard = heard.then(received, &mut spill)?;
                    }
                }
                () = &mut over, if !is_over => is_over = true,
                () = told(changed), if stalled_at.is_some() => {}
                () = sleep_until(stalled_at) => {
                    if has_others {
                        return Err(End::Stalled);
                    }
                    full = None;
                }
            }
        }
        self.local.end_writing();

        let target_left = async {
            while heard != Heard::Closed {
                heard = heard.then(source.next().await, &mut spill)?;
            }
            if self.over.is_cancelled() {
                // Nobody knows how much of what the program sent has arrived.
                return Err(End::CutShort);
            }
            tokio::time::sleep(LINGER).await;
            Err(End::TargetLeft)
        };
        tokio::select! {
            biased;
            () = sent_everything.notified() => Ok(()),
            left = target_left => left,
        }
    }

    /// Writes until the program takes no more. Tells whether it took anything.
    fn write_what_fits(&self, spill: &mut Spill) -> Result<bool, End> {
        let mut took_something = false;
        while !spill.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_AT_ONCE];
            let n_slices = spill.fill(&mut slices);
            match self.local.try_write(&slices[..n_slices]) {
                Ok(0) => return Err(End::LocalFailed(io::ErrorKind::WriteZero.into())),
                Ok(n_bytes) => {
                    spill.advance(n_bytes);
                    self.count_inbound(n_bytes);
                    took_something = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(End::LocalFailed(error)),
            }
        }
        Ok(took_something)
    }

    fn count_outbound(&self, n_bytes: usize) {
        match self.listens {
            Listens::Here => self.counters.add_sent(n_bytes),
            Listens::OnServer => self.counters.add_received(n_bytes),
        }
    }

    fn count_inbound(&self, n_bytes: usize) {
        match self.listens {
            Listens::Here => self.counters.add_received(n_bytes),
            Listens::OnServer => self.counters.add_sent(n_bytes),
        }
    }
}

/// The queue is full, and the session waits for the program.
struct Full {
    stalled_at: Instant,
    /// Nobody else is on the session.
    is_alone: bool,
    _held_up: Option<HeldUp>,
}

impl Full {
    fn since_now(source: &impl Source) -> Self {
        Full { stalled_at: Instant::now() + STALL_LIMIT, is_alone: true, _held_up: source.hold_up() }
    }

    /// The time that a program has begins when somebody comes to wait for it.
    fn note_others(&mut self, has_others: bool) {
        if self.is_alone && has_others {
            self.stalled_at = Instant::now() + STALL_LIMIT;
        }
        self.is_alone = !has_others;
    }
}

fn may_be_read(account: Option<&Account>, spill: &Spill) -> bool {
    match account {
        Some(account) => account.may_be_read(!spill.has_room()),
        None => spill.has_room(),
    }
}

async fn told(changed: Pin<&mut Option<Notified<'_>>>) {
    match changed.as_pin_mut() {
        Some(changed) => changed.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How far the local program's bytes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Everything,
    /// The channel takes no more.
    Refused,
}

/// The last thing that a channel said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Something,
    End,
    Closed,
}

impl Heard {
    fn then(self, received: Received, spill: &mut Spill) -> Result<Self, End> {
        match (self, received) {
            (Heard::Something, Received::Data(chunk)) => {
                spill.push(chunk);
                Ok(Heard::Something)
            }
            (Heard::Something, Received::Closed) => Err(End::CutShort),
            // Bytes behind the end break the protocol.
            (Heard::End | Heard::Closed, Received::Data(_)) => Err(End::CutShort),
            (Heard::Something | Heard::End, Received::Eof) => Ok(Heard::End),
            (Heard::End | Heard::Closed, Received::Closed) | (Heard::Closed, Received::Eof) => Ok(Heard::Closed),
        }
    }
}

#[cfg(test)]
mod tests;
