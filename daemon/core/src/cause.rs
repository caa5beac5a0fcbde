//! Which failures time may cure, and for how long that is believed.

use std::time::Duration;

use alknet_proto::{Code, Reason, Stage};

use crate::limits::DAMAGE_WINDOW;

/// Whether trying again may succeed with nobody doing anything.
///
/// Total over all codes: whoever adds one has to decide here.
pub fn may_cure_itself(code: Code) -> bool {
    match code {
        // The network, the server or another program may change its mind.
        Code::AddressInUse
        | Code::AddressNotAvailable
        | Code::ConnectionRefused
        | Code::TimedOut
        | Code::Unreachable
        | Code::NameNotResolved
        | Code::KeepaliveLost
        | Code::ConnectionLost
        | Code::ProtocolError
        | Code::NotSsh
        | Code::ServerBusy
        | Code::RemotePortInUse
        | Code::RemoteForwardRefused
        | Code::SessionLimit
        | Code::AccountUnavailable
        | Code::AgentRefused
        | Code::NotSaved
        | Code::Internal
        | Code::TooManyFiles => true,
        // Trying again would be rude, dangerous or pointless.
        Code::PermissionDenied
        | Code::NameInUse
        | Code::NotFound
        | Code::Ambiguous
        | Code::HostKeyUnknown
        | Code::HostKeyChanged
        | Code::HostKeyRevoked
        | Code::HostKeyRefused
        | Code::AuthRefused
        | Code::NeedsInput
        | Code::Disconnected
        | Code::NoCommonAlgorithm
        | Code::DaemonStopping
        | Code::VersionMismatch
        | Code::InvalidSpec
        | Code::InvalidConfig
        | Code::InvalidRules
        | Code::NoDaemon
        | Code::InvalidRequest
        | Code::Forbidden
        | Code::Aborted
        | Code::Stopped => false,
    }
}

/// How often the same failure is taken for one that cures itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For ever.
    Endless,
    /// So often in a row; the last one is final.
    InARow(u32),
    /// So often within this time, whatever is between; the last one is final.
    Within(u32, Duration),
}

/// When a failure that may cure itself is final after all.
pub fn patience(code: Code) -> Patience {
    if code == Code::NotSsh {
        // It may be the login page of a network; more often it is the wrong port.
        Patience::InARow(3)
    } else if code == Code::AgentRefused {
        // A key that nobody touched is asked for once more, not for ever: each time something blinks.
        Patience::InARow(2)
    } else if code == Code::ProtocolError {
        // Something between here and there damages what passes, or alters it.
        Patience::Within(3, DAMAGE_WINDOW)
    } else {
        Patience::Endless
    }
}

/// Whether the network is what failed, so that its return elsewhere is a reason to try.
pub fn is_of_network(reason: &Reason) -> bool {
    let is_on_the_way = matches!(reason.stage, Stage::Resolve | Stage::Tcp | Stage::Proxy);
    let is_loss = matches!(reason.code, Code::KeepaliveLost | Code::ConnectionLost);
    is_on_the_way && (is_loss || is_out_of_reach(reason.code))
}

/// Whether an attempt that failed so had begun to shake hands with the server, or with one on the way to it.
pub fn had_handshake(reason: &Reason) -> bool {
    match reason.stage {
        Stage::Handshake | Stage::HostKey | Stage::Auth => true,
        // With the code of the host on the way.
        Stage::Proxy => !is_out_of_reach(reason.code),
        Stage::Config | Stage::Resolve | Stage::Tcp | Stage::Forward | Stage::Bind | Stage::Target | Stage::LocalIo => {
            false
        }
    }
}

/// Whether there was no connection at all.
fn is_out_of_reach(code: Code) -> bool {
    matches!(code, Code::ConnectionRefused | Code::TimedOut | Code::Unreachable | Code::NameNotResolved)
}
