//! The banner and the key exchange: from a byte stream to a server that is who it should be.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use alknet_proto::{Code, Reason, Stage};
use russh::client::{Config, Handle};
use russh::{Error, Limits, Preferred, SshId, cipher, compression, kex, mac};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::config::Offered;
use super::failure;
use super::greeted::Greeted;
use super::handler::{Handler, HandlerError};
use super::host_key::Judge;
use super::session::Session;
use super::wire::{Greeting, Wire};

/// For the banner and the key exchange together.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// Who we are, as the first line says it.
const CLIENT_LINE: &str = concat!("SSH-2.0-alknet_", env!("CARGO_PKG_VERSION"), "\r\n");

/// What russh keeps for a channel before it stops reading the whole session, if all packets are full.
const CHANNEL_BYTES: u32 = 2 << 20;

/// russh ends a session of several busy channels when it starts a key exchange itself, so the server does it.
/// More than any session carries or lasts.
const NEVER: Limits = Limits {
    rekey_write_limit: usize::MAX,
    rekey_read_limit: usize::MAX,
    rekey_time_limit: Duration::from_secs(100 * 365 * 24 * 3600),
};

/// What both sides say besides, where a key exchange is named.
const EXTENSIONS: [kex::Name; 2] = [kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

/// Speaks SSH on `stream` until the server has proved who it is. `cut` ends the session whatever it does.
///
/// # Errors
/// Stage `handshake` with `timed_out`, `server_busy`, `not_ssh`, `no_common_algorithm`, `protocol_error` or
/// `connection_lost`; stage `host_key` when the judge says no. Nothing of a login was sent then.
pub(super) async fn shake_hands<S>(
    stream: S,
    server: &str,
    judge: Judge,
    session: &Arc<Session>,
    cut: CancellationToken,
    offered: &Offered,
) -> Result<Handle<Handler>, Reason>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let keepalive = session.keepalive();
    let (wire, greeting) = Wire::new(stream, session.clone(), cut);
    let shaking = async {
        let (stream, round_trip) = Greeted::send(CLIENT_LINE, wire).await.map_err(Error::IO)?;
        let config = Arc::new(config(&judge, offered, &Sizes::over(round_trip)));
        let handler = Handler::new(session.clone(), judge, keepalive.silence());
        russh::client::connect_stream(config, stream, handler).await
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, shaking).await {
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(HandlerError::Refused(reason))) => Err(*reason),
        Ok(Err(HandlerError::Russh(error))) => Err(why(server, &error, &greeting, session)),
        Err(_) => Err(timed_out(server, &greeting)),
    }
}

/// How much comes at once.
struct Sizes {
    /// What the server may send of a channel before it has to wait for us.
    window_bytes: u32,
    packet_bytes: u32,
}

impl Sizes {
    const NEAR: Sizes = Sizes { window_bytes: 2 << 20, packet_bytes: 32 << 10 };
    const MAX_WINDOW_BYTES: u32 = 32 << 20;
    /// More than 64 KiB is a mistake to russh. OpenSSH moves its whole buffer, which is as large as the window, for
    /// each of the first packets: the larger they are, the fewer.
    const FAR_PACKET_BYTES: u32 = (64 << 10) - 1;
    /// russh gives back half a window at a time, so half of it bounds what comes in a round trip: 240 MiB/s at 50 ms.
    const WINDOW_BYTES_PER_MS: u128 = (600 << 20) / 1000;
    /// What a server takes until it answers, on a day when it has much to do.
    const THINKING: Duration = Duration::from_millis(10);

    /// A large window makes long ways fast and short ones slow: OpenSSH fills it where it can, and moves it about.
    /// Nothing here grows with it: what nobody takes is bounded by the queues behind it.
    fn over(round_trip: Duration) -> Sizes {
        let on_the_way = round_trip.saturating_sub(Sizes::THINKING);
        let needed = u32::try_from(on_the_way.as_millis() * Sizes::WINDOW_BYTES_PER_MS).unwrap_or(u32::MAX);
        if needed <= Sizes::NEAR.window_bytes {
            return Sizes::NEAR;
        }
        Sizes { window_bytes: needed.min(Sizes::MAX_WINDOW_BYTES), packet_bytes: Sizes::FAR_PACKET_BYTES }
    }

    fn channel_messages(&self) -> usize {
        (CHANNEL_BYTES / self.packet_bytes) as usize
    }
}

