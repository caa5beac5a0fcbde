//! Messages over any stream, and the greeting that comes before them.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::fault::{Code, Fault};
use crate::frame::{self, FrameError};
use crate::hello::{Hello, HelloError, Verdict, agree};
use crate::words;

/// How long each side waits for the other's greeting. Both are local programs.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// What is asked of the system at once; most messages are far smaller.
const READ_BYTES: usize = 16 * 1024;

/// Why no further message can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream broke.
    #[error("{}", words::of_io(.0))]
    Io(#[from] io::Error),
    /// The bytes are no message.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The stream ended inside a message.
    #[error("the connection ended inside a message")]
    Truncated,
}

/// Reads messages from one side of a stream.
#[derive(Debug)]
pub struct MessageReader<R> {
    stream: R,
    received: BytesMut,
}

impl<R: AsyncRead + Unpin> MessageReader<R> {
    /// Reads from `stream` from now on.
    pub fn new(stream: R) -> Self {
        MessageReader { stream, received: BytesMut::new() }
    }

    /// Waits for the next message; `None` when the stream ended between two messages. Cancel-safe.
    ///
    /// # Errors
    /// See [`ReadError`]; the stream cannot be used any more.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ReadError> {
        match self.next_body().await? {
            Some(body) => Ok(Some(frame::decode(&body)?)),
            None => Ok(None),
        }
    }

    /// Waits for the body of the next frame, whatever it says. Cancel-safe.
    ///
    /// # Errors
    /// See [`ReadError`]; the stream cannot be used any more.
    pub async fn next_body(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            if let Some(body) = frame::take_body(&mut self.received)? {
                return Ok(Some(body));
            }
            self.received.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return if self.received.is_empty() { Ok(None) } else { Err(ReadError::Truncated) };
            }
        }
    }
}

/// Writes messages to one side of a stream.
#[derive(Debug)]
pub struct MessageWriter<W> {
    stream: W,
}

impl<W: AsyncWrite + Unpin> MessageWriter<W> {
    /// Writes to `stream` from now on.
    pub fn new(stream: W) -> Self {
        MessageWriter { stream }
    }

    /// Writes one message. Waits as long as the other side does not read. Not cancel-safe.
    ///
    /// # Errors
    /// `InvalidData` when the message is too long for a frame, and what the stream says.
    pub async fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let framed = frame::encode(message).map_err(invalid_data)?;
        self.send_frame(&framed).await
    }

    /// Writes one frame as it is. Not cancel-safe.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn send_frame(&mut self, framed: &[u8]) -> io::Result<()> {
        self.stream.write_all(framed).await?;
        self.stream.flush().await
    }

    /// Writes one frame as it is, as long as the other side takes some of it every `patience`.
    ///
    /// # Errors
    /// `TimedOut` when it took nothing for that long, and what the stream says.
    pub async fn send_frame_unless_stalled(&mut self, framed: &[u8], patience: Duration) -> io::Result<()> {
        let mut rest = framed;
        while !rest.is_empty() {
            match timeout(patience, self.stream.write(rest)).await?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n_bytes => rest = &rest[n_bytes..],
            }
        }
        timeout(patience, self.stream.flush()).await?
    }

    async fn send_body(&mut self, body: &[u8]) -> io::Result<()> {
        self.send_frame(&frame::frame(body).map_err(invalid_data)?).await
    }
}

fn invalid_data(error: FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Who is at the other end, and what was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// What the other side says it is.
    pub peer: Hello,
    /// The version of the protocol that both speak from here on.
    pub protocol: u16,
}

/// The client's side of the greeting. Waits at most [`GREETING_TIMEOUT`] (5 s).
///
/// # Errors
/// The daemon's refusal, and [`Code::NoDaemon`] when nobody answers or something else does.
pub async fn greet<R, W>(
    reader: &mut MessageReader<R>,
    writer: &mut MessageWriter<W>,
    hello: &Hello,
) -> Result<Greeted, Fault>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let greeting = async {
        // A daemon that refuses before it reads may be gone already: its verdict is still there to read.
        let sent = writer.send_body(&hello.encode()).await;
        let peer = match (expect_hello(reader, DAEMON).await, sent) {
            (Err(GreetingError::Gone(_)), Err(error)) => return Err(GreetingError::Gone(words::of_io(&error))),
            (peer, _) => peer?,
        };
        let verdict = Verdict::decode(&expect_body(reader, DAEMON).await?)?;
        Ok((peer, verdict))
    };
    let (peer, verdict) = match in_time(DAEMON, greeting).await {
        Ok(heard) => heard,
        Err(GreetingError::Gone(why) | GreetingError::Strange(why)) => return Err(Fault::new(Code::NoDaemon, why)),
        Err(GreetingError::Silent(why)) => {
            return Err(Fault::new(Code::NoDaemon, why).with_hint(
                "another program may listen there, or the daemon hangs: end its process and start it again",
            ));
        }
    };
    match verdict.into_result() {
        Ok(protocol) => Ok(Greeted { peer, protocol }),
        Err(fault) if fault.code == Code::VersionMismatch => {
            Err(fault.with_hint("install the same version of both, then restart the daemon"))
        }
        Err(fault) => Err(fault),
    }
}

