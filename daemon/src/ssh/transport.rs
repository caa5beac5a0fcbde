//! Looks the server up and connects to it, over whichever address family answers first.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use alknet_proto::{Code, Reason, Stage, words};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::config::{AddressFamily, Connecting, Server};
use super::failure::{io_words, place};
use super::source::Source;

/// For the lookup and the TCP connection together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The next address is tried when the one before has not answered for so long (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);

/// Below this, one lost packet on a slow link would look like the end of it.
#[cfg(target_os = "linux")]
const MIN_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the kernel lets an idle connection be before it probes it; ours is the keepalive of SSH.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Between two attempts of ConnectionAttempts, as in OpenSSH.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Connects to the server, as often as its configuration asks for.
///
/// # Errors
/// Stage `resolve` with `name_not_resolved` or `timed_out`; stage `tcp` with `connection_refused`, `unreachable`
/// or `timed_out`.
pub(super) async fn connect(server: &Server) -> Result<(TcpStream, SocketAddr), Reason> {
    let mut n_left = server.connecting.attempts.max(1);
    loop {
        match try_to_connect(&server.host, server.port, &server.connecting, server.keepalive.silence()).await {
            Err(reason) if 1 < n_left && reason.stage == Stage::Tcp => {
                n_left -= 1;
                tracing::debug!(server = %place(&server.host, server.port), %reason, n_left, "connecting again");
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
            ended => return ended,
        }
    }
}

/// `silence` is how long data may stay unconfirmed.
async fn try_to_connect(
    host: &str,
    port: u16,
    how: &Connecting,
    silence: Option<Duration>,
) -> Result<(TcpStream, SocketAddr), Reason> {
    let timeout = how.timeout.unwrap_or(CONNECT_TIMEOUT);
    let deadline = tokio::time::Instant::now() + timeout;
    let Ok(addresses) = tokio::time::timeout_at(deadline, look_up(host, port)).await else {
        let message = format!("the name {host} was not resolved within {} s", timeout.as_secs());
        return Err(Reason::new(Stage::Resolve, Code::TimedOut, message).with_hint("see whether the network is up"));
    };
    let addresses = alternate(of_family(addresses?, how.family, host)?);
    let source = Source::of(how).await?;
    let server = place(host, port);
    match tokio::time::timeout_at(deadline, race(addresses, &source)).await {
        Ok(Ok((stream, address))) => {
            prepare(&stream, silence, how.without_tcp_keepalive);
            Ok((stream, address))
        }
        Ok(Err(error)) => Err(not_connected(&server, &error)),
        Err(_) => Err(silent(&server, &format!("within {} s", timeout.as_secs()))),
    }
}

fn of_family(mut addresses: Vec<SocketAddr>, family: AddressFamily, host: &str) -> Result<Vec<SocketAddr>, Reason> {
    let name = match family {
        AddressFamily::Any => return Ok(addresses),
        AddressFamily::V4 => "IPv4",
        AddressFamily::V6 => "IPv6",
    };
    addresses.retain(|address| address.is_ipv6() == (family == AddressFamily::V6));
    if addresses.is_empty() {
        let message = format!("{host} has no {name} address, and AddressFamily allows no other");
        return Err(Reason::new(Stage::Resolve, Code::NameNotResolved, message)
            .with_hint("see AddressFamily in the ssh configuration"));
    }
    Ok(addresses)
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, Reason> {
    let failed = |why: &str| {
        let message = format!("the name {host} cannot be resolved: {why}");
        Reason::new(Stage::Resolve, Code::NameNotResolved, message)
            .with_hint("check the name, the HostName in the ssh configuration, and whether a VPN is needed for it")
    };
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in found {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() { Err(failed("it has no address")) } else { Ok(addresses) }
        }
        Err(error) => Err(failed(&words::of_io(&error))),
    }
}

/// The family of the first address first, then both in turn.
fn alternate(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut order = VecDeque::with_capacity(one.len() + other.len());
    while !one.is_empty() || !other.is_empty() {
        order.extend(one.pop_front());
        order.extend(other.pop_front());
    }
    order
}

/// The first address that answers. A refusal does not wait for the stagger.
async fn race(mut addresses: VecDeque<SocketAddr>, source: &Source) -> io::Result<(TcpStream, SocketAddr)> {
    let mut tries = FuturesUnordered::new();
    let mut worst: Option<io::Error> = None;
    loop {
        if let Some(address) = addresses.pop_front() {
            tries.push(async move { source.connect(address).await.map(|stream| (stream, address)) });
        } else if tries.is_empty() {
            return Err(worst.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable)));
        }
        // The first arm loses nothing: a try that is not finished stays in `tries`.
        tokio::select! {
            Some(result) = tries.next() => match result {
                Ok(connected) => return Ok(connected),
                Err(error) => worst = Some(more_telling(worst, error)),
            },
            () = tokio::time::sleep(STAGGER), if !addresses.is_empty() => {}
        }
    }
}

