//! A network that can go wrong: stands between the daemon and a real server.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::runtime::{block_on, runtime};

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes at once.
    Fine,
    /// Every chunk is late by this much, in each direction.
    Slow(Duration),
    /// Nothing passes, and nobody is told; what was under way arrives when it is fine again.
    BlackHole,
}

/// A running proxy. Dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    cut: watch::Sender<u64>,
    abandoned: watch::Sender<u64>,
    _running: DropGuard,
}

impl Proxy {
    /// Starts a proxy in front of `port` on this machine.
    pub fn before(port: u16) -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a free port");
        let own_port = listener.local_addr().unwrap().port();
        let (weather, cut) = (watch::Sender::new(Weather::Fine), watch::Sender::new(0));
        let abandoned = watch::Sender::new(0);
        let running = CancellationToken::new();
        let (over, weather_now, cut_now) = (running.clone(), weather.subscribe(), cut.subscribe());
        let abandoned_now = abandoned.subscribe();
        runtime().spawn(running.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                let passing = pass(client, port, weather_now.clone(), cut_now.clone(), abandoned_now.clone());
                runtime().spawn(over.clone().run_until_cancelled_owned(passing));
            }
        }));
        Proxy { port: own_port, weather, cut, abandoned, _running: running.drop_guard() }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the weather for every connection, also for those that are open.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Lets nothing pass on the connections that are open now, for good, and tells neither side; new ones are fine.
    ///
    /// Each side holds a connection that the other has given up: half-open ones.
    pub fn abandon(&self) {
        self.abandoned.send_modify(|times| *times += 1);
    }

    /// Resets (RST) every connection on both sides now.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(
    client: TcpStream,
    port: u16,
    weather: watch::Receiver<Weather>,
    mut cut: watch::Receiver<u64>,
    mut abandoned: watch::Receiver<u64>,
) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    cut.mark_unchanged();
    abandoned.mark_unchanged();
    let (mut client, mut server) = (client, server);
    let is_cut = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let up = pump(client_read, server_write, weather.clone());
        let down = pump(server_read, client_write, weather);
        tokio::select! {
            _ = async { tokio::join!(up, down) } => false,
            _ = cut.changed() => true,
            // Both sockets stay open until the proxy goes.
            _ = abandoned.changed() => std::future::pending().await,
        }
    };
    if is_cut {
        for stream in [&client, &server] {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut weather: watch::Receiver<Weather>) {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let n = match from.read(&mut buffer).await {
            Ok(n) => n,
            Err(_) => return,
        };
        let Ok(now) = weather.wait_for(|weather| *weather != Weather::BlackHole).await.map(|now| *now) else { return };
        if let Weather::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        let passed = if n == 0 { to.shutdown().await } else { to.write_all(&buffer[..n]).await };
        if passed.is_err() || n == 0 {
            return;
        }
    }
}
