//! Which two addresses cannot both be listened at on one machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::forwarding::{Bind, BindAddress, WILDCARD};

impl Bind {
    /// Whether only one of the two can listen, on the same machine.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Bind::Tcp(address, port), Bind::Tcp(other_address, other_port)) => {
                port == other_port && *port != 0 && address.overlaps(other_address)
            }
            (Bind::Unix(path), Bind::Unix(other_path)) => path == other_path,
            (Bind::Tcp(..), Bind::Unix(_)) | (Bind::Unix(_), Bind::Tcp(..)) => false,
        }
    }
}

impl BindAddress {
    /// Whether a port can be listened at on one of the two only. Names other than `localhost` are compared as such.
    pub fn overlaps(&self, other: &Self) -> bool {
        self == other || self.addresses().any(|one| other.addresses().any(|another| covers(one, another)))
    }

    /// What it is known to stand for.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let (first, second) = match self.as_str() {
            WILDCARD => (Some(Ipv4Addr::UNSPECIFIED.into()), Some(Ipv6Addr::UNSPECIFIED.into())),
            "localhost" => (Some(Ipv4Addr::LOCALHOST.into()), Some(Ipv6Addr::LOCALHOST.into())),
            address => (address.parse().ok(), None),
        };
        first.into_iter().chain(second)
    }
}

/// Every address of a family and any one of it cannot be listened at side by side.
fn covers(one: IpAddr, other: IpAddr) -> bool {
    one == other || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
}

#[cfg(test)]
mod tests {
    use crate::forwarding::Forwarding;

    #[test]
    fn only_one_of_two_binds_that_overlap_can_listen() {
        let bind = |spec: &str| Forwarding::parse_dynamic(spec).unwrap().bind().clone();
        for (one, other, overlap) in [
            ("*:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "10.0.0.1:80", true),
            ("[::]:80", "localhost:80", true),
            ("localhost:80", "[::1]:80", true),
            ("[::]:80", "0.0.0.0:80", false),
            ("[::]:80", "127.0.0.1:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("*:80", "*:81", false),
            ("*:0", "*:0", false),
            ("/a.sock", "/a.sock", true),
            ("/a.sock", "*:80", false),
        ] {
            assert_eq!(bind(one).overlaps(&bind(other)), overlap, "{one} {other}");
            assert_eq!(bind(other).overlaps(&bind(one)), overlap, "{other} {one}");
        }
    }
}
