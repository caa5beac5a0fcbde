//! The ways from a client to a target: the rules that both programs get, and how a client asks for what it wants.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use alknet_tests::content::Content;
use alknet_tests::ports::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use crate::script::{Event, Stream};

/// A forward that both programs carry. All lead to the same target, or to one that cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Local,
    LocalToUnix,
    UnixToLocal,
    UnixToUnix,
    LocalToNobody,
    LocalToUnknownName,
    LocalToUnreachable,
    LocalToNoSocket,
    Dynamic,
    Remote,
    RemoteToUnix,
    RemoteUnixToLocal,
    RemoteUnixToUnix,
    RemoteToNoSocket,
    RemoteDynamic,
    /// The last one: a server that listens for it listens for all of them.
    RemoteToNobody,
}

impl Rule {
    pub(crate) const ALL: [Rule; 16] = [
        Rule::Local,
        Rule::LocalToUnix,
        Rule::UnixToLocal,
        Rule::UnixToUnix,
        Rule::LocalToNobody,
        Rule::LocalToUnknownName,
        Rule::LocalToUnreachable,
        Rule::LocalToNoSocket,
        Rule::Dynamic,
        Rule::Remote,
        Rule::RemoteToUnix,
        Rule::RemoteUnixToLocal,
        Rule::RemoteUnixToUnix,
        Rule::RemoteToNoSocket,
        Rule::RemoteDynamic,
        Rule::RemoteToNobody,
    ];

    fn listens_at_a_path(self) -> bool {
        matches!(self, Rule::UnixToLocal | Rule::UnixToUnix | Rule::RemoteUnixToLocal | Rule::RemoteUnixToUnix)
    }

    fn flag(self) -> &'static str {
        match self {
            Rule::Local
            | Rule::LocalToUnix
            | Rule::UnixToLocal
            | Rule::UnixToUnix
            | Rule::LocalToNobody
            | Rule::LocalToUnknownName
            | Rule::LocalToUnreachable
            | Rule::LocalToNoSocket => "-L",
            Rule::Dynamic => "-D",
            Rule::Remote
            | Rule::RemoteToUnix
            | Rule::RemoteUnixToLocal
            | Rule::RemoteUnixToUnix
            | Rule::RemoteToNoSocket
            | Rule::RemoteDynamic
            | Rule::RemoteToNobody => "-R",
        }
    }

    fn target(self, places: &Places) -> Option<String> {
        match self {
            Rule::Local | Rule::UnixToLocal | Rule::Remote | Rule::RemoteUnixToLocal => {
                Some(format!("127.0.0.1:{}", places.port))
            }
            Rule::LocalToUnix | Rule::UnixToUnix | Rule::RemoteToUnix | Rule::RemoteUnixToUnix => {
                Some(places.path.display().to_string())
            }
            Rule::LocalToNobody | Rule::RemoteToNobody => Some(format!("127.0.0.1:{}", places.closed_port)),
            Rule::LocalToUnknownName => Some(format!("{UNKNOWN_NAME}:80")),
            Rule::LocalToUnreachable => Some(format!("{UNREACHABLE}:80")),
            Rule::LocalToNoSocket | Rule::RemoteToNoSocket => Some(format!("{}.none", places.path.display())),
            Rule::Dynamic | Rule::RemoteDynamic => None,
        }
    }
}

const UNKNOWN_NAME: &str = "no-such-host.invalid";
/// Nobody connects to a broadcast address: the system says so at once.
const UNREACHABLE: Ipv4Addr = Ipv4Addr::BROADCAST;

/// Where the targets are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) port: u16,
    pub(crate) port_v6: u16,
    pub(crate) path: PathBuf,
    pub(crate) closed_port: u16,
}

/// Where one program listens for one rule.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    Tcp(u16),
    Unix(PathBuf),
}

