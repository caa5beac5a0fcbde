//! How a command ends: the exit codes, and what stands behind a failure.

use std::io;
use std::process::ExitCode;

use alknet_proto::{Code, Fault, ForwardStatus, Status};

/// The exit codes. Stable: scripts decide by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// What was asked for cannot be.
    Usage = 2,
    /// No daemon, or not everything is active (`status --check`).
    NotActive = 3,
    /// No such forward, session or prompt.
    NotFound = 4,
    /// Name or address in use, or versions that differ.
    Conflict = 5,
    /// A person must answer something.
    NeedsInput = 6,
    /// Permission.
    Permission = 7,
    /// Waited too long.
    TimedOut = 124,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl From<Code> for Exit {
    /// The exit code of an operation that was refused with `code`.
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidSpec | Code::Ambiguous => Exit::Usage,
            Code::NoDaemon | Code::DaemonStopping | Code::Stopped => Exit::NotActive,
            Code::NotFound => Exit::NotFound,
            Code::AddressInUse | Code::NameInUse | Code::RemotePortInUse | Code::VersionMismatch => Exit::Conflict,
            Code::NeedsInput => Exit::NeedsInput,
            Code::PermissionDenied | Code::Forbidden => Exit::Permission,
            Code::TimedOut => Exit::TimedOut,
            Code::AddressNotAvailable
            | Code::ConnectionRefused
            | Code::Unreachable
            | Code::NameNotResolved
            | Code::HostKeyUnknown
            | Code::HostKeyChanged
            | Code::HostKeyRevoked
            | Code::AuthRefused
            | Code::KeepaliveLost
            | Code::ConnectionLost
            | Code::Disconnected
            | Code::NotSsh
            | Code::NoCommonAlgorithm
            | Code::ProtocolError
            | Code::ServerBusy
            | Code::RemoteForwardRefused
            | Code::SessionLimit
            | Code::InvalidConfig
            | Code::InvalidRules
            | Code::NotSaved
            | Code::InvalidRequest
            | Code::Aborted
            | Code::HostKeyRefused
            | Code::AccountUnavailable
            | Code::AgentRefused
            | Code::TooManyFiles
            | Code::Internal => Exit::Failed,
        }
    }
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Said as `error:` and `hint:`, or as one JSON object.
    Told {
        /// What is said.
        fault: Fault,
        /// With what the program ends.
        exit: Exit,
        /// What stays all the same: forwards that were added and did not become active in time.
        forwards: Vec<ForwardStatus>,
    },
    /// stdout cannot be written. A reader that went away is no failure, a full disk is one.
    Output(io::Error),
}

impl Failure {
    /// A failure with another exit code than its fault alone would have.
    pub(crate) fn with_exit(fault: Fault, exit: Exit) -> Self {
        Failure::Told { fault, exit, forwards: Vec::new() }
    }

    /// A forward that cannot become what is waited for before a person acts.
    ///
    /// Time that ran out at the server is no waiting of ours, and a port that is taken there is
    /// no conflict of this call: everything but a question and a permission is 1.
    pub(crate) fn hopeless(forward: &ForwardStatus) -> Self {
        let name = &forward.name;
        if forward.status == Status::Stopped {
            let fault = Fault::new(Code::Stopped, format!("{name} is stopped, so it does not become active"))
                .with_hint(format!("`alknetctl start {name}` brings it back"));
            return fault.into();
        }
        let Some(reason) = &forward.reason else {
            return Fault::new(Code::Internal, format!("{name} failed, and the daemon gives no reason")).into();
        };
        let exit = match Exit::from(reason.code) {
            Exit::NeedsInput => Exit::NeedsInput,
            Exit::Permission => Exit::Permission,
            Exit::Done
            | Exit::Failed
            | Exit::Usage
            | Exit::NotActive
            | Exit::NotFound
            | Exit::Conflict
            | Exit::TimedOut
            | Exit::Interrupted => Exit::Failed,
        };
        let mut fault = Fault::from(reason.clone());
        fault.message = alknet_proto::fault::one_line(&format!("{name} cannot become active: {}", reason.message));
        Failure::with_exit(fault, exit)
    }

    /// Says that these forwards were added and stay.
    #[must_use]
    pub(crate) fn leaving(self, stay: Vec<ForwardStatus>) -> Self {
        match self {
            Failure::Told { fault, exit, forwards: _ } => Failure::Told { fault, exit, forwards: stay },
            Failure::Output(error) => Failure::Output(error),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let exit = fault.code.into();
        Failure::with_exit(fault, exit)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use alknet_proto::{Reason, Stage};

    use super::*;
    use crate::sample;

    #[test]
    fn every_exit_code_of_the_contract_has_its_faults() {
        for (code, exit) in [
            (Code::InvalidSpec, 2),
            (Code::Ambiguous, 2),
            (Code::NoDaemon, 3),
            (Code::DaemonStopping, 3),
            (Code::Stopped, 3),
            (Code::NotFound, 4),
            (Code::AddressInUse, 5),
            (Code::NameInUse, 5),
            (Code::RemotePortInUse, 5),
            (Code::VersionMismatch, 5),
            (Code::NeedsInput, 6),
            (Code::PermissionDenied, 7),
            (Code::Forbidden, 7),
            (Code::TimedOut, 124),
            (Code::RemoteForwardRefused, 1),
            (Code::Internal, 1),
        ] {
            assert_eq!(Exit::from(code) as u8, exit, "{code:?}");
        }
    }

    #[test]
    fn a_forward_in_error_ends_with_the_code_of_its_reason() {
        for (code, exit) in [
            (Code::NeedsInput, Exit::NeedsInput),
            (Code::PermissionDenied, Exit::Permission),
            (Code::HostKeyChanged, Exit::Failed),
            (Code::AddressInUse, Exit::Failed),
            (Code::TimedOut, Exit::Failed),
        ] {
            let reason = Some(Reason::new(Stage::Auth, code, "it is so"));
            let forward = ForwardStatus { reason, ..sample::failed(1, "web") };

            let Failure::Told { fault, exit: ended, .. } = Failure::hopeless(&forward) else {
                panic!("{code:?} is told")
            };

            assert_eq!((ended, fault.code, fault.stage), (exit, code, Some(Stage::Auth)));
            assert_eq!(fault.message, "web cannot become active: it is so");
        }
    }
}
