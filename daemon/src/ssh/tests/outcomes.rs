//! The table of what can go wrong: what is seen, what it is called, and what is done about it.

use std::io::{Error as IoError, ErrorKind as Io};
use std::time::Duration;

use alknet_core::backoff::delay;
use alknet_core::cause::{Patience, may_cure_itself, patience};
use alknet_proto::{Bind, Code, Reason, Stage, Target};
use russh::{AlgorithmKind, ChannelOpenFailure as Refusal, Disconnect, Error};

use crate::ssh::failure::{
    disconnected_by_server, listen_refused, remote_port_taken, session_ended, target_refused, target_timed_out,
};
use crate::ssh::handshake::{timed_out, why};
use crate::ssh::session::Session;
use crate::ssh::transport::{not_connected, silent};
use crate::ssh::wire::Greeting;

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Tried for ever, after 1, 2, 4, 8, 16, 30 s.
    Tried,
    /// Tried for ever, after 30 s to 10 min, by everything that goes to the host.
    LeftAlone,
    /// Tried for ever, every five minutes.
    EveryFiveMinutes,
    /// Tried so often, and then left to a person.
    GivenUpAfter(u32),
    /// Left to a person.
    Final,
}

fn then(code: Code) -> Then {
    if !may_cure_itself(code) {
        return Then::Final;
    }
    match (patience(code), delay(code, 0, 0.5).as_secs()) {
        (Patience::InARow(n) | Patience::Within(n, _), _) => Then::GivenUpAfter(n),
        (Patience::Endless, 1) => Then::Tried,
        (Patience::Endless, 30) => Then::LeftAlone,
        (Patience::Endless, 300) => Then::EveryFiveMinutes,
        (Patience::Endless, other) => panic!("{code} has a pace of its own: {other} s"),
    }
}

#[track_caller]
fn check(what: &str, reason: &Reason, stage: Stage, code: Code, expected: Then) {
    assert_eq!((reason.stage, reason.code, then(reason.code)), (stage, code, expected), "{what}: {reason}");
    assert!(reason.hint.as_ref().is_some_and(|hint| !hint.is_empty()), "{what} says not what to do: {reason}");
    assert!(!reason.message.contains("(os error"), "{what}: {reason}");
}

#[test]
fn a_server_that_is_not_reached() {
    let seen = |kind: Io| not_connected("gw:22", &IoError::from(kind));
    let rows = [
        (Io::ConnectionRefused, Code::ConnectionRefused),
        (Io::HostUnreachable, Code::Unreachable),
        (Io::NetworkUnreachable, Code::Unreachable),
        (Io::NetworkDown, Code::Unreachable),
        (Io::AddrNotAvailable, Code::Unreachable),
        (Io::TimedOut, Code::TimedOut),
        (Io::ConnectionReset, Code::ConnectionLost),
    ];
    for (kind, code) in rows {
        check(&format!("{kind:?}"), &seen(kind), Stage::Tcp, code, Then::Tried);
    }
    let out_of_time = silent("gw:22", "within 10 s");
    check("no answer", &out_of_time, Stage::Tcp, Code::TimedOut, Then::Tried);
    assert!(out_of_time.hint.is_some_and(|hint| hint.contains("firewall") && hint.contains("ban")));
    check("our firewall", &seen(Io::PermissionDenied), Stage::Tcp, Code::PermissionDenied, Then::Final);
    // A name that is not found is tried every five minutes from some time on.
    assert_eq!(then(Code::NameNotResolved), Then::Tried);
    assert_eq!(delay(Code::NameNotResolved, 99, 0.5), Duration::from_secs(300));
}

#[test]
fn a_handshake_that_fails() {
    let seen = |said: &str, error: Error| why("gw:22", &error, &Greeting::of(said), &Session::default());
    let cut = || Error::IO(IoError::from(Io::ConnectionReset));
    let ssh = "SSH-2.0-OpenSSH_9.2\r\n";
    let no_algorithm =
        Error::NoCommonAlgo { kind: AlgorithmKind::Kex, ours: vec!["a".to_owned()], theirs: vec!["b".to_owned()] };
    let handshake = Stage::Handshake;
    let rows = [
        ("closed first", seen("", Error::Disconnect), handshake, Code::ConnectionLost, Then::Tried),
        ("reset first", seen("", cut()), handshake, Code::ConnectionLost, Then::Tried),
        ("MaxStartups", seen("Exceeded MaxStartups\r\n", cut()), handshake, Code::ServerBusy, Then::LeftAlone),
        ("penalty", seen("Not allowed at this time\r\n", cut()), handshake, Code::ServerBusy, Then::LeftAlone),
        ("HTTP", seen("HTTP/1.1 400 Bad Request\r\n", Error::Version), handshake, Code::NotSsh, Then::GivenUpAfter(3)),
        ("silent", timed_out("gw:22", &Greeting::of("")), handshake, Code::TimedOut, Then::Tried),
        ("slow", timed_out("gw:22", &Greeting::of(ssh)), handshake, Code::TimedOut, Then::Tried),
        ("no algorithm", seen(ssh, no_algorithm), handshake, Code::NoCommonAlgorithm, Then::Final),
        ("bad packet", seen(ssh, Error::PacketAuth), handshake, Code::ProtocolError, Then::GivenUpAfter(3)),
        ("Terrapin", seen(ssh, Error::Inconsistent), handshake, Code::ProtocolError, Then::GivenUpAfter(3)),
        ("wrong proof", seen(ssh, Error::WrongServerSig), Stage::HostKey, Code::HostKeyRefused, Then::Final),
        ("cut", seen(ssh, cut()), handshake, Code::ConnectionLost, Then::Tried),
    ];
    for (what, reason, stage, code, expected) in rows {
        check(what, &reason, stage, code, expected);
    }
}

