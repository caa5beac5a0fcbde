//! From a server's description to a session that is logged in, over every host on the way.

use std::sync::Arc;

use alknet_proto::{Code, Reason, Stage};
use russh::client::Handle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::config::{Server, Way};
use super::door::Door;
use super::failure::place;
use super::handler::Handler;
use super::handshake::shake_hands;
use super::hop::Hop;
use super::host_key::{Judge, Question};
use super::prompt::Prompt;
use super::proxy_command::Program;
use super::session::Session;
use super::{auth, notices, transport};

/// A byte stream that carries a session.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A session that is logged in.
pub(super) struct Reached {
    pub(super) handle: Handle<Handler>,
    /// What it is connected to: an address, or a name where another host or a program connected.
    pub(super) address: String,
    pub(super) carrier: Carrier,
}

/// What carries a session; it ends when this is dropped.
pub(super) enum Carrier {
    /// A connection from here.
    Connection,
    /// A channel of another session.
    Jump(Box<Hop>),
    /// A program.
    Command(Program),
}

impl Carrier {
    /// Waits until what carries the session is over by itself.
    pub(super) async fn ended(&self) {
        match self {
            Carrier::Connection => std::future::pending().await,
            Carrier::Jump(hop) => hop.ended().await,
            Carrier::Command(program) => program.ended().await,
        }
    }

    /// Why the session is over: its own reason, or that of what carried it, where that was the cause.
    pub(super) async fn cause(&self, own: Reason) -> Reason {
        let is_an_end = matches!(
            own.code,
            Code::ConnectionLost | Code::KeepaliveLost | Code::ServerBusy | Code::ProtocolError | Code::TimedOut
        );
        if !is_an_end {
            return own;
        }
        match self {
            Carrier::Connection => own,
            Carrier::Jump(hop) => hop.why_it_ended().await.unwrap_or(own),
            Carrier::Command(program) => program.why_it_ended().await.unwrap_or(own),
        }
    }
}

/// Connects and logs in. `accept_new`: a rule trusts the first key of this server, whatever the configuration says.
/// `cut` ends the session whatever it does.
///
/// # Errors
/// The reason of the step that failed; stage `proxy` with the code of a host on the way that failed.
pub(super) async fn reach(
    server: &Server,
    accept_new: bool,
    session: &Arc<Session>,
    door: &Door,
    cut: &CancellationToken,
) -> Result<Reached, Reason> {
    notices::say(&server.name, &server.notices);
    session.keep_alive(server.keepalive);
    session.permit(server.opens.clone());
    let question = Question::of(server, accept_new);
    let judge = unblocked(move || Judge::read(question)).await?;
    let (stream, address, carrier) = carry(server, session, door, cut).await?;
    match log_in(stream, server, judge, session, cut).await {
        Ok(handle) => Ok(Reached { handle, address, carrier }),
        Err(reason) => Err(carrier.cause(reason).await),
    }
}

/// A stream to the port of a server, and what carries it.
async fn carry(
    server: &Server,
    session: &Session,
    door: &Door,
    cut: &CancellationToken,
) -> Result<(Box<dyn Stream>, String, Carrier), Reason> {
    match &server.way {
        Way::Direct => {
            door.knock(&server.host, server.port).await;
            let (stream, address) = transport::connect(server).await?;
            let how = &server.connecting;
            if how.bind_address.is_none() && how.bind_interface.is_none() {
                // One that was chosen is kept, whatever the system would choose.
                session.connected(&stream, address);
            }
            Ok((Box::new(Prompt::new(stream)), address.to_string(), Carrier::Connection))
        }
        Way::Jump(next) => {
            let hop = Hop::reach(next, door, cut).await?;
            session.carried_by(hop.session());
            door.knock(&server.host, server.port).await;
            let stream = hop.open(&server.host, server.port).await?;
            Ok((Box::new(stream), place(&server.host, server.port), Carrier::Jump(Box::new(hop))))
        }
        Way::Command(command) => {
            door.knock(&server.host, server.port).await;
            let (stream, program) = Program::start(command)?;
            Ok((Box::new(stream), place(&server.host, server.port), Carrier::Command(program)))
        }
    }
}

async fn log_in(
    stream: Box<dyn Stream>,
    server: &Server,
    judge: Judge,
    session: &Arc<Session>,
    cut: &CancellationToken,
) -> Result<Handle<Handler>, Reason> {
    let name = place(&server.host, server.port);
    let mut handle = shake_hands(stream, &name, judge.clone(), session, cut.clone(), &server.offered).await?;
    if let Some(key) = judge.first_key() {
        unblocked(move || judge.store(&key)).await?;
    }
    auth::log_in(&mut handle, server, session).await?;
    Ok(handle)
}

/// Reads files where it holds up nobody.
pub(super) async fn unblocked<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Reason> + Send + 'static,
) -> Result<T, Reason> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|panic| {
        Err(Reason::new(Stage::LocalIo, Code::Internal, format!("reading files ended by a defect: {panic}")))
    })
}
