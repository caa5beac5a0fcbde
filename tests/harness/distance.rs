//! A long way to the server: everything arrives later, and as fast as it was sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::runtime::{block_on, runtime};

/// What is under way in one direction at most: a second at 256 MiB/s, so that it limits nobody.
const UNDER_WAY_BYTES: usize = 256 << 20;
const CHUNK_BYTES: usize = 128 << 10;

/// A running proxy. Dropping it ends its connections.
#[derive(Debug)]
pub struct Distance {
    port: u16,
    _running: DropGuard,
}

impl Distance {
    /// Starts a proxy in front of `port` on this machine; an answer takes at least `round_trip`.
    pub fn before(port: u16, round_trip: Duration) -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a free port");
        let own_port = listener.local_addr().unwrap().port();
        let running = CancellationToken::new();
        let over = running.clone();
        runtime().spawn(running.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                let passing = pass(client, port, round_trip / 2);
                runtime().spawn(over.clone().run_until_cancelled_owned(passing));
            }
        }));
        Distance { port: own_port, _running: running.drop_guard() }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// What was read, when it arrives, and its share of what may be under way.
type UnderWay = (Instant, Bytes, OwnedSemaphorePermit);

async fn pass(client: TcpStream, port: u16, delay: Duration) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::join!(carry(client_read, server_write, delay), carry(server_read, client_write, delay));
}

async fn carry(from: OwnedReadHalf, to: OwnedWriteHalf, delay: Duration) {
    // Bounded by the permits in it.
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::join!(depart(from, sender, delay), arrive(to, receiver));
}

async fn depart(mut from: OwnedReadHalf, sender: mpsc::UnboundedSender<UnderWay>, delay: Duration) {
    let room = Arc::new(Semaphore::new(UNDER_WAY_BYTES));
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK_BYTES);
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n_bytes) => {
                let n_bytes = u32::try_from(n_bytes).expect("a chunk is small");
                let permit = room.clone().acquire_many_owned(n_bytes).await.expect("it is never closed");
                if sender.send((Instant::now() + delay, buffer.split().freeze(), permit)).is_err() {
                    return;
                }
            }
        }
    }
}

async fn arrive(mut to: OwnedWriteHalf, mut receiver: mpsc::UnboundedReceiver<UnderWay>) {
    let mut waiting: VecDeque<UnderWay> = VecDeque::new();
    while let Some(first) = receiver.recv().await {
        waiting.push_back(first);
        while let Some((due, bytes, permit)) = waiting.pop_front() {
            if Instant::now() < due {
                tokio::time::sleep_until(due).await;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
            drop(permit);
            while let Ok(next) = receiver.try_recv() {
                waiting.push_back(next);
            }
        }
    }
    // The other side hears of the end as late as of everything else.
    let _ = to.shutdown().await;
}
