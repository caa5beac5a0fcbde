//! A TCP connection that confirms small packets at once.
//!
//! A server sends its next small packet only when the one before was confirmed (Nagle's algorithm), and a system
//! delays a confirmation by 40 ms in the hope of something to send with it. A forwarded connection whose target
//! speaks first would wait for both, each time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// More than this at once is a stream, and streams are confirmed in time anyway.
const SMALL_BYTES: usize = 2048;

/// See the head of this file.
pub(super) struct Prompt(pub(super) TcpStream);

impl Prompt {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn confirm(&self) {
        // The system goes back to delaying by itself, so it is told again each time. It only makes things quicker.
        let _ = socket2::SockRef::from(&self.0).set_tcp_quickack(true);
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn confirm(&self) {}
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(context, buffer))?;
        if buffer.filled().len() - before <= SMALL_BYTES {
            self.confirm();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
