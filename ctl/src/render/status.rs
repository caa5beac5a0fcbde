//! The daemon, its sessions and its forwards at a glance.

use std::time::Duration;

use alknet_proto::{DaemonStatus, ForwardStatus, SessionState, SessionStatus, Status};

use super::units::span;
use super::{BOLD, Look, painted};

/// One line about the daemon, the counts, all sessions, and the forwards that are not active.
pub(crate) fn status(
    daemon: &DaemonStatus,
    sessions: &[SessionStatus],
    forwards: &[ForwardStatus],
    look: &Look,
) -> String {
    let DaemonStatus { version, pid, uptime_seconds, protocol, .. } = daemon;
    let up = span(Duration::from_secs(*uptime_seconds));
    let mut text = format!("{} {version}, process {pid}, up {up}, protocol {protocol}\n", painted(BOLD, "alknetd"));
    if let (Some(open), Some(limit)) = (daemon.descriptors_open, daemon.descriptors_limit) {
        text.push_str(&format!("{} {open} open, at most {limit}\n", painted(BOLD, "descriptors:")));
    }
    text.push_str(&format!("{} {}\n", painted(BOLD, "sessions:"), counted(&session_words(sessions))));
    text.push_str(&format!("{} {}\n", painted(BOLD, "forwards:"), counted(&forward_words(forwards))));
    if !sessions.is_empty() {
        text.push('\n');
        text.push_str(&super::sessions(sessions, look));
    }
    let is_as_it_should_be = |f: &&ForwardStatus| f.status == Status::Active && f.reason.is_none();
    let not_active: Vec<ForwardStatus> = forwards.iter().filter(|f| !is_as_it_should_be(f)).cloned().collect();
    if !not_active.is_empty() {
        text.push('\n');
        text.push_str(&super::forwards(&not_active, look));
    }
    text
}

fn session_words(sessions: &[SessionStatus]) -> Vec<(usize, &'static str)> {
    use SessionState::{Active, Connecting, Failed, Idle, NeedsInput, Suspended};
    let states = [Active, Connecting, Suspended, NeedsInput, Failed, Idle];
    states.map(|state| (sessions.iter().filter(|s| s.state == state).count(), state.word())).to_vec()
}

fn forward_words(forwards: &[ForwardStatus]) -> Vec<(usize, &'static str)> {
    use Status::{Active, Error, Starting, Stopped, Suspended};
    let states = [Active, Starting, Suspended, Stopped, Error];
    states.map(|status| (forwards.iter().filter(|f| f.status == status).count(), status.word())).to_vec()
}

/// `3 active, 1 suspended`
fn counted(words: &[(usize, &'static str)]) -> String {
    let parts: Vec<String> =
        words.iter().filter(|(count, _)| 0 < *count).map(|(count, word)| format!("{count} {word}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{look, plain};
    use super::*;
    use crate::sample;
    use alknet_proto::status::Limits;

    fn daemon() -> DaemonStatus {
        DaemonStatus {
            version: "0.1.0".to_owned(),
            pid: 42,
            uptime_seconds: 7_500,
            protocol: 1,
            socket: "/run/user/1000/alknet/alknetd.sock".to_owned(),
            state_dir: "/home/me/.local/state/alknet".to_owned(),
            descriptors_open: Some(17),
            descriptors_limit: Some(1024),
            limits: Limits::default(),
        }
    }

    #[test]
    fn a_glance_counts_and_shows_only_what_is_not_active() {
        let forwards = [sample::active("web"), sample::suspended(2, "db")];

        let shown = status(&daemon(), &[sample::session()], &forwards, &look(false));

        let expected = "\
alknetd 0.1.0, process 42, up 2h5m, protocol 1
descriptors: 17 open, at most 1024
sessions: 1 active
forwards: 1 active, 1 suspended

DESTINATION  STATE     PEER         USER  SINCE  ROUND TRIP  CHANNELS     SENT  RECEIVED
prod         * active  10.0.0.1:22  me     3m4s     12.3 ms         2  2.0 KiB   5.0 MiB
  SSH-2.0-OpenSSH_9.2

NAME  STATUS       HERE                THERE         VIA   SINCE  CONNS     SENT  RECEIVED
db    ! suspended  127.0.0.1:8080  ->  localhost:80  prod    20s      2  2.0 KiB   5.0 MiB
  10.0.0.1:22 did not answer within 10 s [tcp: timed_out]; retry 4 in 12 s
";
        assert_eq!(plain(&shown), expected);
    }

    #[test]
    fn a_daemon_with_nothing_to_do_says_so() {
        let daemon = DaemonStatus { descriptors_open: None, ..daemon() };

        let shown = status(&daemon, &[], &[], &look(false));

        assert_eq!(plain(&shown), "alknetd 0.1.0, process 42, up 2h5m, protocol 1\nsessions: none\nforwards: none\n");
    }
}
