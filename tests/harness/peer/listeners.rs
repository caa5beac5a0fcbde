//! The listeners that a client of the pretended server has asked for.

use std::collections::HashMap;

use russh::server::Handle;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::relay::relay;
use crate::runtime::runtime;

/// Listeners by what the client calls them: `address:port` or a path. They end with the connection.
pub(super) struct Listeners {
    open: HashMap<String, JoinHandle<()>>,
    over: CancellationToken,
}

impl Listeners {
    pub(super) fn new(over: CancellationToken) -> Self {
        Listeners { open: HashMap::new(), over }
    }

    /// Listens; `None` when the port cannot be had. As OpenSSH without GatewayPorts: on the loopback address only.
    pub(super) async fn listen_tcp(&mut self, address: &str, port: u32, client: Handle) -> Option<u16> {
        let ip = if address == "::1" { "::1" } else { "127.0.0.1" };
        let listener = TcpListener::bind((ip, u16::try_from(port).ok()?)).await.ok()?;
        let bound = listener.local_addr().ok()?.port();
        let (over, name) = (self.over.clone(), address.to_owned());
        let accepting = async move {
            while let Ok((stream, from)) = listener.accept().await {
                let (client, name, over) = (client.clone(), name.clone(), over.clone());
                // Ends with its connection or with the session.
                runtime().spawn(async move {
                    let (ip, port) = (from.ip().to_string(), from.port());
                    let opening = client.channel_open_forwarded_tcpip(name, bound.into(), ip, port.into());
                    if let Some(Ok(channel)) = over.run_until_cancelled(opening).await {
                        relay(channel, stream, over).await;
                    }
                });
            }
        };
        self.keep(format!("{address}:{bound}"), accepting);
        Some(bound)
    }

    /// Listens at a Unix socket; false when it cannot be had.
    pub(super) fn listen_unix(&mut self, path: &str, client: Handle) -> bool {
        let Ok(listener) = UnixListener::bind(path) else { return false };
        let (over, name) = (self.over.clone(), path.to_owned());
        let accepting = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (client, name, over) = (client.clone(), name.clone(), over.clone());
                // Ends with its connection or with the session.
                runtime().spawn(async move {
                    let opening = client.channel_open_forwarded_streamlocal(name);
                    if let Some(Ok(channel)) = over.run_until_cancelled(opening).await {
                        relay(channel, stream, over).await;
                    }
                });
            }
        };
        self.keep(path.to_owned(), accepting);
        true
    }

    /// Stops listening; the port is free afterwards.
    pub(super) async fn cancel(&mut self, name: &str) -> bool {
        let Some(listener) = self.open.remove(name) else { return false };
        listener.abort();
        let _ = listener.await;
        let _ = std::fs::remove_file(name);
        true
    }

    fn keep(&mut self, name: String, accepting: impl Future<Output = ()> + Send + 'static) {
        let over = self.over.clone();
        let listener = runtime().spawn(async move {
            over.run_until_cancelled(accepting).await;
        });
        self.open.insert(name, listener);
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for (name, listener) in self.open.drain() {
            listener.abort();
            if name.starts_with('/') {
                let _ = std::fs::remove_file(name);
            }
        }
    }
}
