//! What one end of a connection does, step by step, and what it sees while it does it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use alknet_tests::content::{Checksum, Content};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::either::Either;

/// Longer than anything takes that happens at all, the linger of either program included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Signs that a script may give.
const SIGNS: usize = 4;
const CHUNK_BYTES: usize = 64 << 10;

pub(crate) type Stream = Either<TcpStream, UnixStream>;

/// One step of a script. Bytes are those of the end's own [`Content`], so that each end can be told from the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Sends so many bytes.
    Send(usize),
    /// Sends so many bytes, each by a write of its own.
    SendBytewise(usize),
    /// A write of no bytes.
    SendNothing,
    /// Sends until nothing more is taken.
    SendUntilRefused,
    /// Sends so many bytes and then the end, and reads to the end meanwhile.
    Exchange(usize),
    /// Reads exactly so many bytes.
    Read(usize),
    /// Reads until nothing more comes.
    ReadToEnd,
    /// Has sent everything; may still read.
    End,
    /// Closes in both directions.
    Close,
    /// Closes by a reset, where there is such a thing.
    Reset,
    /// Gives a sign to the other end.
    Tell(usize),
    /// Waits for the sign that the other end gives.
    Await(usize),
    /// Kills the session below.
    CutSession,
}

/// What one end sees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Connected,
    NotConnected,
    /// The SOCKS server said yes.
    Granted,
    /// The SOCKS server said no, with this code.
    Denied(u8),
    Bytes {
        count: usize,
        checksum: String,
    },
    /// The other end has sent everything.
    End,
    Reset,
    /// A write failed: nobody takes the bytes any more.
    NotTaken,
    /// Nothing came for [`PATIENCE`].
    Silence,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Connected => f.write_str("connected"),
            Event::NotConnected => f.write_str("not connected"),
            Event::Granted => f.write_str("granted"),
            Event::Denied(code) => write!(f, "denied {code}"),
            Event::Bytes { count, .. } => write!(f, "{count} bytes"),
            Event::End => f.write_str("end"),
            Event::Reset => f.write_str("reset"),
            Event::NotTaken => f.write_str("not taken"),
            Event::Silence => f.write_str("silence"),
        }
    }
}

/// What both ends of one connection share besides it.
#[derive(Clone)]
pub(crate) struct Together {
    signs: Arc<[Semaphore; SIGNS]>,
    cut_session: Arc<dyn Fn() + Send + Sync>,
}

impl Together {
    pub(crate) fn new(cut_session: Arc<dyn Fn() + Send + Sync>) -> Self {
        Together { signs: Arc::new(std::array::from_fn(|_| Semaphore::new(0))), cut_session }
    }

    /// Cuts the session when sign 0 was given so many times.
    pub(crate) async fn cut_after(&self, n_signs: u32) {
        self.signs[0].acquire_many(n_signs).await.expect("signs are never closed").forget();
        self.cut().await;
    }

    async fn cut(&self) {
        let cut = self.cut_session.clone();
        tokio::task::spawn_blocking(move || cut()).await.unwrap();
    }
}

/// One end of a connection.
pub(crate) struct Actor {
    stream: Option<Stream>,
    content: Content,
    events: Vec<Event>,
    /// A write has told of a reset.
    was_reset: bool,
}

impl Actor {
    /// An end that sends the content `seed` and has seen `events` already.
    pub(crate) fn new(stream: Stream, content: Content, events: Vec<Event>) -> Self {
        Actor { stream: Some(stream), content, events, was_reset: false }
    }

    /// Does all `steps`, closes what is open then, and says what was seen.
    pub(crate) async fn play(mut self, steps: &[Step], together: &Together) -> Vec<Event> {
        for step in steps {
            match *step {
                Step::Send(count) => self.send(count, count).await,
                Step::SendBytewise(count) => self.send(count, 1).await,
                Step::SendNothing => self.send_nothing().await,
                Step::SendUntilRefused => self.send(usize::MAX, CHUNK_BYTES).await,
                Step::Exchange(count) => self.exchange(count).await,
                Step::Read(count) => self.read(count).await,
                Step::ReadToEnd => self.read(usize::MAX).await,
                Step::End => self.end().await,
                Step::Close => drop(self.stream.take()),
                Step::Reset => self.reset(),
                Step::Tell(sign) => together.signs[sign].add_permits(1),
                Step::Await(sign) => self.wait_for(&together.signs[sign]).await,
                Step::CutSession => together.cut().await,
            }
        }
        self.events
    }

