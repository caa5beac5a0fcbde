//! The listening sockets of one local forward.

#[cfg(target_os = "linux")]
mod port_owner;
mod tcp;
#[cfg(unix)]
mod unix;

use std::io;
use std::task::{Context, Poll};

use alknet_proto::{Bind, Reason};
use tokio::net::TcpListener;

use super::local::LocalStream;

/// Connections that wait to be accepted; the system may hold fewer. OpenSSH's 128 are too few for a burst.
const BACKLOG: i32 = 4096;

/// What listens for one forward; dropping it frees the port and removes the Unix socket.
#[derive(Debug)]
pub(super) struct Bound {
    sockets: Vec<Listening>,
    /// The port that is really bound, the same on every address; `None` for a Unix socket.
    pub(super) port: Option<u16>,
    /// What a person should know about it.
    pub(super) notices: Vec<String>,
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(unix::OwnedSocket),
}

/// Listens at `bind`. Where a free port is asked for, `earlier_port` is tried first.
///
/// # Errors
/// A reason of stage `bind`; nothing is left bound.
pub(super) async fn bind(bind: &Bind, earlier_port: Option<u16>) -> Result<Bound, Reason> {
    match bind {
        Bind::Tcp(address, port) => tcp::bind(address, *port, earlier_port).await,
        #[cfg(unix)]
        Bind::Unix(path) => {
            let socket = unix::bind(path).await?;
            Ok(Bound { sockets: vec![Listening::Unix(socket)], port: None, notices: Vec::new() })
        }
        #[cfg(not(unix))]
        Bind::Unix(path) => Err(super::local::no_unix_sockets(alknet_proto::Stage::Bind, path)),
    }
}

impl Bound {
    /// Waits for the next connection on any of the sockets. Cancel-safe.
    ///
    /// # Errors
    /// What `accept` said: the sockets go on listening.
    pub(super) async fn accept(&self) -> io::Result<LocalStream> {
        std::future::poll_fn(|cx| {
            for socket in &self.sockets {
                if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<LocalStream>> {
        match self {
            Listening::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| LocalStream::Tcp(stream)),
            #[cfg(unix)]
            Listening::Unix(socket) => socket.poll_accept(cx).map_ok(LocalStream::Unix),
        }
    }
}

#[cfg(test)]
mod tests;
