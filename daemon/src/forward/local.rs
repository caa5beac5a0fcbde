//! A connection on this machine: TCP, or a Unix socket on the systems that have them.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Duration;

use alknet_proto::{Code, Reason, Stage, Target, words};
use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use crate::short_read;

/// Looking up the target's name and connecting to all its addresses together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What OpenSSH tells about a client without an address, since some servers refuse anything else.
const NO_ADDRESS: (&str, u16) = ("127.0.0.1", 65535);

/// Both directions work on a shared reference, so that neither needs a lock or waits for the other.
#[derive(Debug)]
pub(super) enum LocalStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

macro_rules! on_either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self {
            LocalStream::Tcp($stream) => $call,
            #[cfg(unix)]
            LocalStream::Unix($stream) => $call,
        }
    };
}

impl LocalStream {
    /// Connects to `target` as this machine sees it: every address in turn, 10 s for all of them.
    ///
    /// # Errors
    /// A reason of stage `target`.
    pub(super) async fn connect(target: &Target) -> Result<Self, Reason> {
        match target {
            Target::Tcp(host, port) => connect_tcp(host, *port).await,
            Target::Unix(path) => connect_unix(path, target).await,
        }
    }

    /// The same connection, as one that waits in the runtime that calls this.
    ///
    /// # Errors
    /// When the system cannot wait for it there; it is closed then.
    pub(super) fn moved_here(self) -> io::Result<Self> {
        Ok(match self {
            LocalStream::Tcp(stream) => LocalStream::Tcp(TcpStream::from_std(stream.into_std()?)?),
            #[cfg(unix)]
            LocalStream::Unix(stream) => LocalStream::Unix(UnixStream::from_std(stream.into_std()?)?),
        })
    }

    /// Small writes go out at once: the programs on both ends have decided on their sizes already.
    pub(super) fn send_at_once(&self) {
        if let Some(stream) = self.tcp()
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
    }

    /// Who connected, in the form that a server is told.
    pub(super) fn originator(&self) -> (String, u16) {
        if let Some(stream) = self.tcp()
            && let Ok(peer) = stream.peer_addr()
        {
            return (peer.ip().to_canonical().to_string(), peer.port());
        }
        (NO_ADDRESS.0.to_owned(), NO_ADDRESS.1)
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        on_either!(self, stream => stream.readable().await)
    }

    /// Reads into the spare capacity of `buffer`, which must not be zero; 0 is the end.
    pub(super) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        let n_bytes = on_either!(self, stream => stream.try_read_buf(buffer))?;
        short_read::note(
            n_bytes,
            room,
            |interest, nothing| on_either!(self, stream => stream.try_io(interest, nothing)),
        );
        Ok(n_bytes)
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        on_either!(self, stream => stream.writable().await)
    }

    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        on_either!(self, stream => stream.try_write_vectored(slices))
    }

    /// Writes all of `bytes`, waiting for room.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.writable().await?;
            match self.try_write(&[IoSlice::new(bytes)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n_bytes) => bytes = &bytes[n_bytes..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the program that everything was sent; it may still write. One that is gone already is not an error.
    pub(super) fn end_writing(&self) {
        let ended = on_either!(self, stream => SockRef::from(stream).shutdown(Shutdown::Write));
        if let Err(error) = ended {
            tracing::trace!(%error, "the local program was gone before the end");
        }
    }

    /// Waits until the program has cut the connection. Its bytes and its end are not looked at. Windows says nothing
    /// of a cut beforehand: there, this waits for ever, and who writes or reads next hears of it.
    pub(super) async fn cut_by_program(&self) {
        let heard = on_either!(self, stream => stream.ready(Interest::ERROR).await);
        if heard.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends the connection so that the program sees an error and not an end. On a Unix socket it is a plain close.
    pub(super) fn reset(self) {
        if let Some(stream) = self.tcp()
            && let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO))
        {
            tracing::debug!(%error, "a connection is closed, not reset");
        }
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            LocalStream::Tcp(stream) => Some(stream),
            #[cfg(unix)]
            LocalStream::Unix(_) => None,
        }
    }
}

