//! Who may do what: the one gate that every request passes.

use std::fmt;

use alknet_proto::endpoint::PeerIdentity;
use alknet_proto::{Code, Fault, Operation};

use super::services;

/// What an operation needs, and what an identity has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Looking at forwards, sessions and the daemon.
    Read,
    /// Changing forwards and sessions.
    Control,
    /// Ending the daemon.
    Admin,
}

impl Scope {
    /// The word that people and programs see.
    pub fn word(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Control => "control",
            Scope::Admin => "admin",
        }
    }
}

/// Who asks, as the transport says. Nothing that a client writes changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: String,
    scopes: Vec<Scope>,
}

impl Identity {
    /// An identity that a transport vouches for.
    pub fn new(name: impl Into<String>, scopes: &[Scope]) -> Self {
        Identity { name: name.into(), scopes: scopes.to_vec() }
    }

    /// Whoever runs the daemon may do everything; nobody else may do anything.
    ///
    /// # Errors
    /// [`Code::Forbidden`] for another user.
    pub fn of_socket_peer(peer: &PeerIdentity) -> Result<Self, Fault> {
        if peer.is_same_user {
            return Ok(Identity::new("owner", &[Scope::Read, Scope::Control, Scope::Admin]));
        }
        Err(Fault::new(Code::Forbidden, "this daemon belongs to another user and serves that user only"))
    }

    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The one gate.
#[derive(Clone, Copy, Debug)]
pub struct AccessControl;

impl AccessControl {
    /// Whether `identity` may do `operation`. What the table does not name, nobody may.
    ///
    /// # Errors
    /// [`Code::Forbidden`]; the message names the operation and what it needs.
    pub fn check(identity: &Identity, operation: &Operation) -> Result<(), Fault> {
        AccessControl::check_name(identity, operation.name())
    }

    pub(super) fn check_name(identity: &Identity, name: &str) -> Result<(), Fault> {
        match services::find(name).map(|service| service.scope) {
            Some(scope) if identity.has(scope) => Ok(()),
            Some(scope) => {
                Err(Fault::new(Code::Forbidden, format!("{name} needs `{}`, which {identity} lacks", scope.word())))
            }
            None => Err(Fault::new(Code::Forbidden, format!("{name} is open to nobody"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(is_same_user: bool) -> PeerIdentity {
        PeerIdentity { uid: Some(1000), pid: Some(1), is_same_user }
    }

    #[test]
    fn the_owner_may_do_everything() {
        let owner = Identity::of_socket_peer(&peer(true)).unwrap();
        for operation in services::tests::one_of_each() {
            assert_eq!(AccessControl::check(&owner, &operation), Ok(()), "{}", operation.name());
        }
    }

    #[test]
    fn another_user_is_nobody() {
        assert_eq!(Identity::of_socket_peer(&peer(false)).unwrap_err().code, Code::Forbidden);
    }

    #[test]
    fn a_reader_may_look_and_change_nothing() {
        let reader = Identity::new("reader", &[Scope::Read]);
        let allowed: Vec<&str> = services::tests::one_of_each()
            .iter()
            .filter(|operation| AccessControl::check(&reader, operation).is_ok())
            .map(Operation::name)
            .collect();

        assert_eq!(
            allowed,
            [
                "daemon/ping",
                "daemon/status",
                "forwards/list",
                "forwards/show",
                "sessions/list",
                "events/watch",
                "services/list",
                "services/schema",
                "destinations/explain",
                "destinations/forwards",
                "forwards/history",
            ]
        );
    }

    #[test]
    fn only_an_administrator_ends_the_daemon() {
        let operator = Identity::new("operator", &[Scope::Read, Scope::Control]);
        let fault = AccessControl::check(&operator, &Operation::Shutdown).unwrap_err();
        assert_eq!(fault.message, "daemon/shutdown needs `admin`, which operator lacks");
    }

    #[test]
    fn who_has_nothing_may_nothing() {
        let nobody = Identity::new("nobody", &[]);
        for operation in services::tests::one_of_each() {
            assert!(AccessControl::check(&nobody, &operation).is_err(), "{}", operation.name());
        }
    }
}
