//! A session with a host on the way: it is checked and logged in to like any other, and carries the next one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use alknet_proto::{Code, Reason, Stage, Target};
use russh::ChannelStream;
use russh::client::{Handle, Msg};
use tokio_util::sync::CancellationToken;

use super::config::Server;
use super::door::Door;
use super::failure::{place, target_refused, target_timed_out};
use super::handler::Handler;
use super::link::OPEN_TIMEOUT;
use super::reach::{Carrier, Reached, reach};
use super::session::Session;

/// How long after the session that it carries a host on the way may take to say that it is over too.
const GRACE: Duration = Duration::from_millis(500);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A host on the way. Dropping it ends its session and whatever it carries.
pub(super) struct Hop {
    /// `me@bastion:22`
    name: String,
    session: Arc<Session>,
    handle: Handle<Handler>,
    carrier: Carrier,
    cut: CancellationToken,
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

impl Hop {
    /// Connects to the host and logs in, over the hosts before it. `cut` ends it too. Boxed, because the hosts
    /// before it are reached in the same way.
    ///
    /// # Errors
    /// Stage `proxy`, with the code of what failed and the name of the host where it did.
    pub(super) fn reach<'a>(
        server: &'a Server,
        door: &'a Door,
        cut: &'a CancellationToken,
    ) -> Boxed<'a, Result<Hop, Reason>> {
        Box::pin(async {
            let name = format!("{}@{}", server.user, place(&server.host, server.port));
            let session = Arc::new(Session::default());
            let cut = cut.child_token();
            match reach(server, false, &session, door, &cut).await {
                Ok(Reached { handle, carrier, .. }) => Ok(Hop { name, session, handle, carrier, cut }),
                Err(reason) => {
                    cut.cancel();
                    Err(on_the_way(&name, reason))
                }
            }
        })
    }

    /// Opens a stream to the next host, as this one sees it.
    ///
    /// # Errors
    /// Stage `proxy`, as above.
    pub(super) async fn open(&self, host: &str, port: u16) -> Result<ChannelStream<Msg>, Reason> {
        let target = Target::Tcp(host.to_owned(), port);
        let opening = self.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
        let reason = match tokio::time::timeout(OPEN_TIMEOUT, opening).await {
            Ok(Ok(channel)) => return Ok(channel.into_stream()),
            Ok(Err(russh::Error::ChannelOpenFailure(why))) => target_refused(&target, &why, ""),
            Ok(Err(_)) => match self.why_it_ended().await {
                Some(reason) => return Err(reason),
                None => Reason::new(Stage::Tcp, Code::ConnectionLost, "the session is over"),
            },
            Err(_) => target_timed_out(&target),
        };
        Err(on_the_way(&self.name, reason))
    }

    /// Its session.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Waits until its session is over.
    pub(super) async fn ended(&self) {
        self.session.over.cancelled().await;
    }

    /// Why its session is over, or nothing where it is not. Boxed, because what carries it may be such a host too.
    pub(super) fn why_it_ended(&self) -> Boxed<'_, Option<Reason>> {
        Box::pin(async {
            tokio::time::timeout(GRACE, self.ended()).await.ok()?;
            let lost = || Reason::new(Stage::Tcp, Code::ConnectionLost, "the connection was lost");
            let own = self.session.end().unwrap_or_else(lost);
            Some(on_the_way(&self.name, self.carrier.cause(own).await))
        })
    }
}

/// Names the host on the way; one that is named already was nearer to the failure.
fn on_the_way(name: &str, mut reason: Reason) -> Reason {
    if reason.stage == Stage::Proxy {
        return reason;
    }
    let hint = match reason.code {
        Code::HostKeyUnknown => Some(format!("connect to the jump host {name} once with ssh, to know its key")),
        _ => reason.hint.take(),
    };
    let named = Reason::new(Stage::Proxy, reason.code, format!("jump host {name}: {}", reason.message));
    match hint {
        Some(hint) => named.with_hint(hint),
        None => named,
    }
}