async fn connect_tcp(host: &str, port: u16) -> Result<LocalStream, Reason> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let too_late = || {
        let limit = CONNECT_TIMEOUT.as_secs();
        Reason::new(Stage::Target, Code::TimedOut, format!("{host} port {port} did not answer within {limit} s"))
    };
    let addresses: Vec<_> = match timeout_at(deadline, tokio::net::lookup_host((host, port))).await {
        Err(_) => return Err(too_late()),
        Ok(Err(error)) => return Err(not_resolved(host, &error)),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    let mut last = not_resolved(host, &io::ErrorKind::NotFound.into());
    for (n_tried, address) in addresses.iter().enumerate() {
        // An address that never answers leaves the same time to each one after it.
        let n_left = u32::try_from(addresses.len() - n_tried).unwrap_or(1);
        let until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / n_left;
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(LocalStream::Tcp(stream)),
            Ok(Err(error)) => last = not_connected(&Target::Tcp(host.to_owned(), port), &error),
            Err(_) => last = too_late(),
        }
    }
    Err(last)
}

#[cfg(unix)]
async fn connect_unix(path: &str, target: &Target) -> Result<LocalStream, Reason> {
    let stream = UnixStream::connect(path).await.map_err(|error| not_connected(target, &error))?;
    Ok(LocalStream::Unix(stream))
}

#[cfg(not(unix))]
async fn connect_unix(path: &str, _: &Target) -> Result<LocalStream, Reason> {
    Err(no_unix_sockets(Stage::Target, path))
}

/// Why a rule with the path of a Unix socket on this machine can never work.
#[cfg(not(unix))]
pub(super) fn no_unix_sockets(stage: Stage, path: &str) -> Reason {
    let message = format!("Unix sockets cannot be forwarded on Windows: {path}");
    Reason::new(stage, Code::InvalidSpec, message).with_hint("use an address and a port on this side")
}

fn not_resolved(host: &str, error: &io::Error) -> Reason {
    Reason::new(
        Stage::Target,
        Code::NameNotResolved,
        format!("the name {host} cannot be looked up: {}", words::of_io(error)),
    )
}

fn not_connected(target: &Target, error: &io::Error) -> Reason {
    let code = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Code::ConnectionRefused,
        io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        io::ErrorKind::TimedOut => Code::TimedOut,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
            Code::Unreachable
        }
        _ => Code::ConnectionLost,
    };
    Reason::new(Stage::Target, code, format!("{target} cannot be connected to: {}", words::of_io(error)))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, LocalStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, LocalStream::Tcp(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn a_cut_is_seen_behind_unread_bytes_and_an_end_is_none() {
        let (mut client, local) = pair().await;
        let limit = Duration::from_millis(50);

        client.write_all(b"unread").await.unwrap();
        client.shutdown().await.unwrap();
        let at_the_end = tokio::time::timeout(limit, local.cut_by_program()).await;
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);

        assert!(at_the_end.is_err(), "an end is not a cut");
        tokio::time::timeout(CONNECT_TIMEOUT, local.cut_by_program()).await.expect("the cut is seen");
    }

    #[tokio::test]
    async fn a_closed_port_is_a_refusal_of_the_target() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();

        let reason = LocalStream::connect(&Target::Tcp("localhost".to_owned(), port)).await.unwrap_err();

        assert_eq!((reason.stage, reason.code), (Stage::Target, Code::ConnectionRefused));
        assert!(reason.message.starts_with(&format!("localhost:{port} cannot be connected to: ")), "{reason}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_missing_socket_is_a_refusal_of_the_target() {
        let reason = LocalStream::connect(&Target::Unix("/nonexistent/a.sock".to_owned())).await.unwrap_err();

        assert_eq!((reason.stage, reason.code), (Stage::Target, Code::ConnectionRefused));
    }
}
