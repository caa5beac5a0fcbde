//! Moves data through a port and checks every byte of it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::content::Content;
use crate::runtime::{block_on, runtime};

/// No read or write of a test waits longer than this.
const IO_LIMIT: Duration = Duration::from_secs(30);
const CHUNK_BYTES: usize = 64 * 1024;

/// A connection to `port` of this machine, whose reads and writes end after 30 s.
///
/// # Panics
/// When nothing listens there.
#[track_caller]
pub fn connect(port: u16) -> TcpStream {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, IO_LIMIT)
        .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
    with_limits(stream)
}

/// Bounds how long reads and writes wait.
pub fn with_limits(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(IO_LIMIT)).unwrap();
    stream.set_write_timeout(Some(IO_LIMIT)).unwrap();
    stream
}

/// Sends `bytes` over an echo and checks that they come back, and nothing else after the end was sent.
///
/// # Errors
/// When the connection breaks before everything came back.
///
/// # Panics
/// When something else comes back.
#[track_caller]
pub fn echoes_whole(mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let sent = bytes.to_vec();
    let writing = std::thread::spawn(move || -> io::Result<()> {
        writer.write_all(&sent)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?;
    writing.join().expect("the writer does not panic")?;
    assert_eq!(back.len(), bytes.len(), "as much comes back as was sent");
    assert!(back == bytes, "what comes back is what was sent");
    Ok(())
}

/// Whether a connection to `port` reaches an echo.
#[track_caller]
pub fn assert_echo(port: u16) {
    echo_over(connect(port));
}

/// Sends a few bytes over an open connection to an echo and checks the answer.
#[track_caller]
pub fn echo_over(mut stream: impl Read + Write) {
    let sent = b"are you an echo?";
    stream.write_all(sent).expect("the connection takes bytes");
    let mut back = [0; 16];
    stream.read_exact(&mut back).expect("the echo answers");
    assert_eq!(&back, sent);
}

/// What came of many connections at once.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// Connections that got everything back, byte for byte.
    pub whole: usize,
    /// What went wrong with the others, one line each.
    pub errors: Vec<String>,
    /// From the first connection to the last byte.
    pub took: Duration,
}

/// Opens `connections` to `port` at once; each sends `bytes_each` of its own content over an echo and checks the answer.
pub fn crowd(port: u16, connections: usize, bytes_each: usize) -> Crowd {
    let begin = Instant::now();
    let results = block_on(async {
        let mut all = JoinSet::new();
        for seed in 0..connections {
            all.spawn_on(one_of_a_crowd(port, seed as u64 + 1, bytes_each), runtime());
        }
        all.join_all().await
    });
    let mut crowd = Crowd { took: begin.elapsed(), ..Crowd::default() };
    for result in results {
        match result {
            Ok(()) => crowd.whole += 1,
            Err(error) => crowd.errors.push(error),
        }
    }
    crowd
}

async fn one_of_a_crowd(port: u16, seed: u64, length: usize) -> Result<(), String> {
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, echo_content(port, seed, length)).await.unwrap_or_else(|_| Err("timed out".to_owned()))
}

/// Sends `length` bytes of [`Content`] `seed` over the echo on `port`, checks what comes back while it comes.
///
/// # Errors
/// One line that says what went wrong, and where.
pub async fn echo_content(port: u16, seed: u64, length: usize) -> Result<(), String> {
    let stream =
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| format!("connect: {error}"))?;
    let (mut read, mut write) = stream.into_split();
    let writing = async {
        let (mut content, mut buffer, mut left) = (Content::new(seed), vec![0; CHUNK_BYTES], length);
        while 0 < left {
            let chunk = left.min(CHUNK_BYTES);
            content.fill(&mut buffer[..chunk]);
            write.write_all(&buffer[..chunk]).await.map_err(|error| format!("write: {error}"))?;
            left -= chunk;
        }
        write.shutdown().await.map_err(|error| format!("shutdown: {error}"))
    };
    let reading = async {
        let (mut content, mut buffer, mut got) = (Content::new(seed), vec![0; CHUNK_BYTES], 0);
        loop {
            let n = read.read(&mut buffer).await.map_err(|error| format!("read after {got} bytes: {error}"))?;
            if n == 0 {
                break;
            }
            if !content.matches(&buffer[..n]) {
                return Err(format!("other bytes than were sent, between {got} and {}", got + n));
            }
            got += n;
        }
        if got == length { Ok(()) } else { Err(format!("the end came after {got} of {length} bytes")) }
    };
    let ((), ()) = tokio::try_join!(writing, reading)?;
    Ok(())
}

/// Sends `length` bytes each way over each of `channels` connections to the echo on `port`; every byte is checked.
///
/// # Errors
/// The first thing that went wrong.
pub fn channels(port: u16, channels: usize, length: usize) -> Result<Duration, String> {
    let begin = Instant::now();
    let results = block_on(async {
        let mut all = JoinSet::new();
        for seed in 0..channels {
            all.spawn_on(echo_content(port, seed as u64 + 1000, length), runtime());
        }
        all.join_all().await
    });
    results.into_iter().collect::<Result<Vec<()>, String>>()?;
    Ok(begin.elapsed())
}
