//! The byte stream below SSH: can be cut at any time, and remembers what the server said.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::session::{Session, locked};

/// Enough for the words of a server that does not want us, or that is no SSH server.
const GREETING_BYTES: usize = 512;

/// A stream that ends with an error once its token is cancelled, even while SSH waits for a full socket.
pub(super) struct Wire<S> {
    stream: S,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    greeting: Greeting,
    is_greeted: bool,
    session: Arc<Session>,
}

/// The first bytes that the server sent.
#[derive(Clone, Default)]
pub(super) struct Greeting(Arc<Mutex<Vec<u8>>>);

impl Greeting {
    /// A server that said this.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Greeting(Arc::new(Mutex::new(text.as_bytes().to_vec())))
    }

    /// What came so far, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&locked(&self.0)).into_owned()
    }
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, session: Arc<Session>, cut: CancellationToken) -> (Wire<S>, Greeting) {
        let greeting = Greeting::default();
        let cut = Box::pin(cut.cancelled_owned());
        (Wire { stream, cut, greeting: greeting.clone(), is_greeted: false, session }, greeting)
    }

    fn unless_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    fn remember(&mut self, bytes: &[u8]) {
        let mut greeting = locked(&self.greeting.0);
        let room = GREETING_BYTES - greeting.len();
        greeting.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.is_greeted = greeting.len() == GREETING_BYTES;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.unless_cut(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if before < buffer.filled().len() {
            self.session.last_heard.is_now();
        }
        if !self.is_greeted {
            self.remember(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.unless_cut(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_cut(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