impl Door {
    /// A door for `rule` that nobody uses yet; `path` is free.
    pub(crate) fn free(rule: Rule, path: PathBuf) -> Self {
        if rule.listens_at_a_path() { Door::Unix(path) } else { Door::Tcp(free_port()) }
    }

    /// What ssh and alknetctl both take: the flag and its value.
    pub(crate) fn option(&self, rule: Rule, places: &Places) -> [String; 2] {
        let listen = match self {
            Door::Tcp(port) => format!("127.0.0.1:{port}"),
            Door::Unix(path) => path.display().to_string(),
        };
        let spec = match rule.target(places) {
            Some(target) => format!("{listen}:{target}"),
            None => listen,
        };
        [rule.flag().to_owned(), spec]
    }

    pub(crate) async fn enter(&self) -> Option<Stream> {
        match self {
            Door::Tcp(port) => {
                // As most programs do it: with the others, a reset that comes at once looks like a failed connect.
                let stream = std::net::TcpStream::connect(("127.0.0.1", *port)).ok()?;
                stream.set_nonblocking(true).ok()?;
                let stream = TcpStream::from_std(stream).ok()?;
                // A connection that was refused already has no options any more.
                let _ = stream.set_nodelay(true);
                Some(Either::Left(stream))
            }
            Door::Unix(path) => UnixStream::connect(path).await.ok().map(Either::Right),
        }
    }
}

/// How a client gets to its target.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Through(Rule),
    /// Through `-D`, and what is asked there.
    Dynamic(Ask),
    /// Through `-R` without a target, and what is asked there.
    RemoteDynamic(Ask),
    /// Through `-D`, with these bytes instead of a request.
    Gibberish(&'static [u8]),
}

impl Way {
    pub(crate) fn rule(self) -> Rule {
        match self {
            Way::Through(rule) => rule,
            Way::Dynamic(_) | Way::Gibberish(_) => Rule::Dynamic,
            Way::RemoteDynamic(_) => Rule::RemoteDynamic,
        }
    }

    /// Says to the SOCKS server what is wanted, if there is one. Takes early bytes from `content`.
    pub(crate) async fn ask(
        self,
        stream: &mut Stream,
        places: &Places,
        content: &mut Content,
    ) -> std::io::Result<Option<Event>> {
        match self {
            Way::Through(_) => Ok(None),
            Way::Gibberish(bytes) => stream.write_all(bytes).await.map(|()| None),
            Way::Dynamic(ask) | Way::RemoteDynamic(ask) => ask.make(stream, places, content).await.map(Some),
        }
    }
}

/// What a SOCKS client wants, and how it says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) version: Version,
    pub(crate) wanted: Wanted,
    pub(crate) manner: Manner,
}

impl Ask {
    pub(crate) const fn target(version: Version) -> Ask {
        Ask { version, wanted: Wanted::Target, manner: Manner::Politely }
    }

    pub(crate) const fn nobody(version: Version) -> Ask {
        Ask { version, wanted: Wanted::Nobody, manner: Manner::Politely }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Socks4,
    Socks4a,
    Socks5Ip,
    Socks5Ipv6,
    Socks5Name,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    Target,
    /// A port on which nobody listens.
    Nobody,
    UnknownName,
    Unreachable,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Each message whole, each answer awaited.
    Politely,
    /// Each byte by itself.
    Bytewise,
    /// The request and so many bytes for the target in one write.
    WithEarlyBytes(usize),
    /// Everything in one write, and no answer awaited before.
    AllAtOnce(usize),
}

impl Ask {
    /// Whether the target is the one at the IPv6 address.
    pub(crate) fn is_v6(self) -> bool {
        self.version == Version::Socks5Ipv6
    }