#[test]
fn a_host_key_or_a_login_that_is_refused() {
    // Who says so is tested where it is decided: `host_keys`, `attempts`, `agents`, `certificates`.
    let rows = [
        (Code::HostKeyUnknown, Then::Final),
        (Code::HostKeyChanged, Then::Final),
        (Code::HostKeyRevoked, Then::Final),
        (Code::HostKeyRefused, Then::Final),
        (Code::AuthRefused, Then::Final),
        (Code::NeedsInput, Then::Final),
        (Code::InvalidConfig, Then::Final),
        (Code::AgentRefused, Then::GivenUpAfter(2)),
        (Code::AccountUnavailable, Then::EveryFiveMinutes),
        (Code::AddressInUse, Then::Tried),
        (Code::NotSaved, Then::Tried),
    ];
    for (code, expected) in rows {
        assert_eq!(then(code), expected, "{code}");
    }
    assert_eq!(delay(Code::AgentRefused, 0, 0.5), Duration::from_secs(60));
}

#[test]
fn a_server_that_says_goodbye() {
    use Disconnect as D;
    let rows = [
        (D::HostNotAllowedToConnect, "no", Stage::Auth, Code::AuthRefused, Then::Final),
        (D::ProtocolError, "Too many authentication failures", Stage::Auth, Code::AuthRefused, Then::Final),
        (D::ServiceNotAvailable, "", Stage::Tcp, Code::ConnectionLost, Then::Tried),
        (D::ConnectionLost, "", Stage::Tcp, Code::ConnectionLost, Then::Tried),
        (D::ByApplication, "bye", Stage::Tcp, Code::ConnectionLost, Then::Tried),
        (D::TooManyConnections, "", Stage::Handshake, Code::ServerBusy, Then::LeftAlone),
        (D::NoMoreAuthMethodsAvailable, "", Stage::Auth, Code::AuthRefused, Then::Final),
        (D::IllegalUserName, "who?", Stage::Auth, Code::AuthRefused, Then::Final),
        (D::ByApplication, "Not allowed at this time", Stage::Handshake, Code::ServerBusy, Then::LeftAlone),
        (D::ByApplication, "Your account has expired", Stage::Auth, Code::AccountUnavailable, Then::EveryFiveMinutes),
        (D::ByApplication, "System is booting up", Stage::Auth, Code::AccountUnavailable, Then::EveryFiveMinutes),
    ];
    for (code, said, stage, expected, then) in rows {
        check(&format!("{code:?} `{said}`"), &disconnected_by_server(&code, said), stage, expected, then);
    }
}

#[test]
fn a_session_that_ends() {
    let io = |kind| Error::IO(IoError::from(kind));
    let rows = [
        (Error::KeepaliveTimeout, Code::KeepaliveLost, Then::Tried),
        (Error::InactivityTimeout, Code::KeepaliveLost, Then::Tried),
        (io(Io::TimedOut), Code::KeepaliveLost, Then::Tried),
        (io(Io::ConnectionReset), Code::ConnectionLost, Then::Tried),
        (io(Io::BrokenPipe), Code::ConnectionLost, Then::Tried),
        (Error::HUP, Code::ConnectionLost, Then::Tried),
        (Error::Disconnect, Code::ConnectionLost, Then::Tried),
        (Error::SendError, Code::ConnectionLost, Then::Tried),
        (Error::RecvError, Code::ConnectionLost, Then::Tried),
        (Error::Pending, Code::ConnectionLost, Then::Tried),
        (Error::PacketAuth, Code::ProtocolError, Then::GivenUpAfter(3)),
        (Error::DecryptionError, Code::ProtocolError, Then::GivenUpAfter(3)),
        (Error::PacketSize(0), Code::ProtocolError, Then::GivenUpAfter(3)),
    ];
    for (error, code, then) in rows {
        let reason = session_ended(&error, Some(Duration::from_secs(60)));
        check(&format!("{error:?}"), &reason, Stage::Tcp, code, then);
    }
}

#[test]
fn a_forward_or_a_target_that_is_refused() {
    let bind: Bind = Bind::Unix("/tmp/socket".to_owned());
    let target = Target::Tcp("db".to_owned(), 5432);
    let refused = |why: Refusal, said: &str| target_refused(&target, &why, said);
    let forward = Stage::Forward;
    let denied = listen_refused(&bind, &Error::RequestDenied);
    check("held by an old session", &remote_port_taken(&bind), forward, Code::RemotePortInUse, Then::Tried);
    check("no listening", &denied, forward, Code::RemoteForwardRefused, Then::Tried);
    // A refused target concerns one connection, and nothing is tried again for it.
    let rows = [
        (refused(Refusal::AdministrativelyProhibited, ""), Code::PermissionDenied),
        (refused(Refusal::ConnectFailed, "Connection refused"), Code::ConnectionRefused),
        (refused(Refusal::ConnectFailed, "Name or service not known"), Code::Unreachable),
        (refused(Refusal::UnknownChannelType, ""), Code::PermissionDenied),
        (refused(Refusal::ResourceShortage, ""), Code::ServerBusy),
        (target_timed_out(&target), Code::TimedOut),
    ];
    for (reason, code) in rows {
        assert_eq!((reason.stage, reason.code), (Stage::Target, code), "{reason}");
        assert!(reason.hint.is_some(), "{reason}");
    }
}