/// The daemon's side of the greeting. Waits at most [`GREETING_TIMEOUT`] (5 s).
///
/// # Errors
/// Why the connection ends now; where the client can still hear it, it was told.
pub async fn welcome<R, W>(
    reader: &mut MessageReader<R>,
    writer: &mut MessageWriter<W>,
    hello: &Hello,
) -> Result<Greeted, Fault>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let greeting = async {
        let agreed = match expect_hello(reader, CLIENT).await {
            Ok(peer) => agree(&peer, hello).map(|protocol| Greeted { peer, protocol }),
            Err(GreetingError::Strange(why)) => Err(Fault::new(Code::InvalidRequest, why)),
            Err(gone) => return Err(gone),
        };
        let verdict = match &agreed {
            Ok(greeted) => Verdict::Welcome(greeted.protocol),
            Err(fault) => Verdict::refused(fault),
        };
        match send_greeting(writer, hello, &verdict).await {
            Ok(()) => Ok(agreed),
            Err(error) => Err(GreetingError::Gone(words::of_io(&error))),
        }
    };
    match in_time(CLIENT, greeting).await {
        Ok(agreed) => agreed,
        Err(GreetingError::Gone(why)) => Err(Fault::new(Code::Aborted, why)),
        Err(GreetingError::Strange(why)) => Err(Fault::new(Code::InvalidRequest, why)),
        Err(GreetingError::Silent(why)) => Err(Fault::new(Code::TimedOut, why)),
    }
}

/// Refuses a client without having read a byte. Waits at most [`GREETING_TIMEOUT`] (5 s).
///
/// # Errors
/// What the stream says; the client is gone then.
pub async fn refuse<W>(writer: &mut MessageWriter<W>, hello: &Hello, fault: &Fault) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    timeout(GREETING_TIMEOUT, send_greeting(writer, hello, &Verdict::refused(fault))).await?
}

/// In one piece, so that a client which closes at once cannot part the verdict from its hello.
async fn send_greeting<W>(writer: &mut MessageWriter<W>, hello: &Hello, verdict: &Verdict) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let hello = frame::frame(&hello.encode()).map_err(invalid_data)?;
    let verdict = frame::frame(&verdict.encode()).map_err(invalid_data)?;
    writer.send_frame(&[hello, verdict].concat()).await
}

enum GreetingError {
    /// There is nobody.
    Gone(String),
    /// There is somebody else.
    Strange(String),
    /// There is somebody who says nothing.
    Silent(String),
}

const DAEMON: &str = "the daemon";
const CLIENT: &str = "the client";

/// Each side waits as long for the other.
async fn in_time<T>(who: &str, greeting: impl Future<Output = Result<T, GreetingError>>) -> Result<T, GreetingError> {
    let limit = GREETING_TIMEOUT.as_secs();
    let silent = || GreetingError::Silent(format!("{who} did not say hello within {limit} s"));
    timeout(GREETING_TIMEOUT, greeting).await.unwrap_or_else(|_| Err(silent()))
}

async fn expect_hello<R: AsyncRead + Unpin>(reader: &mut MessageReader<R>, who: &str) -> Result<Hello, GreetingError> {
    Ok(Hello::decode(&expect_body(reader, who).await?)?)
}

impl From<HelloError> for GreetingError {
    fn from(error: HelloError) -> Self {
        GreetingError::Strange(error.to_string())
    }
}

async fn expect_body<R: AsyncRead + Unpin>(reader: &mut MessageReader<R>, who: &str) -> Result<Bytes, GreetingError> {
    match reader.next_body().await {
        Ok(Some(body)) => Ok(body),
        Ok(None) => Err(GreetingError::Gone(format!("{who} ended the connection before it said hello"))),
        Err(ReadError::Io(error)) => Err(GreetingError::Gone(words::of_io(&error))),
        Err(ReadError::Truncated) => Err(GreetingError::Gone(format!("{who} ended the connection inside its hello"))),
        Err(ReadError::Frame(error)) => Err(GreetingError::Strange(error.to_string())),
    }
}
