//! PermitRemoteOpen: which targets a remote SOCKS forward may reach from this machine.

use alknet_proto::{Code, Reason, Stage, Target};

use super::failure::target_name;

/// The targets that may be asked for. By default all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opens {
    /// `None`: every target.
    allowed: Option<Vec<Open>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    /// `*` is every host.
    host: String,
    /// `None` is every port.
    port: Option<u16>,
}

impl Opens {
    /// Reads the values of the directive: `any`, `none`, or `host:port` with `*` for either.
    pub(super) fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Opens {
        let mut allowed = Vec::new();
        for value in values {
            if value.eq_ignore_ascii_case("any") {
                return Opens::default();
            }
            let Some((host, port)) = value.rsplit_once(':') else { continue };
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let port = if port == "*" { None } else { super::config::port(port) };
            allowed.push(Open { host: host.to_owned(), port });
        }
        Opens { allowed: Some(allowed) }
    }

    /// Whether a remote SOCKS forward may reach the target.
    ///
    /// # Errors
    /// Stage `target` with `permission_denied`.
    pub fn check(&self, target: &Target) -> Result<(), Reason> {
        let Some(allowed) = &self.allowed else { return Ok(()) };
        let is_allowed = match target {
            Target::Tcp(host, port) => allowed.iter().any(|open| {
                (open.host == "*" || open.host.eq_ignore_ascii_case(host)) && open.port.is_none_or(|open| open == *port)
            }),
            Target::Unix(_) => false,
        };
        if is_allowed {
            return Ok(());
        }
        let message = format!("PermitRemoteOpen of the ssh configuration does not allow {}", target_name(target));
        Err(Reason::new(Stage::Target, Code::PermissionDenied, message)
            .with_hint("name the target there as host:port, or take the line away for this host"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_may_be_reached() {
        let allows = |values: &str, host: &str, port: u16| {
            Opens::parse(values.split(' ')).check(&Target::Tcp(host.to_owned(), port)).is_ok()
        };

        assert!(Opens::default().check(&Target::Tcp("db".to_owned(), 1)).is_ok());
        assert!(allows("any", "db", 1));
        assert!(!allows("none", "db", 1));
        assert!(allows("db:5432 web:*", "DB", 5432) && allows("db:5432 web:*", "web", 9));
        assert!(!allows("db:5432 web:*", "db", 5433) && !allows("db:5432", "other", 5432));
        assert!(allows("*:80", "any.thing", 80) && !allows("*:80", "any.thing", 81));
        assert!(allows("[::1]:80", "::1", 80));
    }
}
