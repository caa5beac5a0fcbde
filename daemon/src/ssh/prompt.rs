//! A TCP connection as SSH likes it: small packets are confirmed at once, and what comes is read a little ahead.
//!
//! A server sends its next small packet only when the one before was confirmed (Nagle's algorithm), and a system
//! delays a confirmation by 40 ms in the hope of something to send with it. A forwarded connection whose target
//! speaks first would wait for both, each time.
//!
//! russh reads the four bytes of a packet's length and then the packet. Reading ahead makes one system call of both.

use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::gather::Gathering;
use crate::short_read;

/// More than this at once is a stream, and streams are confirmed in time anyway.
const SMALL_BYTES: usize = 2048;

/// The length of the next packet is in it, or many small packets. What is read ahead is copied once more, so more of
/// it makes large packets slower.
const AHEAD_BYTES: usize = 4096;

/// See the head of this file.
pub(super) struct Prompt {
    stream: TcpStream,
    /// What was read ahead is `begin..end` of it.
    ahead: Box<[u8]>,
    begin: usize,
    end: usize,
    gathering: Gathering,
}

impl Prompt {
    pub(super) fn new(stream: TcpStream) -> Self {
        Prompt { stream, ahead: vec![0; AHEAD_BYTES].into(), begin: 0, end: 0, gathering: Gathering::new() }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn confirm(&self) {
        // The system goes back to delaying by itself, so it is told again each time. It only makes things quicker.
        let _ = socket2::SockRef::from(&self.stream).set_tcp_quickack(true);
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
        let this = &mut *self;
        let wanted = buffer.remaining();
        if wanted == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.begin < this.end {
            let n_bytes = wanted.min(this.end - this.begin);
            buffer.put_slice(&this.ahead[this.begin..this.begin + n_bytes]);
            this.begin += n_bytes;
            return Poll::Ready(Ok(()));
        }
        loop {
            let ready = this.stream.poll_read_ready(context);
            if ready.is_pending() {
                this.gathering.wait(&this.stream, context);
            }
            ready!(ready)?;
            let mut slices = [IoSliceMut::new(buffer.initialize_unfilled()), IoSliceMut::new(&mut this.ahead)];
            match this.stream.try_read_vectored(&mut slices) {
                Ok(n_bytes) => {
                    buffer.advance(n_bytes.min(wanted));
                    (this.begin, this.end) = (0, n_bytes.saturating_sub(wanted));
                    let try_io = |interest, nothing: fn() -> _| this.stream.try_io(interest, nothing);
                    short_read::note(n_bytes, wanted + AHEAD_BYTES, try_io);
                    this.gathering.note(n_bytes);
                    if n_bytes <= SMALL_BYTES {
                        this.confirm();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
