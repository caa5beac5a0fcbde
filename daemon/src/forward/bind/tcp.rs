//! Listens at a TCP port, on every address that a bind address stands for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use alknet_proto::{BindAddress, Code, Reason, Stage, words};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::{BACKLOG, Bound, Listening};

/// How often a free port is looked for that is free on every address.
const FREE_PORT_TRIES: usize = 16;
/// Looking up a bind address that is a name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

const V4_LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6_LOOPBACK: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const V4_ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const V6_ANY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

pub(super) async fn bind(address: &BindAddress, port: u16, earlier_port: Option<u16>) -> Result<Bound, Reason> {
    let addresses = addresses(address).await?;
    let as_before = match earlier_port {
        Some(earlier_port) if port == 0 => listen(&addresses, earlier_port).ok(),
        Some(_) | None => None,
    };
    let listened = match as_before {
        Some(sockets) => Ok(sockets),
        None if port == 0 => listen_anywhere(&addresses),
        None => listen(&addresses, port),
    };
    match listened {
        Ok(sockets) => sockets.into_bound(address),
        Err(refused) => Err(refused.reason().await),
    }
}

/// What a bind address stands for, with port 0. Only a name other than `localhost` is looked up, and an address with
/// a zone, such as `fe80::1%eth0`: the number of the zone belongs to the address.
async fn addresses(address: &BindAddress) -> Result<Vec<SocketAddr>, Reason> {
    let name = address.as_str();
    let plain = |ips: &[IpAddr]| Ok(ips.iter().map(|ip| SocketAddr::new(*ip, 0)).collect());
    match name {
        "localhost" => return plain(&[V4_LOOPBACK, V6_LOOPBACK]),
        alknet_proto::forwarding::WILDCARD => return plain(&[V4_ANY, V6_ANY]),
        _ => {}
    }
    if let Ok(ip) = name.parse() {
        return plain(&[ip]);
    }
    let refuse = |code, why: &str| {
        let message = format!("the bind address {name} cannot be looked up: {why}");
        Err(Reason::new(Stage::Bind, code, message).with_hint("use an address of this machine, localhost or *"))
    };
    let looked_up = tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((name, 0))).await;
    let mut addresses: Vec<SocketAddr> = match looked_up {
        Err(_) => return refuse(Code::TimedOut, "there was no answer within 10 s"),
        Ok(Err(error)) => return refuse(Code::NameNotResolved, &words::of_io(&error)),
        Ok(Ok(found)) => found.collect(),
    };
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() { refuse(Code::NameNotResolved, "it has no address") } else { Ok(addresses) }
}

/// `127.0.0.1`, or `fe80::1%2` with the number of its zone.
fn shown(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        SocketAddr::V6(_) | SocketAddr::V4(_) => address.ip().to_string(),
    }
}

/// Sockets that listen, and the addresses that are not on this machine.
struct Sockets {
    listening: Vec<(SocketAddr, Socket)>,
    missing: Vec<(SocketAddr, io::Error)>,
    port: u16,
}

/// Which address could not be listened at, and why.
struct Refused {
    address: SocketAddr,
    error: io::Error,
}

/// The same free port on every address.
fn listen_anywhere(addresses: &[SocketAddr]) -> Result<Sockets, Refused> {
    let mut n_tries = 1;
    loop {
        match listen(addresses, 0) {
            // The port that is free on one address was taken on another one.
            Err(refused) if is_taken(&refused.error) && n_tries < FREE_PORT_TRIES => n_tries += 1,
            listened => return listened,
        }
    }
}

/// All addresses or none, except those that this machine does not have while it has another one.
fn listen(addresses: &[SocketAddr], port: u16) -> Result<Sockets, Refused> {
    let mut sockets = Sockets { listening: Vec::new(), missing: Vec::new(), port };
    for mut address in addresses.iter().copied() {
        address.set_port(sockets.port);
        let listened = listen_at(address).and_then(|socket| {
            let bound = socket.local_addr()?.as_socket();
            Ok((socket, bound.map_or(address.port(), |bound| bound.port())))
        });
        match listened {
            Ok((socket, port)) => {
                sockets.port = port;
                sockets.listening.push((address, socket));
            }
            Err(error) if is_missing(&error) => sockets.missing.push((address, error)),
            Err(error) => return Err(Refused { address, error }),
        }
    }
    match (sockets.listening.is_empty(), sockets.missing.pop()) {
        (true, Some((address, error))) => Err(Refused { address, error }),
        (_, missing) => {
            sockets.missing.extend(missing);
            Ok(sockets)
        }
    }
}