    async fn send(&mut self, count: usize, at_once: usize) {
        let Some(stream) = self.stream.as_mut() else { return };
        let mut buffer = vec![0; at_once.min(CHUNK_BYTES)];
        let mut left = count;
        while 0 < left {
            let chunk = &mut buffer[..left.min(at_once).min(CHUNK_BYTES)];
            self.content.fill(chunk);
            match timeout(PATIENCE, stream.write_all(chunk)).await {
                Ok(Ok(())) => left -= chunk.len(),
                Ok(Err(error)) => {
                    self.was_reset = error.kind() == io::ErrorKind::ConnectionReset;
                    return self.events.push(Event::NotTaken);
                }
                Err(_) => return self.events.push(Event::Silence),
            }
        }
    }

    async fn send_nothing(&mut self) {
        let Some(stream) = self.stream.as_mut() else { return };
        if !matches!(stream.write(&[]).await, Ok(0)) {
            self.events.push(Event::NotTaken);
        }
    }

    async fn read(&mut self, count: usize) {
        let Some(stream) = self.stream.as_mut() else { return };
        // The system tells of a reset once: behind a write that failed with it, a read would find an end.
        if std::mem::take(&mut self.was_reset) {
            self.events.pop_if(|event| matches!(event, Event::NotTaken));
            return self.events.push(Event::Reset);
        }
        let (read, last) = read_up_to(stream, count).await;
        self.events.extend(read.into_iter().chain(last));
    }

    async fn exchange(&mut self, count: usize) {
        let Some(stream) = self.stream.as_mut() else { return };
        let (mut reader, mut writer) = tokio::io::split(stream);
        let content = &mut self.content;
        let sending = async {
            let mut buffer = vec![0; CHUNK_BYTES];
            let mut left = count;
            while 0 < left {
                let chunk = &mut buffer[..left.min(CHUNK_BYTES)];
                content.fill(chunk);
                match timeout(PATIENCE, writer.write_all(chunk)).await {
                    Ok(Ok(())) => left -= chunk.len(),
                    Ok(Err(_)) => return Some(Event::NotTaken),
                    Err(_) => return Some(Event::Silence),
                }
            }
            let _ = writer.shutdown().await;
            None
        };
        let (not_sent, (read, last)) = tokio::join!(sending, read_up_to(&mut reader, usize::MAX));
        self.events.extend(not_sent.into_iter().chain(read).chain(last));
    }

    async fn end(&mut self) {
        if let Some(stream) = self.stream.as_mut() {
            // That the other end is gone already is for the next read to say.
            let _ = stream.shutdown().await;
        }
    }

    fn reset(&mut self) {
        if let Some(Either::Left(stream)) = &self.stream {
            SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        self.stream = None;
    }

    async fn wait_for(&mut self, sign: &Semaphore) {
        match timeout(2 * PATIENCE, sign.acquire()).await {
            Ok(permit) => permit.expect("signs are never closed").forget(),
            Err(_) => self.events.push(Event::Silence),
        }
    }
}

/// Reads `count` bytes, fewer only when the stream ended: what came, and what ended it.
async fn read_up_to(stream: &mut (impl tokio::io::AsyncRead + Unpin), count: usize) -> (Option<Event>, Option<Event>) {
    let (mut buffer, mut checksum, mut got) = (vec![0; CHUNK_BYTES], Checksum::default(), 0);
    let last = loop {
        if got == count {
            break None;
        }
        let room = (count - got).min(CHUNK_BYTES);
        match timeout(PATIENCE, stream.read(&mut buffer[..room])).await {
            Ok(Ok(0)) => break Some(Event::End),
            Ok(Ok(n)) => {
                checksum.update(&buffer[..n]);
                got += n;
            }
            Ok(Err(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
                break Some(Event::Reset);
            }
            Err(_) => break Some(Event::Silence),
        }
    };
    let read = (0 < got).then(|| Event::Bytes { count: got, checksum: checksum.text() });
    (read, last)
}
