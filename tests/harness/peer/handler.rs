//! What the pretended server answers to one client.

use std::io;
use std::sync::Arc;

use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelOpenFailure, Error};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::listeners::Listeners;
use super::relay::{Socket, relay};
use crate::runtime::runtime;

/// One connected client.
pub(super) struct Client {
    shared: Arc<Shared>,
    listeners: Listeners,
    /// Is cancelled with the connection; relays and listeners end by it.
    over: CancellationToken,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, over: CancellationToken) -> Self {
        Client { shared, listeners: Listeners::new(over.clone()), over }
    }

    fn is_authorized(&self, key: &PublicKey) -> bool {
        let is_known =
            PublicKey::from(key.key_data().clone()).to_openssh().is_ok_and(|key| key == self.shared.authorized);
        is_known && !self.shared.faults.lock().unwrap().refuse_login
    }

    /// Counts a channel; says why it is refused, or `None` when nobody shall ever answer.
    fn answer_to(&self, target: String, port: u32) -> Answer {
        let mut counts = self.shared.counts.lock().unwrap();
        counts.channels += 1;
        counts.targets.push(target);
        let faults = self.shared.faults.lock().unwrap();
        match faults.refuse_channels.clone() {
            Some(reason) => Answer::Refuse(reason),
            None if faults.dead_ports.contains(&port) => Answer::Nothing,
            None => Answer::Connect,
        }
    }
}

enum Answer {
    Connect,
    Refuse(ChannelOpenFailure),
    Nothing,
}

/// Answers a channel and carries its bytes until both sides are done, or `over`.
async fn carry<S: Socket>(
    answer: Answer,
    connect: impl Future<Output = io::Result<S>>,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
    over: CancellationToken,
) {
    let connected = match answer {
        Answer::Refuse(reason) => return reply.reject(reason).await,
        Answer::Nothing => over.run_until_cancelled(std::future::pending()).await,
        Answer::Connect => over.run_until_cancelled(connect).await,
    };
    match connected {
        Some(Ok(stream)) => {
            reply.accept().await;
            relay(channel, stream, over).await;
        }
        Some(Err(_)) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        None => {}
    }
}

impl Handler for Client {
    type Error = Error;

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        let is_authorized = self.is_authorized(key.public_key);
        let mut counts = self.shared.counts.lock().unwrap();
        if is_authorized {
            counts.logins += 1;
            Ok(Auth::Accept)
        } else {
            counts.refused_logins += 1;
            Ok(Auth::reject())
        }
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        let answer = self.answer_to(format!("{host}:{port}"), port);
        let (host, over) = (host.to_owned(), self.over.clone());
        let connect = async move { TcpStream::connect((host.as_str(), u16::try_from(port).unwrap_or(0))).await };
        // Ends with its connection or with the session; a panic in it ends that connection only.
        runtime().spawn(carry(answer, connect, channel, reply, over));
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        let answer = self.answer_to(path.to_owned(), 0);
        let (path, over) = (path.to_owned(), self.over.clone());
        // As above.
        runtime().spawn(carry(answer, async { UnixStream::connect(path).await }, channel, reply, over));
        Ok(())
    }

    async fn tcpip_forward(&mut self, address: &str, port: &mut u32, session: &mut Session) -> Result<bool, Error> {
        self.shared.counts.lock().unwrap().forwards += 1;
        let faults = self.shared.faults.lock().unwrap().clone();
        if faults.ignore_forwards {
            // The session loop waits here, so a server that does not answer this answers nothing else either.
            self.over.cancelled().await;
        }
        if faults.refuse_forwards {
            return Ok(false);
        }
        let Some(bound) = self.listeners.listen_tcp(address, *port, session.handle()).await else { return Ok(false) };
        *port = bound.into();
        Ok(true)
    }

    async fn cancel_tcpip_forward(&mut self, address: &str, port: u32, _session: &mut Session) -> Result<bool, Error> {
        self.shared.counts.lock().unwrap().cancelled_forwards += 1;
        Ok(self.listeners.cancel(&format!("{address}:{port}")).await)
    }

    async fn streamlocal_forward(&mut self, path: &str, session: &mut Session) -> Result<bool, Error> {
        self.shared.counts.lock().unwrap().forwards += 1;
        if self.shared.faults.lock().unwrap().refuse_forwards {
            return Ok(false);
        }
        Ok(self.listeners.listen_unix(path, session.handle()))
    }

    async fn cancel_streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool, Error> {
        self.shared.counts.lock().unwrap().cancelled_forwards += 1;
        Ok(self.listeners.cancel(path).await)
    }
}
