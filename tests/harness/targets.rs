//! Small servers whose answers can be checked: what stands behind a forward.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::content::{Checksum, Content};
use crate::runtime::{block_on, runtime};

/// A running server. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Target {
    port: u16,
    connections: Arc<AtomicUsize>,
    _running: DropGuard,
}

impl Target {
    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has taken.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

/// Answers every byte with itself, and the end with the end.
pub fn echo() -> Target {
    serve_tcp("127.0.0.1", echo_stream)
}

/// [`echo`] on a thread of its own, which nothing else that this program does keeps waiting: for measurements.
pub fn echo_apart() -> Target {
    let apart = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let (handle, running) = (apart.handle().clone(), CancellationToken::new());
    let over = running.clone();
    std::thread::spawn(move || apart.block_on(over.cancelled()));
    serve_tcp_on(&handle, running, "127.0.0.1", echo_stream)
}

/// [`echo`] on the IPv6 loopback address.
pub fn echo_v6() -> Target {
    serve_tcp("::1", echo_stream)
}

/// [`echo`] at a Unix socket.
pub fn echo_unix(path: &Path) -> Target {
    let listener = block_on(async { UnixListener::bind(path) }).expect("the path of the target is free");
    let connections = Arc::new(AtomicUsize::new(0));
    let (running, count) = (CancellationToken::new(), connections.clone());
    let over = running.clone();
    runtime().spawn(running.clone().run_until_cancelled_owned(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, SeqCst);
            runtime().spawn(over.clone().run_until_cancelled_owned(echo_stream(stream)));
        }
    }));
    Target { port: 0, connections, _running: running.drop_guard() }
}

/// Says `greeting` as soon as somebody connects, and is an [`echo`] then.
pub fn greeter(greeting: &'static [u8]) -> Target {
    serve_tcp("127.0.0.1", move |mut stream: TcpStream| async move {
        if stream.write_all(greeting).await.is_ok() {
            echo_stream(stream).await;
        }
    })
}

/// Reads up to the end of the request, and only then answers `LENGTH CHECKSUM` and `extra` bytes of [`Content`] 7.
pub fn answers_at_the_end(extra: usize) -> Target {
    serve_tcp("127.0.0.1", move |mut stream: TcpStream| async move {
        let (mut length, mut checksum, mut buffer) = (0, Checksum::default(), vec![0; 32 * 1024]);
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => break,
                Ok(n) => {
                    length += n;
                    checksum.update(&buffer[..n]);
                }
                Err(_) => return,
            }
        }
        let _ = stream.write_all(format!("{length} {}\n", checksum.text()).as_bytes()).await;
        let _ = stream.write_all(&Content::bytes(7, extra)).await;
        let _ = stream.shutdown().await;
    })
}

/// Sends the first `length` bytes of [`Content`] `seed`, then the end.
pub fn source(seed: u64, length: usize) -> Target {
    serve_tcp("127.0.0.1", move |mut stream: TcpStream| async move {
        send_content(&mut stream, seed, length).await;
        let _ = stream.shutdown().await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
}

/// Sends the first `length` bytes of [`Content`] `seed` and then nothing more, not even an end.
pub fn stalls_after(seed: u64, length: usize) -> Target {
    serve_tcp("127.0.0.1", move |mut stream: TcpStream| async move {
        send_content(&mut stream, seed, length).await;
        std::future::pending::<()>().await;
    })
}

/// Sends the first `length` bytes of [`Content`] `seed`, then resets the connection (RST).
pub fn resets_after(seed: u64, length: usize) -> Target {
    serve_tcp("127.0.0.1", move |mut stream: TcpStream| async move {
        send_content(&mut stream, seed, length).await;
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    })
}

/// Reads everything and answers nothing.
pub fn sink() -> Target {
    serve_tcp("127.0.0.1", |mut stream: TcpStream| async move {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
}

/// Sends without end, as fast as it is read.
pub fn flood() -> Target {
    static BYTES: [u8; 256 << 10] = [0xA5; 256 << 10];
    serve_tcp("127.0.0.1", |mut stream: TcpStream| async move { while stream.write_all(&BYTES).await.is_ok() {} })
}

/// How many bytes came from each client, which says its number in its first eight bytes (big-endian).
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<HashMap<u64, Arc<AtomicU64>>>>);

impl Tally {
    /// What came from the client of this number so far, its first eight bytes among it.
    pub fn of(&self, client: u64) -> Arc<AtomicU64> {
        self.0.lock().unwrap().entry(client).or_default().clone()
    }
}

/// Reads everything, counts it in the tally, and answers nothing.
pub fn tallying_sink() -> (Target, Tally) {
    let tally = Tally::default();
    let counting = tally.clone();
    let target = serve_tcp("127.0.0.1", move |mut stream: TcpStream| {
        let tally = counting.clone();
        async move {
            let Ok(client) = stream.read_u64().await else { return };
            let count = tally.of(client);
            let mut buffer = vec![0; 256 << 10];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                count.fetch_add(n as u64, SeqCst);
            }
        }
    });
    (target, tally)
}

/// Takes connections and neither reads nor writes.
pub fn stalled() -> Target {
    serve_tcp("127.0.0.1", |stream: TcpStream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
}

/// An HTTP/1.0 server that answers every request with `body`.
pub fn http(body: &'static str) -> Target {
    serve_tcp("127.0.0.1", move |mut stream: TcpStream| async move {
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer).await {
                Ok(n) if 0 < n => request.extend_from_slice(&buffer[..n]),
                Ok(_) | Err(_) => return,
            }
        }
        let answer =
            format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        // The client closes first; a request that is not read to its end would be answered with a reset.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
}

async fn send_content(stream: &mut TcpStream, seed: u64, length: usize) {
    let (mut content, mut left, mut buffer) = (Content::new(seed), length, vec![0; 64 * 1024]);
    while 0 < left {
        let chunk = left.min(buffer.len());
        content.fill(&mut buffer[..chunk]);
        if stream.write_all(&buffer[..chunk]).await.is_err() {
            return;
        }
        left -= chunk;
    }
}

async fn echo_stream<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match read.read(&mut buffer).await {
            Ok(0) => {
                let _ = write.shutdown().await;
                return;
            }
            Ok(n) if write.write_all(&buffer[..n]).await.is_ok() => {}
            Ok(_) | Err(_) => return,
        }
    }
}

fn serve_tcp<F, S>(ip: &str, each: S) -> Target
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    serve_tcp_on(runtime(), CancellationToken::new(), ip, each)
}

fn serve_tcp_on<F, S>(runtime: &Handle, running: CancellationToken, ip: &str, each: S) -> Target
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = {
        let _guard = runtime.enter();
        listen_deep(ip)
    };
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let (over, count) = (running.clone(), connections.clone());
    runtime.spawn(running.clone().run_until_cancelled_owned(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, SeqCst);
            let _ = stream.set_nodelay(true);
            tokio::spawn(over.clone().run_until_cancelled_owned(each(stream)));
        }
    }));
    Target { port, connections, _running: running.drop_guard() }
}

/// A listener that a thousand connections at once do not overrun: what is measured is the forward, not the target.
fn listen_deep(ip: &str) -> TcpListener {
    let address = std::net::SocketAddr::new(ip.parse().expect("an IP address"), 0);
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.bind(address).expect("there is a free port");
    socket.listen(4096).unwrap()
}
