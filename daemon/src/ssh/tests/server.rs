//! A small SSH server in this process, and the line to it, which can be frozen, cut and made slow.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::{Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelMsg, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What the server does with a login.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Login {
    #[default]
    Accept,
    Refuse,
    /// Never answers.
    Ignore,
    /// Ends the connection.
    Cut,
}

/// The target port of a channel says what the server does with it.
pub(super) mod port {
    /// Sends back what comes, and its end.
    pub(crate) const ECHO: u16 = 1;
    /// Sends a few bytes and closes without an end.
    pub(crate) const CLOSES: u16 = 2;
    /// Closes once bytes have come, and never opens its window again.
    pub(crate) const CLOSES_LATER: u16 = 3;
    /// Sends 16 MiB and then an end.
    pub(crate) const SENDS: u16 = 4;
    /// Refuses.
    pub(crate) const REFUSES: u16 = 5;
    /// Never answers.
    pub(crate) const IGNORES: u16 = 6;
}

/// A server on a free port of 127.0.0.1; it ends with the runtime of the test.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) n_logins: Arc<AtomicUsize>,
    pub(super) line: watch::Sender<Line>,
    /// Cuts every connection.
    pub(super) cut: CancellationToken,
    handles: mpsc::UnboundedReceiver<Handle>,
}

/// How the line to the server is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    pub(super) is_frozen: bool,
    /// To the client, at most.
    pub(super) bytes_per_second: Option<usize>,
}

impl Server {
    pub(super) async fn start(key: PrivateKey, login: Login, window_bytes: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Arc::new(Config {
            keys: vec![key],
            window_size: window_bytes,
            auth_rejection_time: Duration::ZERO,
            ..Config::default()
        });
        let (line, lines) = watch::channel(Line::default());
        let (sender, handles) = mpsc::unbounded_channel();
        let server = Server { port, n_logins: Arc::default(), line, cut: CancellationToken::new(), handles };
        let (n_logins, cut) = (server.n_logins.clone(), server.cut.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let client =
                    Client { login, n_logins: n_logins.clone(), handles: sender.clone(), held: Mutex::default() };
                let (here, there) = tokio::io::duplex(64 * 1024);
                tokio::spawn(russh::server::run_stream(config.clone(), there, client));
                tokio::spawn(cut.clone().run_until_cancelled_owned(carry(stream, here, lines.clone())));
            }
        });
        server
    }

    /// The connection that logged in last.
    pub(super) async fn session(&mut self) -> Handle {
        self.handles.recv().await.unwrap()
    }
}

async fn carry(stream: TcpStream, server: tokio::io::DuplexStream, line: watch::Receiver<Line>) {
    let (from_client, to_client) = stream.into_split();
    let (from_server, to_server) = tokio::io::split(server);
    tokio::select! {
        () = copy(from_client, to_server, line.clone(), |_| None) => {}
        () = copy(from_server, to_client, line, |line| line.bytes_per_second) => {}
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut line: watch::Receiver<Line>,
    bytes_per_second: fn(&Line) -> Option<usize>,
) {
    let mut buffer = [0; 4096];
    while let Ok(n_bytes @ 1..) = from.read(&mut buffer).await {
        let Ok(now) = line.wait_for(|line| !line.is_frozen).await.map(|line| *line) else { return };
        if let Some(limit) = bytes_per_second(&now) {
            tokio::time::sleep(
                Duration::from_secs(1) * u32::try_from(n_bytes).unwrap() / u32::try_from(limit).unwrap(),
            )
            .await;
        }
        if to.write_all(&buffer[..n_bytes]).await.is_err() {
            return;
        }
    }
}

struct Client {
    login: Login,
    n_logins: Arc<AtomicUsize>,
    handles: mpsc::UnboundedSender<Handle>,
    /// Channels that are never answered.
    held: Mutex<Vec<(Channel<Msg>, ChannelOpenHandle)>>,
}

impl Handler for Client {
    type Error = Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        self.n_logins.fetch_add(1, Relaxed);
        match self.login {
            Login::Accept => Ok(Auth::Accept),
            Login::Refuse => Ok(Auth::reject()),
            Login::Ignore => std::future::pending().await,
            Login::Cut => Err(Error::Disconnect),
        }
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Error> {
        let _ = self.handles.send(session.handle());
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        match u16::try_from(port).unwrap() {
            port::IGNORES => self.held.lock().unwrap().push((channel, reply)),
            port => drop(tokio::spawn(serve(channel, port, reply))),
        }
        Ok(())
    }

    async fn tcpip_forward(&mut self, _: &str, port: &mut u32, _: &mut Session) -> Result<bool, Error> {
        if *port == 0 {
            *port = 40_000;
        }
        Ok(true)
    }

    async fn cancel_tcpip_forward(&mut self, _: &str, _: u32, _: &mut Session) -> Result<bool, Error> {
        Ok(true)
    }
}

async fn serve(mut channel: Channel<Msg>, port: u16, reply: ChannelOpenHandle) {
    if port == port::REFUSES {
        return reply.reject(russh::ChannelOpenFailure::ConnectFailed).await;
    }
    reply.accept().await;
    match port {
        port::CLOSES => {
            channel.data_bytes(&b"some"[..]).await.unwrap();
            channel.close().await.unwrap();
        }
        port::CLOSES_LATER => {
            while !matches!(channel.wait().await, Some(ChannelMsg::Data { .. }) | None) {}
            channel.close().await.unwrap();
        }
        port::SENDS => {
            for _ in 0..512 {
                if channel.data_bytes(vec![7; 32 * 1024]).await.is_err() {
                    return;
                }
            }
            let _ = channel.eof().await;
        }
        _ => {
            while let Some(message) = channel.wait().await {
                match message {
                    ChannelMsg::Data { data } => channel.data_bytes(data).await.unwrap(),
                    ChannelMsg::Eof => break,
                    _ => {}
                }
            }
            let _ = channel.eof().await;
            let _ = channel.close().await;
        }
    }
}
