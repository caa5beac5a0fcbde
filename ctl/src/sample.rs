//! Forwards and sessions that the tests of this program share.

use alknet_proto::{
    Code, ForwardId, ForwardKind, ForwardStats, ForwardStatus, OnSuspend, Reason, SessionState, SessionStatus, Stage,
    Status,
};
use jiff::Timestamp;

/// 2026-01-31T12:00:00Z
pub(crate) const NOW: Timestamp = Timestamp::constant(1_769_860_800, 0);

/// `NOW` plus or minus seconds.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW.as_second() + seconds).expect("a moment near the sample's")
}

/// A local forward from 127.0.0.1:8080 to localhost:80 via prod, active for 3 min 4 s.
pub(crate) fn active(name: &str) -> ForwardStatus {
    ForwardStatus {
        id: ForwardId(1),
        name: name.parse().expect("a sample has a valid name"),
        kind: ForwardKind::Local,
        destination: "prod".parse().expect("prod is a destination"),
        bind_address: "127.0.0.1".to_owned(),
        bind_port: 8080,
        bind_path: None,
        target_host: "localhost".to_owned(),
        target_port: 80,
        target_path: None,
        status: Status::Active,
        reason: None,
        since: at(-184),
        attempt: 0,
        retry_at: None,
        description: None,
        tags: Vec::new(),
        lazy: false,
        ephemeral: false,
        on_suspend: OnSuspend::default(),
        stats: ForwardStats {
            connections_active: 2,
            connections_total: 7,
            connections_refused: 1,
            bytes_sent: 2048,
            bytes_received: 5 << 20,
        },
        reclaim: false,
    }
}

/// The same with another number, in `status`.
pub(crate) fn forward(number: u32, name: &str, status: Status) -> ForwardStatus {
    ForwardStatus { id: ForwardId(number), status, ..active(name) }
}

/// Suspended since 20 s after three failed tries; the next one comes in 12 s.
pub(crate) fn suspended(number: u32, name: &str) -> ForwardStatus {
    ForwardStatus {
        reason: Some(Reason::new(Stage::Tcp, Code::TimedOut, "10.0.0.1:22 did not answer within 10 s")),
        since: at(-20),
        attempt: 3,
        retry_at: Some(at(12)),
        ..forward(number, name, Status::Suspended)
    }
}

/// In error since a day and three hours, because of its host key.
pub(crate) fn failed(number: u32, name: &str) -> ForwardStatus {
    ForwardStatus {
        reason: Some(
            Reason::new(Stage::HostKey, Code::HostKeyChanged, "prod shows another key than known_hosts line 3")
                .with_hint("ask its administrator, then remove that line"),
        ),
        since: at(-97_200),
        ..forward(number, name, Status::Error)
    }
}

/// An active session to prod.
pub(crate) fn session() -> SessionStatus {
    SessionStatus {
        destination: "prod".parse().expect("prod is a destination"),
        state: SessionState::Active,
        reason: None,
        since: at(-184),
        attempt: 0,
        retry_at: None,
        peer: Some("10.0.0.1:22".to_owned()),
        user: Some("me".to_owned()),
        server_version: Some("SSH-2.0-OpenSSH_9.2".to_owned()),
        algorithms: None,
        round_trip_ms: Some(12.34),
        channels: 2,
        bytes_sent: 2048,
        bytes_received: 5 << 20,
        waiting: 0,
        links: Vec::new(),
        idle_until: None,
    }
}