/// A refusal says more about the server than a family that this machine does not have.
fn more_telling(before: Option<io::Error>, now: io::Error) -> io::Error {
    match before {
        Some(before) if before.kind() == io::ErrorKind::ConnectionRefused => before,
        Some(_) | None => now,
    }
}

fn prepare(stream: &TcpStream, silence: Option<Duration>, without_tcp_keepalive: bool) {
    let socket = SockRef::from(stream);
    // The system may refuse each of them, and the session works without.
    let _ = socket.set_tcp_nodelay(true);
    if !without_tcp_keepalive {
        let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE));
    }
    #[cfg(target_os = "linux")]
    if let Some(silence) = silence {
        // russh asks nothing while it waits for a full socket; this ends the wait.
        let _ = socket.set_tcp_user_timeout(Some(silence.max(MIN_USER_TIMEOUT)));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = silence;
}

pub(super) fn silent(server: &str, how_long: &str) -> Reason {
    Reason::new(Stage::Tcp, Code::TimedOut, format!("{server} did not answer {how_long}"))
        .with_hint("it is down, or a firewall or a ban drops what is sent to it")
}

pub(super) fn not_connected(server: &str, error: &io::Error) -> Reason {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionRefused => {
            Reason::new(Stage::Tcp, Code::ConnectionRefused, format!("{server} refuses connections"))
                .with_hint("see whether sshd runs there, and whether the port is right")
        }
        K::TimedOut => silent(server, "in time"),
        K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown | K::AddrNotAvailable => {
            let message = format!("there is no route to {server}: {}", io_words(error));
            Reason::new(Stage::Tcp, Code::Unreachable, message).with_hint("see whether the network or the VPN is up")
        }
        K::PermissionDenied => {
            let message = format!("this machine forbids connections to {server}");
            Reason::new(Stage::Tcp, Code::PermissionDenied, message).with_hint("see the firewall of this machine")
        }
        _ => Reason::new(Stage::Tcp, Code::ConnectionLost, format!("cannot connect to {server}: {}", io_words(error)))
            .with_hint("see whether the network is up"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn both_families_are_tried_in_turn() {
        let list = |text: &str| text.split(' ').map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();

        let order = alternate(list("[::1]:1 [::2]:1 [::3]:1 127.0.0.1:1 127.0.0.2:1"));

        assert_eq!(order, list("[::1]:1 127.0.0.1:1 [::2]:1 127.0.0.2:1 [::3]:1"));
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hide_one_that_answers() {
        let refusing = std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answering = listener.local_addr().unwrap();

        let (_, address) = race([refusing, answering].into(), &Source::default()).await.unwrap();

        assert_eq!(address, answering);
    }

    #[tokio::test]
    async fn a_closed_port_and_a_name_that_is_none_are_told_apart() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();

        let how = Connecting { timeout: Some(LIMIT), ..Connecting::default() };
        let closed = try_to_connect("127.0.0.1", port, &how, None).await.unwrap_err();
        let unknown = try_to_connect("no-such-host.invalid", 22, &how, None).await.unwrap_err();

        assert_eq!((closed.stage, closed.code), (Stage::Tcp, Code::ConnectionRefused));
        assert_eq!(closed.message, format!("127.0.0.1:{port} refuses connections"));
        assert_eq!((unknown.stage, unknown.code), (Stage::Resolve, Code::NameNotResolved), "{unknown}");
    }
}
