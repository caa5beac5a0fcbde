//! A TCP connection that can be frozen and cut from outside.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Freezes, continues or cuts one [`Line`].
#[derive(Clone, Debug)]
pub(super) struct Switch {
    cut: CancellationToken,
    frozen: watch::Sender<bool>,
}

impl Default for Switch {
    fn default() -> Self {
        Switch { cut: CancellationToken::new(), frozen: watch::Sender::new(false) }
    }
}

impl Switch {
    /// The connection ends by RST.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    /// Nothing is read and nothing is written until it is continued.
    pub(super) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Is cancelled when the connection is over, for whatever reason.
    pub(super) fn over(&self) -> CancellationToken {
        self.cut.clone()
    }

    /// Says that the connection is over.
    pub(super) fn end(&self) {
        self.cut.cancel();
    }
}

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The connection itself.
pub(super) struct Line {
    stream: TcpStream,
    switch: Switch,
    // Reads and writes are polled by different tasks, so each has its own two things to wait for.
    read_cut: Waiting,
    write_cut: Waiting,
    read_thaw: Option<Waiting>,
    write_thaw: Option<Waiting>,
}

impl Line {
    pub(super) fn new(stream: TcpStream, switch: Switch) -> Self {
        let cut = || -> Waiting { Box::pin(switch.cut.clone().cancelled_owned()) };
        Line { stream, read_cut: cut(), write_cut: cut(), read_thaw: None, write_thaw: None, switch }
    }

    /// Reads and forgets until the other side or the switch ends the connection.
    pub(super) async fn swallow(mut self) {
        let mut buffer = [0; 1024];
        while self.read(&mut buffer).await.is_ok_and(|n| 0 < n) {}
    }

    /// Closing sends RST instead of FIN from now on.
    fn reset(&self) -> io::Error {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        ErrorKind::ConnectionReset.into()
    }

    fn poll_usable(&mut self, cx: &mut Context<'_>, side: Side) -> Poll<io::Result<()>> {
        let (cut, thaw) = match side {
            Side::Read => (&mut self.read_cut, &mut self.read_thaw),
            Side::Write => (&mut self.write_cut, &mut self.write_thaw),
        };
        if self.switch.cut.is_cancelled() || cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(self.reset()));
        }
        // Being frozen is noticed whenever the stream has something to do; waiting for it alone is not needed.
        while *self.switch.frozen.borrow() || thaw.is_some() {
            let mut frozen = self.switch.frozen.subscribe();
            let waiting = thaw.get_or_insert_with(|| {
                Box::pin(async move {
                    let _ = frozen.wait_for(|frozen| !frozen).await;
                })
            });
            ready!(waiting.as_mut().poll(cx));
            *thaw = None;
        }
        Poll::Ready(Ok(()))
    }
}

#[derive(Clone, Copy)]
enum Side {
    Read,
    Write,
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        ready!(line.poll_usable(cx, Side::Read))?;
        Pin::new(&mut line.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        ready!(line.poll_usable(cx, Side::Write))?;
        Pin::new(&mut line.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