fn config(judge: &Judge, offered: &Offered, sizes: &Sizes) -> Config {
    // Every name that can be offered is one that the library knows; a test of the list holds it to that.
    let kexes = offered.kexes.iter().filter_map(|name| kex::Name::try_from(*name).ok()).chain(EXTENSIONS);
    let ciphers = offered.ciphers.iter().filter_map(|name| cipher::Name::try_from(*name).ok());
    let macs = offered.macs.iter().filter_map(|name| mac::Name::try_from(*name).ok());
    Config {
        client_id: SshId::Raw(Cow::Borrowed(CLIENT_LINE)),
        limits: NEVER,
        window_size: sizes.window_bytes,
        maximum_packet_size: sizes.packet_bytes,
        channel_buffer_size: sizes.channel_messages(),
        preferred: Preferred {
            kex: kexes.collect(),
            key: Cow::Owned(judge.preferred_kinds()),
            host_key_certificates: Cow::Owned(judge.certificate_kinds()),
            cipher: ciphers.collect(),
            mac: macs.collect(),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        // The attempt asks by itself: russh's own keepalive stands still with its loop, and then ends a session whose
        // program was slow.
        inactivity_timeout: None,
        keepalive_interval: None,
        ..Config::default()
    }
}

pub(super) fn timed_out(server: &str, greeting: &Greeting) -> Reason {
    let seconds = HANDSHAKE_TIMEOUT.as_secs();
    let message = if greeting.text().contains("SSH-") {
        format!("{server} did not finish the key exchange within {seconds} s")
    } else {
        format!("{server} takes connections but did not speak SSH within {seconds} s")
    };
    Reason::new(Stage::Handshake, Code::TimedOut, message)
        .with_hint("the server is overloaded or hangs, or something else listens on this port")
}

pub(super) fn why(server: &str, error: &Error, greeting: &Greeting, session: &Session) -> Reason {
    let said = greeting.text();
    let first_line = said.lines().next().unwrap_or("").trim();
    if failure::is_busy(&said) {
        return failure::server_busy(&format!("{server} takes no more connections now: `{first_line}`"));
    }
    let is_ssh = said.lines().any(|line| line.starts_with("SSH-2.0-") || line.starts_with("SSH-1.99-"));
    let is_cut = matches!(error, Error::Disconnect | Error::HUP | Error::IO(_) | Error::SendError | Error::RecvError);
    if said.is_empty() && is_cut {
        let message = format!("{server} closed the connection before it said anything");
        return Reason::new(Stage::Handshake, Code::ConnectionLost, message)
            .with_hint("the server is starting or overrun, or it has banned this address for a while");
    }
    if !is_ssh {
        let message = format!("{server} does not speak SSH: it says `{}`", short(first_line));
        return Reason::new(Stage::Handshake, Code::NotSsh, message).with_hint("check the port");
    }
    // What the server said in parting tells more than the end itself.
    if let Some(mut end) = session.end() {
        end.stage = Stage::Handshake;
        return end;
    }
    match error {
        Error::NoCommonAlgo { kind, ours, theirs } => {
            let message = format!(
                "{server} and this program have no {} in common; here: {}; there: {}",
                kind_name(kind),
                ours.join(","),
                theirs.join(",")
            );
            Reason::new(Stage::Handshake, Code::NoCommonAlgorithm, message)
                .with_hint("the server offers nothing that is still safe: it has to be updated")
        }
        Error::WrongServerSig => Reason::new(
            Stage::HostKey,
            Code::HostKeyRefused,
            format!("{server} could not prove that it owns its host key"),
        )
        .with_hint("something between here and the server may be altering the connection; then: alknetctl retry"),
        Error::IO(io) => {
            let message = format!("the connection to {server} broke in the key exchange: {}", failure::io_words(io));
            Reason::new(Stage::Handshake, Code::ConnectionLost, message).with_hint(CUT)
        }
        Error::Disconnect | Error::HUP | Error::SendError | Error::RecvError | Error::InactivityTimeout => {
            let message = format!("{server} closed the connection in the key exchange");
            Reason::new(Stage::Handshake, Code::ConnectionLost, message).with_hint(CUT)
        }
        Error::Join(_) => Reason::new(
            Stage::Handshake,
            Code::Internal,
            format!("the key exchange with {server} ended by a defect in the SSH library"),
        )
        .with_hint("the log of alknetd says more for a report"),
        other => {
            let message =
                format!("{server} broke the SSH protocol: {}", failure::lower_first(&short(&other.to_string())));
            Reason::new(Stage::Handshake, Code::ProtocolError, message).with_hint(failure::DAMAGE)
        }
    }
}

/// What to do about a handshake that ended in its middle.
const CUT: &str = "the network or the server broke it; what sshd logs there says more";

fn kind_name(kind: &russh::AlgorithmKind) -> &'static str {
    match kind {
        russh::AlgorithmKind::Kex => "key exchange",
        russh::AlgorithmKind::Key => "kind of host key",
        russh::AlgorithmKind::Cipher => "cipher",
        russh::AlgorithmKind::Compression => "compression",
        russh::AlgorithmKind::Mac => "MAC",
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::config::offered_by_default;

    #[test]
    fn every_name_that_is_offered_is_one_that_the_library_knows() {
        let offered = offered_by_default();

        assert!(offered.kexes.iter().all(|name| kex::Name::try_from(*name).is_ok()), "{offered:?}");
        assert!(offered.ciphers.iter().all(|name| cipher::Name::try_from(*name).is_ok()), "{offered:?}");
        assert!(offered.macs.iter().all(|name| mac::Name::try_from(*name).is_ok()), "{offered:?}");
        let all = [offered.kexes, offered.ciphers, offered.macs].concat();
        assert!(!all.iter().any(|name| name.contains("sha1") || name.contains("cbc")), "{all:?}");
    }

    #[test]
    fn windows_are_as_large_as_the_way_is_long() {
        let over = |millis| Sizes::over(Duration::from_millis(millis)).window_bytes;

        assert_eq!(over(0), 2 << 20);
        assert_eq!(over(8), 2 << 20, "a server that takes its time is not far away");
        assert!((20 << 20..25 << 20).contains(&over(50)), "{}", over(50));
        assert_eq!(over(10_000), 32 << 20);
    }

    #[test]
    fn what_waits_in_a_channel_is_bounded_whatever_the_window() {
        for millis in [0, 20, 500] {
            let sizes = Sizes::over(Duration::from_millis(millis));
            assert!(sizes.channel_messages() * sizes.packet_bytes as usize <= CHANNEL_BYTES as usize);
        }
    }
}
