//! Wakes less often in a fast download: the system waits until some packets have come, and they are read together.
//!
//! A server on the same machine or a very fast network sends packet by packet, and each would wake the thread that waits
//! for it, which costs both sides more than the packet itself. So while much comes, the system is told (`SO_RCVLOWAT`) to
//! wake it for [`TOGETHER_BYTES`] only. What is less than that, such as the end of a transfer, is fetched after [`TAIL`].

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// What comes together: a few packets, and far less than any window.
const TOGETHER_BYTES: i32 = 256 << 10;
/// How long less than that waits for more. At [`FAST_BYTES`] so much comes in half of it.
const TAIL: Duration = Duration::from_millis(1);
/// What has to come within [`LOOK_BACK`]: 400 MiB/s.
const FAST_BYTES: usize = 1 << 20;
const LOOK_BACK: Duration = Duration::from_micros(2500);

/// How one connection is waited for.
#[derive(Debug)]
pub(super) struct Gathering {
    began: Instant,
    n_bytes: usize,
    /// Is there while the system waits for more; ends that.
    tail: Option<Pin<Box<Sleep>>>,
}

impl Gathering {
    pub(super) fn new() -> Self {
        Gathering { began: Instant::now(), n_bytes: 0, tail: None }
    }

    /// So much was read.
    pub(super) fn note(&mut self, n_bytes: usize) {
        self.n_bytes += n_bytes;
    }

    /// There is nothing to read, and the reader is going to wait. What it polls is polled again when it is to wait
    /// no longer.
    pub(super) fn wait(&mut self, stream: &TcpStream, context: &mut Context<'_>) {
        let now = Instant::now();
        if let Some(tail) = &mut self.tail {
            if 0 < std::mem::take(&mut self.n_bytes) {
                tail.as_mut().reset(now + TAIL);
            }
            if tail.as_mut().poll(context).is_ready() {
                self.tail = None;
                self.began = now;
                // The system tells at once of what has come.
                set_least(stream, 1);
            }
        } else if LOOK_BACK <= now - self.began {
            let is_fast = (now - self.began) * FAST_BYTES as u32 <= LOOK_BACK * clamped(self.n_bytes);
            (self.began, self.n_bytes) = (now, 0);
            if is_fast && set_least(stream, TOGETHER_BYTES) {
                let mut tail = Box::pin(tokio::time::sleep(TAIL));
                // Not ready yet; this registers who waits.
                let _ = tail.as_mut().poll(context);
                self.tail = Some(tail);
            }
        }
    }
}

fn clamped(n_bytes: usize) -> u32 {
    u32::try_from(n_bytes).unwrap_or(u32::MAX)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod least {
    use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};

    sockopt_impl!(
        /// How much the system has before it tells a reader.
        LeastToRead, Both, libc::SOL_SOCKET, libc::SO_RCVLOWAT, i32
    );
}

/// Says whether the system took it; without it, everything is as ever.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_least(stream: &TcpStream, n_bytes: i32) -> bool {
    nix::sys::socket::setsockopt(stream, least::LeastToRead, &n_bytes).is_ok()
}

/// Other systems are not known to tell at once of what came when less is asked for again.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_least(_: &TcpStream, _: i32) -> bool {
    false
}

#[cfg(test)]
#[cfg(any(target_os = "linux", target_os = "android"))]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::ssh::prompt::Prompt;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (far, listener.accept().await.unwrap().0)
    }

    fn least_of(stream: &TcpStream) -> i32 {
        nix::sys::socket::getsockopt(stream, least::LeastToRead).unwrap()
    }

    #[tokio::test]
    async fn it_gathers_while_much_comes_and_lets_go_after_a_moment_without() {
        let (_far, near) = pair().await;
        let mut context = Context::from_waker(Waker::noop());
        let mut gathering = Gathering::new();

        gathering.note(FAST_BYTES / 4);
        std::thread::sleep(LOOK_BACK);
        gathering.wait(&near, &mut context);
        assert_eq!(least_of(&near), 1, "that was slow");
        gathering.note(FAST_BYTES * 1000);
        std::thread::sleep(LOOK_BACK);
        gathering.wait(&near, &mut context);
        assert_eq!(least_of(&near), TOGETHER_BYTES);

        tokio::time::sleep(TAIL * 3).await;
        gathering.note(1);
        gathering.wait(&near, &mut context);
        assert_eq!(least_of(&near), TOGETHER_BYTES, "something came meanwhile");
        tokio::time::sleep(TAIL * 3).await;
        gathering.wait(&near, &mut context);
        assert_eq!(least_of(&near), 1);
    }

    #[tokio::test]
    async fn what_is_too_little_to_be_told_of_is_read_all_the_same() {
        const BURST: usize = 64 << 20;
        let (mut far, near) = pair().await;
        let mut near = Prompt::new(near);
        let sending = tokio::spawn(async move {
            for _ in 0..20 {
                far.write_all(&vec![7; BURST]).await.unwrap();
                // Less than the system would tell of, and nothing behind it until it was answered.
                far.write_all(b"the end of the burst").await.unwrap();
                far.read_exact(&mut [0]).await.unwrap();
            }
        });

        let mut buffer = vec![0; 1 << 20];
        for _ in 0..20 {
            let mut left = BURST + 20;
            while 0 < left {
                let room = left.min(buffer.len());
                let read = tokio::time::timeout(Duration::from_secs(5), near.read(&mut buffer[..room])).await;
                left -= read.expect("everything comes").unwrap();
            }
            near.write_all(b"!").await.unwrap();
        }

        sending.await.unwrap();
    }
}
