//! Says in our words why the server or russh did not do what was asked.

use std::time::Duration;

use alknet_proto::{Bind, Code, Reason, Stage, Target, words};
use russh::{ChannelOpenFailure, Error};

/// `host:port` of a server, for messages.
pub(super) fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub(super) fn target_name(target: &Target) -> String {
    match target {
        Target::Tcp(host, port) => place(host, *port),
        Target::Unix(path) => path.clone(),
    }
}

fn bind_name(bind: &Bind) -> String {
    match bind {
        Bind::Tcp(address, 0) => format!("a free port on {}", address.as_str()),
        Bind::Tcp(address, port) => format!("port {port} on {}", address.as_str()),
        Bind::Unix(path) => path.clone(),
    }
}

pub(super) fn target_timed_out(target: &Target) -> Reason {
    let seconds = super::link::OPEN_TIMEOUT.as_secs();
    let message = format!("the server did not connect to {} within {seconds} s", target_name(target));
    Reason::new(Stage::Target, Code::TimedOut, message).with_hint("see whether it runs, as seen from the server")
}

/// The server answered that it does not open a channel; `said` is in the server's words, or empty.
pub(super) fn target_refused(target: &Target, why: &ChannelOpenFailure, said: &str) -> Reason {
    let name = target_name(target);
    let words = said.to_ascii_lowercase();
    let said = |otherwise: &str| if said.is_empty() { otherwise.to_owned() } else { format!("`{said}`") };
    match why {
        ChannelOpenFailure::AdministrativelyProhibited => {
            Reason::new(Stage::Target, Code::PermissionDenied, format!("the server forbids connections to {name}"))
                .with_hint("see AllowTcpForwarding and PermitOpen in the server's sshd_config")
        }
        ChannelOpenFailure::ConnectFailed => {
            let code = if words.contains("timed out") || words.contains("timeout") {
                Code::TimedOut
            } else if ["no route", "unreachable", "name resolution", "not known", "no such host", "resolve"]
                .iter()
                .any(|part| words.contains(part))
            {
                Code::Unreachable
            } else {
                Code::ConnectionRefused
            };
            let why = said("connection refused, or no such host");
            Reason::new(Stage::Target, code, format!("the server could not connect to {name}: {why}"))
                .with_hint("see whether it runs, as seen from the server")
        }
        ChannelOpenFailure::UnknownChannelType => {
            let message = format!("the server cannot forward to {name}: it does not know this kind of forward");
            Reason::new(Stage::Target, Code::PermissionDenied, message)
                .with_hint("its SSH server is too old, or is no OpenSSH: forward to a port instead")
        }
        ChannelOpenFailure::ResourceShortage => {
            let why = said("it has no room for another connection");
            Reason::new(Stage::Target, Code::ServerBusy, format!("the server did not connect to {name}: {why}"))
                .with_hint("it carries as many connections as it can; some have to end first")
        }
        ChannelOpenFailure::Other { reason, .. } => {
            let why = said(reason);
            Reason::new(Stage::Target, Code::ConnectionRefused, format!("the server did not connect to {name}: {why}"))
                .with_hint("see whether it runs, as seen from the server")
        }
    }
}

pub(super) fn listen_timed_out(bind: &Bind) -> Reason {
    let seconds = super::link::FORWARD_TIMEOUT.as_secs();
    let message = format!("the server did not answer within {seconds} s whether it listens at {}", bind_name(bind));
    Reason::new(Stage::Forward, Code::TimedOut, message).with_hint("the server is overloaded or hangs")
}

pub(super) fn remote_port_in_use(bind: &Bind) -> Reason {
    let message = format!("{} is taken on the server by another forward of this session", bind_name(bind));
    Reason::new(Stage::Forward, Code::RemotePortInUse, message)
}

/// The server would listen, but not there.
pub(super) fn remote_port_taken(bind: &Bind) -> Reason {
    let message = format!("{} is taken on the server, perhaps by an earlier session of ours", bind_name(bind));
    Reason::new(Stage::Forward, Code::RemotePortInUse, message).with_hint(
        "the server frees the port when it gives that session up (ClientAliveInterval in its sshd_config); \
         or choose another port",
    )
}