    async fn make(self, stream: &mut Stream, places: &Places, content: &mut Content) -> std::io::Result<Event> {
        let is_v5 = !matches!(self.version, Version::Socks4 | Version::Socks4a);
        let mut request = if is_v5 { self.request_v5(places) } else { self.request_v4(places) };
        if let Manner::WithEarlyBytes(n_early) | Manner::AllAtOnce(n_early) = self.manner {
            let begin = request.len();
            request.resize(begin + n_early, 0);
            content.fill(&mut request[begin..]);
        }
        let greeting: &[u8] = &[5, 1, 0];
        match self.manner {
            Manner::AllAtOnce(_) if is_v5 => stream.write_all(&[greeting, &request].concat()).await?,
            Manner::Politely | Manner::Bytewise | Manner::WithEarlyBytes(_) if is_v5 => {
                self.say(stream, greeting).await?;
                read(stream, 2).await?;
                self.say(stream, &request).await?;
            }
            Manner::Politely | Manner::Bytewise | Manner::WithEarlyBytes(_) | Manner::AllAtOnce(_) => {
                self.say(stream, &request).await?;
            }
        }
        if is_v5 && matches!(self.manner, Manner::AllAtOnce(_)) {
            read(stream, 2).await?;
        }
        if !is_v5 {
            let reply = read(stream, 8).await?;
            return Ok(if reply[1] == 90 { Event::Granted } else { Event::Denied(reply[1]) });
        }
        let head = read(stream, 4).await?;
        let n_address_bytes = match head[3] {
            1 => 4,
            4 => 16,
            _ => usize::from(read(stream, 1).await?[0]),
        };
        read(stream, n_address_bytes + 2).await?;
        Ok(if head[1] == 0 { Event::Granted } else { Event::Denied(head[1]) })
    }

    async fn say(self, stream: &mut Stream, bytes: &[u8]) -> std::io::Result<()> {
        if !matches!(self.manner, Manner::Bytewise) {
            return stream.write_all(bytes).await;
        }
        for byte in bytes {
            stream.write_all(&[*byte]).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn name(self) -> &'static str {
        match self.wanted {
            Wanted::Target | Wanted::Nobody => "localhost",
            Wanted::UnknownName => UNKNOWN_NAME,
            Wanted::Unreachable => "255.255.255.255",
        }
    }

    fn ip(self) -> Ipv4Addr {
        match self.wanted {
            Wanted::Target | Wanted::Nobody => Ipv4Addr::LOCALHOST,
            Wanted::UnknownName | Wanted::Unreachable => UNREACHABLE,
        }
    }

    fn port(self, places: &Places) -> u16 {
        match self.wanted {
            Wanted::Target if self.is_v6() => places.port_v6,
            Wanted::Target => places.port,
            Wanted::Nobody => places.closed_port,
            Wanted::UnknownName | Wanted::Unreachable => 80,
        }
    }

    fn request_v4(self, places: &Places) -> Vec<u8> {
        let is_name = self.version == Version::Socks4a;
        let mut request = vec![4, 1];
        request.extend(self.port(places).to_be_bytes());
        request.extend(if is_name { [0, 0, 0, 1] } else { self.ip().octets() });
        request.extend(b"someone\0");
        if is_name {
            request.extend(self.name().as_bytes());
            request.push(0);
        }
        request
    }

    fn request_v5(self, places: &Places) -> Vec<u8> {
        let mut request = vec![5, 1, 0];
        let ip: IpAddr = if self.is_v6() { Ipv6Addr::LOCALHOST.into() } else { self.ip().into() };
        match (self.version, ip) {
            (Version::Socks5Name, _) => {
                request.extend([3, u8::try_from(self.name().len()).expect("names here are short")]);
                request.extend(self.name().as_bytes());
            }
            (_, IpAddr::V4(ip)) => {
                request.push(1);
                request.extend(ip.octets());
            }
            (_, IpAddr::V6(ip)) => {
                request.push(4);
                request.extend(ip.octets());
            }
        }
        request.extend(self.port(places).to_be_bytes());
        request
    }
}

async fn read(stream: &mut Stream, count: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
