//! What russh tells about a session, and what the server may do on it: nothing but what it was asked for.

use std::sync::Arc;
use std::time::Duration;

use alknet_proto::Reason;
use alknet_proto::status::Algorithms;
use russh::client::{ChannelOpenHandle, DisconnectReason, Msg, Session as Russh};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, ChannelOpenFailure, Names};

use super::host_key::Judge;
use super::remote::{Arrival, Place};
use super::session::{Learned, Session};
use super::{algorithms, failure};

/// Gets russh's callbacks. They run inside the session's only task, so none of them waits for anything.
pub(super) struct Handler {
    session: Arc<Session>,
    judge: Judge,
    /// How long the server may stay silent, for the message.
    silence: Option<Duration>,
}

/// What a callback ends the session with.
#[derive(Debug)]
pub(super) enum HandlerError {
    Russh(russh::Error),
    /// Our own check said no.
    Refused(Box<Reason>),
}

impl From<russh::Error> for HandlerError {
    fn from(error: russh::Error) -> Self {
        HandlerError::Russh(error)
    }
}

impl Handler {
    pub(super) fn new(session: Arc<Session>, judge: Judge, silence: Option<Duration>) -> Self {
        Handler { session, judge, silence }
    }
}

impl Drop for Handler {
    /// russh drops the handler however the session ends, even where it calls back nobody.
    fn drop(&mut self) {
        self.session.over.cancel();
    }
}

impl russh::client::Handler for Handler {
    type Error = HandlerError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, HandlerError> {
        match self.judge.decide(shown) {
            Ok(()) => Ok(true),
            Err(reason) => Err(HandlerError::Refused(Box::new(reason))),
        }
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, names: &Names, russh: &mut Russh) -> Result<(), HandlerError> {
        let cipher: &str = names.cipher.as_ref();
        let mac: &str = names.client_mac.as_ref();
        let brings_its_own = cipher.contains("-gcm@") || cipher.contains("poly1305");
        let kex: &str = names.kex.as_ref();
        let id = String::from_utf8_lossy(russh.remote_sshid());
        self.session.load.wear.new_key();
        self.session.learn(Learned {
            server_version: alknet_proto::fault::one_line(id.strip_prefix("SSH-2.0-").unwrap_or(&id)),
            algorithms: Algorithms {
                kex: kex.to_owned(),
                host_key: names.key.to_string(),
                cipher: cipher.to_owned(),
                mac: if brings_its_own { String::new() } else { mac.to_owned() },
                weak: algorithms::weaknesses(kex, if brings_its_own { "" } else { mac }),
            },
        });
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Russh) -> Result<(), HandlerError> {
        self.session.note_banner(banner);
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _: u32,
        _: u32,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        self.session.closing(id);
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        _: ChannelOpenFailure,
        description: &str,
        _: &str,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        self.session.openings.describe(&alknet_proto::fault::one_line(description));
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Russh) -> Result<(), HandlerError> {
        self.session.channel_closed(id);
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        originator: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        let Ok(port) = u16::try_from(port) else { return Ok(()) };
        let originator = (originator.to_owned(), u16::try_from(originator_port).unwrap_or(0));
        self.session.remotes.arrived(Place::Tcp(address.to_owned(), port), Arrival { channel, originator, reply });
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        let originator = (String::new(), 0);
        self.session.remotes.arrived(Place::Unix(socket_path.to_owned()), Arrival { channel, originator, reply });
        Ok(())
    }

    // russh accepts all of the following unless told otherwise. Dropping `reply` refuses.

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        unasked("agent")
    }

    async fn should_accept_unknown_server_channel(&mut self, _: ChannelId, _: &str) -> bool {
        false
    }

    async fn server_channel_open_unknown(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        unasked("unknown")
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        unasked("session")
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        unasked("direct-tcpip")
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        unasked("direct-streamlocal")
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        unasked("x11")
    }

    /// The default writes the server's keys into the log; nothing is done with them here.
    async fn openssh_ext_host_keys_announced(
        &mut self,
        _: Vec<russh::keys::PublicKey>,
        _: &mut Russh,
    ) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<HandlerError>) -> Result<(), HandlerError> {
        let end = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                failure::disconnected_by_server(&info.reason_code, &info.message)
            }
            DisconnectReason::Error(HandlerError::Russh(error)) => failure::session_ended(&error, self.silence),
            DisconnectReason::Error(HandlerError::Refused(reason)) => *reason,
        };
        self.session.end_because(end);
        Ok(())
    }
}

fn unasked(kind: &'static str) -> Result<(), HandlerError> {
    tracing::warn!(kind, "the server opened a channel that nobody asked for; it was refused");
    Ok(())
}