/// The server refused to listen. It never says why.
pub(super) fn listen_refused(bind: &Bind, error: &Error) -> Reason {
    if !matches!(error, Error::RequestDenied) {
        return Reason::new(Stage::Tcp, Code::ConnectionLost, "the session is over");
    }
    let message = format!("the server refuses to listen at {}", bind_name(bind));
    let hint = match bind {
        Bind::Tcp(..) => {
            "the port may be taken on the server, perhaps by an earlier session, or its sshd_config forbids it \
             (AllowTcpForwarding, PermitListen, GatewayPorts)"
        }
        Bind::Unix(_) => {
            "the socket may exist on the server already (StreamLocalBindUnlink), or its sshd_config forbids it \
             (AllowStreamLocalForwarding)"
        }
    };
    Reason::new(Stage::Forward, Code::RemoteForwardRefused, message).with_hint(hint)
}

/// What to do about data that is not as it was sent.
pub(super) const DAMAGE: &str =
    "something between here and the server damages or alters what passes; it is tried three times in ten minutes";

/// What to do about a session that ended by a mistake of this program.
const DEFECT: &str = "it is connected to again; the log of alknetd says more for a report";

/// Why a session that stood ended. `silence` is how long the server may stay silent.
pub(super) fn session_ended(error: &Error, silence: Option<Duration>) -> Reason {
    let silent = || match silence {
        Some(silence) => format!("the server has not answered for {} s", silence.as_secs_f64()),
        None => "the server stopped answering".to_owned(),
    };
    const LINK: &str = "the network between here and the server broke it; it is connected to again";
    match error {
        Error::KeepaliveTimeout | Error::InactivityTimeout => {
            Reason::new(Stage::Tcp, Code::KeepaliveLost, silent()).with_hint(LINK)
        }
        Error::IO(io) if io.kind() == std::io::ErrorKind::TimedOut => {
            Reason::new(Stage::Tcp, Code::KeepaliveLost, silent()).with_hint(LINK)
        }
        Error::IO(io) => Reason::new(Stage::Tcp, Code::ConnectionLost, io_words(io)).with_hint(LINK),
        Error::Disconnect | Error::HUP | Error::SendError | Error::RecvError => {
            Reason::new(Stage::Tcp, Code::ConnectionLost, "the server closed the connection")
                .with_hint("it was restarted, or somebody ended the session there; it is connected to again")
        }
        Error::Pending => Reason::new(
            Stage::Tcp,
            Code::ConnectionLost,
            "the key exchange did not keep up with the data; the session starts anew",
        )
        .with_hint(DEFECT),
        Error::Join(_) => Reason::new(Stage::Tcp, Code::Internal, "the session ended by a defect in the SSH library")
            .with_hint(DEFECT),
        other => {
            let message = format!("the session broke: {}", lower_first(&other.to_string()));
            Reason::new(Stage::Tcp, Code::ProtocolError, message).with_hint(DAMAGE)
        }
    }
}

/// The server said goodbye by itself.
pub(super) fn disconnected_by_server(code: &russh::Disconnect, said: &str) -> Reason {
    use russh::Disconnect as D;
    let busy = is_busy(said) || matches!(code, D::TooManyConnections);
    let message = if said.trim().is_empty() {
        "the server ended the session".to_owned()
    } else {
        format!("the server ended the session: `{}`", said.trim())
    };
    match code {
        _ if busy => server_busy(&message),
        _ if said.contains(TOO_MANY_KEYS) => Reason::new(Stage::Auth, Code::AuthRefused, message)
            .with_hint("name the right key with IdentityFile and IdentitiesOnly in ~/.ssh/config"),
        _ if is_closed_account(said) => account_unavailable("the server", said),
        // RFC 4253: the login is over, and another try would be the same.
        D::HostNotAllowedToConnect => Reason::new(Stage::Auth, Code::AuthRefused, message).with_hint(
            "the server takes no connections from this machine: ask its administrator; then: alknetctl retry",
        ),
        D::NoMoreAuthMethodsAvailable | D::IllegalUserName => Reason::new(Stage::Auth, Code::AuthRefused, message)
            .with_hint("check the user name, and that the key is in authorized_keys there; then: alknetctl retry"),
        // Codes of the protocol, which say nothing that the words do not.
        _ => Reason::new(Stage::Tcp, Code::ConnectionLost, message)
            .with_hint("it was shut down, or somebody ended the session there; it is connected to again"),
    }
}

