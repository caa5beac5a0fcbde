//! Exchanges the identification lines before russh does, to learn how far away the server is.
//!
//! russh wants to know the size of its windows before it says its first word. A server answers the client's line with
//! the begin of the key exchange, so the time between the two is a round trip. It costs nothing: what the client says
//! next has to wait for that answer anyway. The time of a TCP connection would not do, since whatever stands in
//! between (a jump host, a program, a proxy) may be near.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// A server that waits for the client's part of the key exchange is not waited for any longer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longer or more lines than a server says are left to russh to judge.
const MAX_LINE_BYTES: usize = 255;
const MAX_BYTES: usize = 4096;

/// A stream on which the client's line was sent: russh may send it once more, and reads what came meanwhile.
pub(super) struct Greeted<S> {
    stream: S,
    /// How much of what russh writes was sent already.
    n_sent: usize,
    /// What the server has said.
    came: Vec<u8>,
    n_read: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Greeted<S> {
    /// Sends `line` and waits for the server's part of the key exchange, without a limit until the server has said
    /// its own line. Says how long after ours it came.
    ///
    /// # Errors
    /// When the line cannot be sent. What goes wrong afterwards is left to russh.
    pub(super) async fn send(line: &str, mut stream: S) -> io::Result<(Self, Duration)> {
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await?;
        let asked = Instant::now();
        let mut came = Vec::new();
        let mut deadline = None;
        while is_unfinished(&came) {
            let mut chunk = [0; 1024];
            let reading = stream.read(&mut chunk);
            let read = match deadline {
                Some(deadline) => match timeout_at(deadline, reading).await {
                    Ok(read) => read,
                    Err(_) => break,
                },
                None => reading.await,
            };
            match read {
                Ok(0) | Err(_) => break,
                Ok(n_bytes) => came.extend_from_slice(&chunk[..n_bytes]),
            }
            if end_of_lines(&came).is_some() {
                deadline.get_or_insert(Instant::now() + PATIENCE);
            }
        }
        Ok((Greeted { stream, n_sent: line.len(), came, n_read: 0 }, asked.elapsed()))
    }
}

/// Whether the key exchange, or what is no SSH, is still to come.
fn is_unfinished(came: &[u8]) -> bool {
    match end_of_lines(came) {
        Some(end) => end == came.len(),
        None => came.len() < MAX_BYTES && came.split(|byte| *byte == b'\n').all(|line| line.len() <= MAX_LINE_BYTES),
    }
}

/// Where the line ends that begins with `SSH-`; others may come before it.
fn end_of_lines(came: &[u8]) -> Option<usize> {
    let mut end = 0;
    for line in came.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        if line.starts_with(b"SSH-") && line.ends_with(b"\n") {
            return Some(end);
        }
    }
    None
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.n_read < this.came.len() {
            let n_bytes = buffer.remaining().min(this.came.len() - this.n_read);
            buffer.put_slice(&this.came[this.n_read..this.n_read + n_bytes]);
            this.n_read += n_bytes;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if 0 < self.n_sent {
            let n_bytes = bytes.len().min(self.n_sent);
            self.n_sent -= n_bytes;
            return Poll::Ready(Ok(n_bytes));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const LINE: &str = "SSH-2.0-alknet_test\r\n";

    #[tokio::test(start_paused = true)]
    async fn the_round_trip_is_from_our_line_to_the_key_exchange() {
        let (ours, mut server) = duplex(4096);
        let answering = async {
            server.write_all(b"Welcome.\r\nSSH-2.0-x\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            server.write_all(b"\0\0\x04kex").await.unwrap();
            server
        };

        let (greeted, _server) = tokio::join!(Greeted::send(LINE, ours), answering);

        assert_eq!(greeted.unwrap().1, Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_is_read_once_more_and_our_line_is_sent_once() {
        let (ours, mut server) = duplex(4096);
        server.write_all(b"SSH-2.0-x\r\nkex").await.unwrap();

        let (mut greeted, _) = Greeted::send(LINE, ours).await.unwrap();
        greeted.write_all(LINE.as_bytes()).await.unwrap();
        greeted.write_all(b"more").await.unwrap();
        let mut read = [0; 14];
        greeted.read_exact(&mut read).await.unwrap();
        drop(greeted);

        assert_eq!(&read, b"SSH-2.0-x\r\nkex");
        let mut written = String::new();
        server.read_to_string(&mut written).await.unwrap();
        assert_eq!(written, format!("{LINE}more"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_waits_for_the_client_is_not_waited_for_long() {
        let (ours, mut server) = duplex(4096);
        server.write_all(b"SSH-2.0-x\r\n").await.unwrap();

        let (_, round_trip) = Greeted::send(LINE, ours).await.unwrap();

        assert_eq!(round_trip, PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_server_says_in_parting_is_left_to_russh() {
        let (ours, mut server) = duplex(4096);
        server.write_all(b"Exceeded MaxStartups\r\n").await.unwrap();
        server.shutdown().await.unwrap();

        let (mut greeted, _) = Greeted::send(LINE, ours).await.unwrap();
        let mut said = String::new();
        greeted.read_to_string(&mut said).await.unwrap();

        assert_eq!(said, "Exceeded MaxStartups\r\n");
    }
}
