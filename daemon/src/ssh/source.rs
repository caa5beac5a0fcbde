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
