//! The address and the interface of this machine that a connection is made from.

use std::io;
use std::net::{IpAddr, SocketAddr};

use alknet_proto::{Code, Reason, Stage};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::config::Connecting;
use super::failure::io_words;

/// Where connections come from; by default the system chooses.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Of each family at most one is used. Empty: the system chooses.
    addresses: Vec<IpAddr>,
    interface: Option<String>,
}

impl Source {
    /// Looks the address of BindAddress up.
    ///
    /// # Errors
    /// `address_not_available` where it is none.
    pub(super) async fn of(how: &Connecting) -> Result<Source, Reason> {
        let addresses = match &how.bind_address {
            None => Vec::new(),
            Some(name) => match tokio::net::lookup_host((name.as_str(), 0)).await {
                Ok(found) => found.map(|address| address.ip()).collect(),
                Err(error) => return Err(unusable(&format!("BindAddress {name}"), &error)),
            },
        };
        Ok(Source { addresses, interface: how.bind_interface.clone() })
    }

    /// Connects to `address` from here.
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if !self.addresses.is_empty() {
            let own = self.addresses.iter().find(|own| own.is_ipv4() == address.is_ipv4());
            let own = own.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
            socket.bind(SocketAddr::new(*own, 0))?;
        }
        #[cfg(target_os = "linux")]
        if let Some(interface) = &self.interface {
            SockRef::from(&socket).bind_device(Some(interface.as_bytes()))?;
        }
        // Elsewhere the resolver refuses BindInterface.
        #[cfg(not(target_os = "linux"))]
        let _ = (&self.interface, SockRef::from(&socket));
        socket.connect(address).await
    }
}

fn unusable(what: &str, error: &io::Error) -> Reason {
    Reason::new(Stage::Tcp, Code::AddressNotAvailable, format!("{what} cannot be used: {}", io_words(error)))
        .with_hint("it has to be an address of this machine")
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    async fn seen_from(how: &Connecting) -> io::Result<IpAddr> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = Source::of(how).await.unwrap();
        let (connected, accepted) = tokio::join!(source.connect(listener.local_addr().unwrap()), async {
            listener.accept().await.unwrap().1.ip()
        });
        connected.map(|_| accepted)
    }

    #[tokio::test]
    async fn a_connection_comes_from_the_address_and_the_interface_that_are_named() {
        let from = Connecting { bind_address: Some("127.0.0.2".to_owned()), ..Connecting::default() };
        let over = Connecting { bind_interface: Some("lo".to_owned()), ..Connecting::default() };

        assert_eq!(seen_from(&from).await.unwrap(), IpAddr::from([127, 0, 0, 2]));
        assert_eq!(seen_from(&Connecting::default()).await.unwrap(), IpAddr::from([127, 0, 0, 1]));
        // Whoever may not bind to an interface is refused, and nothing is connected without it.
        if nix::unistd::geteuid().is_root() {
            assert_eq!(seen_from(&over).await.unwrap(), IpAddr::from([127, 0, 0, 1]));
        }
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_named() {
        let how = Connecting { bind_address: Some("no-such-host.invalid".to_owned()), ..Connecting::default() };

        let reason = Source::of(&how).await.unwrap_err();

        assert_eq!(reason.code, Code::AddressNotAvailable, "{reason}");
        assert!(reason.message.starts_with("BindAddress no-such-host.invalid cannot be used: "), "{reason}");
    }
}