/// How sshd says that it wants to see no further key.
pub(super) const TOO_MANY_KEYS: &str = "Too many authentication failures";

/// Whether these are the words of a server that knows the login and takes nobody, or not this account, for a time.
pub(super) fn is_closed_account(said: &str) -> bool {
    let words = said.to_ascii_lowercase();
    let closed = ["not permitted to log in", "nologin", "booting up", "going down", "account has expired"];
    let locked = ["account expired", "account is locked", "account locked", "account is currently not available"];
    closed.iter().chain(&locked).any(|part| words.contains(part))
}

/// The login is good, and the account is not to be used now.
pub(super) fn account_unavailable(who: &str, said: &str) -> Reason {
    let message = format!("{who} takes no login of this account now: `{}`", said.trim());
    Reason::new(Stage::Auth, Code::AccountUnavailable, message)
        .with_hint("its administrator can open the account; it is tried every five minutes")
}

/// Whether these are OpenSSH's words for «too many connections from you».
pub(super) fn is_busy(said: &str) -> bool {
    said.contains("Exceeded MaxStartups") || said.contains("Not allowed at this time")
}

pub(super) fn server_busy(message: &str) -> Reason {
    Reason::new(Stage::Handshake, Code::ServerBusy, message)
        .with_hint("the server limits connections from this address for a while; more tries make it longer")
}

/// The system's words without its number.
pub(super) fn io_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind as K;
    match error.kind() {
        K::ConnectionReset => "the connection was reset".to_owned(),
        K::ConnectionAborted => "the connection was cut".to_owned(),
        K::BrokenPipe | K::UnexpectedEof => "the server closed the connection".to_owned(),
        K::TimedOut => "the connection timed out".to_owned(),
        _ => words::of_io(error),
    }
}

pub(super) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use russh::Disconnect;

    use super::*;

    #[test]
    fn what_a_server_says_in_parting_decides_whether_another_try_makes_sense() {
        for (code, said, expected) in [
            (Disconnect::ByApplication, "bye", Code::ConnectionLost),
            (Disconnect::ProtocolError, "", Code::ConnectionLost),
            (Disconnect::TooManyConnections, "", Code::ServerBusy),
            (Disconnect::ByApplication, "Not allowed at this time", Code::ServerBusy),
            (Disconnect::NoMoreAuthMethodsAvailable, "", Code::AuthRefused),
            (Disconnect::IllegalUserName, "who?", Code::AuthRefused),
        ] {
            assert_eq!(disconnected_by_server(&code, said).code, expected, "{code:?} {said}");
        }
    }

    #[test]
    fn the_words_of_a_refusal_choose_its_code() {
        let target = Target::Tcp("db".to_owned(), 5432);
        let refused = |why: ChannelOpenFailure, said: &str| target_refused(&target, &why, said).code;

        assert_eq!(refused(ChannelOpenFailure::ConnectFailed, "Connection refused"), Code::ConnectionRefused);
        assert_eq!(refused(ChannelOpenFailure::ConnectFailed, "Connection timed out"), Code::TimedOut);
        assert_eq!(refused(ChannelOpenFailure::ConnectFailed, "Name or service not known"), Code::Unreachable);
        assert_eq!(refused(ChannelOpenFailure::AdministrativelyProhibited, "open failed"), Code::PermissionDenied);
        assert_eq!(refused(ChannelOpenFailure::ResourceShortage, ""), Code::ServerBusy);
    }
}
