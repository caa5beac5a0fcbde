//! Which failures time may cure, and which only a person can.

use alknet_proto::Code;

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
        | Code::NotSaved
        | Code::Internal => true,
        // Trying again would be rude, dangerous or pointless.
        Code::PermissionDenied
        | Code::NameInUse
        | Code::NotFound
        | Code::Ambiguous
        | Code::HostKeyUnknown
        | Code::HostKeyChanged
        | Code::HostKeyRevoked
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
