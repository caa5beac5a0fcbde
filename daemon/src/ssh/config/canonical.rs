//! The name that a host comes to: addresses in one spelling, and names completed by the domains of CanonicalDomains.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

use alknet_proto::{Code, Reason, Stage};

use super::found::Found;

/// What `host` is called once it is settled. Looks names up where the configuration asks for it. Blocks.
///
/// # Errors
/// `name_not_resolved` where no domain has the host and CanonicalizeFallbackLocal says no.
pub(super) fn settle(host: &str, found: &Found) -> Result<String, Reason> {
    let family = found.text("AddressFamily").unwrap_or("any");
    if let Some(address) = address(host, family) {
        return Ok(address);
    }
    if looks_like_an_address(host) {
        return Ok(host.to_owned());
    }
    let host = host.to_lowercase();
    let mode = found.text("CanonicalizeHostname").unwrap_or("false");
    let is_direct = !goes_another_way(found);
    if mode == "false" || (mode != "always" && !is_direct) {
        return Ok(host);
    }
    if let Some(full) = host.strip_suffix('.') {
        return if is_found(&host, found) { Ok(full.to_owned()) } else { not_found(&host, found) };
    }
    let max_dots = found.text("CanonicalizeMaxDots").and_then(|dots| dots.parse().ok()).unwrap_or(1);
    if max_dots < host.matches('.').count() {
        return Ok(host);
    }
    for domain in found.all("CanonicalDomains") {
        if domain.text.eq_ignore_ascii_case("none") {
            break;
        }
        let full = format!("{host}.{}", domain.text);
        if is_found(&format!("{full}."), found) {
            return Ok(full);
        }
    }
    not_found(&host, found)
}

/// Whether the way to the server is chosen by ProxyJump or ProxyCommand.
fn goes_another_way(found: &Found) -> bool {
    ["ProxyJump", "ProxyCommand"]
        .into_iter()
        .any(|name| found.first(name).is_some_and(|value| !value.text.eq_ignore_ascii_case("none")))
}

fn is_found(name: &str, found: &Found) -> bool {
    let family = found.text("AddressFamily").unwrap_or("any");
    (name, 0).to_socket_addrs().is_ok_and(|mut addresses| {
        addresses.any(|address| match family {
            "inet" => address.is_ipv4(),
            "inet6" => address.is_ipv6(),
            _ => true,
        })
    })
}

fn not_found(host: &str, found: &Found) -> Result<String, Reason> {
    if found.is_yes("CanonicalizeFallbackLocal") {
        return Ok(host.to_owned());
    }
    let message = format!("the name {host} cannot be resolved in any of the CanonicalDomains");
    Err(Reason::new(Stage::Resolve, Code::NameNotResolved, message)
        .with_hint("check the name, or say `CanonicalizeFallbackLocal yes`"))
}

fn looks_like_an_address(host: &str) -> bool {
    host.contains(['%', ':']) || host.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// The usual spelling of an address of the family, where `host` is one in any spelling that the system takes.
fn address(host: &str, family: &str) -> Option<String> {
    if let Some((address, scope)) = host.split_once('%') {
        return address.parse::<Ipv6Addr>().ok().map(|address| format!("{address}%{scope}"));
    }
    let address = host.parse::<IpAddr>().ok().or_else(|| old_address(host).map(IpAddr::V4))?;
    let is_of_family = match family {
        "inet" => address.is_ipv4(),
        "inet6" => address.is_ipv6(),
        _ => true,
    };
    is_of_family.then(|| address.to_string())
}

/// `10.1` is 10.0.0.1, `0x7f.1` is 127.0.0.1, as of old.
fn old_address(host: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| {
        let part = part.to_ascii_lowercase();
        match (part.strip_prefix("0x"), part.strip_prefix('0')) {
            (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
            (None, Some(octal)) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
            (None, _) if part.starts_with(|c: char| c.is_ascii_digit()) => part.parse().ok(),
            (None, _) => None,
        }
    };
    let parts: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if 3 < leading.len() || leading.iter().any(|part| 255 < *part) {
        return None;
    }
    let n_left = 4 - u32::try_from(leading.len()).ok()?;
    if n_left < 4 && 1 << (8 * n_left) <= u64::from(*last) {
        return None;
    }
    let high = leading.iter().enumerate().fold(0, |sum, (index, part)| sum | part << (24 - 8 * index));
    Some(Ipv4Addr::from(high | last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_to_one_spelling() {
        for (written, expected) in [
            ("10.1", Some("10.0.0.1")),
            ("127.1", Some("127.0.0.1")),
            ("0x7f.1", Some("127.0.0.1")),
            ("2130706433", Some("127.0.0.1")),
            ("1.2.3", Some("1.2.0.3")),
            ("::0001", Some("::1")),
            ("2001:DB8::1", Some("2001:db8::1")),
            ("1.2.3.4.5", None),
            ("1.2.3.256", None),
            ("web1", None),
        ] {
            assert_eq!(address(written, "any").as_deref(), expected, "{written}");
        }
    }
}