fn listen_at(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without it the port would stay taken for a minute after its connections ended. On Windows the same option would
    // let us take over the port of another program. SO_EXCLUSIVEADDRUSE, which keeps such programs off our port, is
    // not in socket2; without it, Windows still refuses the port to programs of other users.
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// Whether this machine has no such address, or not even its family.
fn is_missing(error: &io::Error) -> bool {
    #[cfg(unix)]
    const NO_SUCH_FAMILY: i32 = nix::errno::Errno::EAFNOSUPPORT as i32;
    #[cfg(not(unix))]
    const NO_SUCH_FAMILY: i32 = 10047;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_SUCH_FAMILY)
}

impl Sockets {
    fn into_bound(self, address: &BindAddress) -> Result<Bound, Reason> {
        let port = self.port;
        let mut notices = Vec::new();
        for (missing, error) in &self.missing {
            let (missing, why) = (shown(missing), words::of_io(error));
            notices.push(format!("{} listens without {missing}: {why}", address.as_str()));
        }
        let is_wide = |address: &SocketAddr| !address.ip().is_loopback();
        let wide: Vec<String> =
            self.listening.iter().map(|(address, _)| address).filter(|a| is_wide(a)).map(shown).collect();
        if !wide.is_empty() {
            notices.push(format!("port {port} on {} is open to other machines", wide.join(" and ")));
        }
        let mut sockets = Vec::new();
        for (address, socket) in self.listening {
            let listener =
                TcpListener::from_std(socket.into()).map_err(|error| other_reason(&Refused { address, error }))?;
            sockets.push(Listening::Tcp(listener));
        }
        Ok(Bound { sockets, port: Some(port), notices })
    }
}

impl Refused {
    async fn reason(self) -> Reason {
        let Refused { address, error } = &self;
        let (ip, port) = (shown(address), address.port());
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                let owner = owner(port).await;
                let message = format!("port {port} on {ip} is already used by {owner}");
                Reason::new(Stage::Bind, Code::AddressInUse, message)
                    .with_hint("choose another port, or stop the program that listens there")
            }
            io::ErrorKind::PermissionDenied if port < FIRST_UNPRIVILEGED_PORT => {
                let message = format!("port {port} on {ip} is below 1024, which the system refuses to this user");
                Reason::new(Stage::Bind, Code::PermissionDenied, message).with_hint("choose a port from 1024 on")
            }
            io::ErrorKind::PermissionDenied => {
                let message = format!("the system refuses port {port} on {ip} to this user");
                Reason::new(Stage::Bind, Code::PermissionDenied, message).with_hint("choose another port")
            }
            _ if is_missing(error) => {
                let message = format!("port {port} cannot be listened at: this machine does not have the address {ip}");
                Reason::new(Stage::Bind, Code::AddressNotAvailable, message)
                    .with_hint("use an address of this machine, localhost or *")
            }
            _ => other_reason(&self),
        }
    }
}

fn other_reason(Refused { address, error }: &Refused) -> Reason {
    let (ip, port) = (shown(address), address.port());
    let message = format!("port {port} on {ip} cannot be listened at: {}", words::of_io(error));
    Reason::new(Stage::Bind, Code::AddressNotAvailable, message)
        .with_hint("use an address of this machine, localhost or *, or another port")
}

/// Who listens at a port, as far as the system shows it.
async fn owner(port: u16) -> String {
    #[cfg(target_os = "linux")]
    if let Ok(Some(owner)) = tokio::task::spawn_blocking(move || super::port_owner::find(port)).await {
        return if owner.pid == std::process::id() {
            "another rule of this daemon".to_owned()
        } else {
            format!("another program: {}, process {}", owner.program, owner.pid)
        };
    }
    let _ = port;
    "another program".to_owned()
}
