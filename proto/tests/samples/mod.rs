//! One message of every kind, with a value in every field.
#![allow(dead_code, unreachable_pub, reason = "every test takes what it needs")]

use std::time::Duration;

use alknet_proto::envelope::Request;
use alknet_proto::event::{
    ForwardAdded, ForwardChanged, ForwardRates, ForwardRemoved, ForwardTraffic, Heartbeat, Lagged, SessionChanged,
    Snapshot, Stats, StatusEvent,
};
use alknet_proto::explain::{FoundForward, Hop, KeyHolder, OfferedKey, Setting, Source, Taken, Verdict};
use alknet_proto::history::{ForwardHistory, ForwardKey, HistoryPage, Outage, SessionChange, SessionDetail};
use alknet_proto::operation::{ForwardRef, OperationKind, ServiceSchema, ServiceSummary};
use alknet_proto::status::{Algorithms, Change, ForwardDetail, Limits, LinkRole, LinkStatus, Refusal};
use alknet_proto::{
    Body, Code, DaemonStatus, Destination, Envelope, Explanation, Fault, ForwardId, ForwardKind, ForwardSpec,
    ForwardStats, ForwardStatus, Forwarding, OnSuspend, Operation, Output, Reason, RequestId, Selector, SessionState,
    SessionStatus, Stage, Status,
};
use jiff::Timestamp;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every operation, every output and every status event is in one of them.
pub fn messages() -> Vec<(String, Envelope)> {
    let requests = operations().into_iter().map(|operation| {
        let timeout_ms = (operation.name().len() % 2 == 0).then_some(30_000);
        (operation.name().to_owned(), Body::Requested(Request { operation, timeout_ms }))
    });
    let outputs = outputs().into_iter().map(|output| (output_name(&output), Body::Responded(output)));
    let rest = [
        ("call.completed".to_owned(), Body::Completed),
        ("call.aborted".to_owned(), Body::Aborted),
        ("call.error".to_owned(), Body::Error(Fault::from(reason()))),
        ("call.error, bare".to_owned(), Body::Error(Fault::new(Code::Internal, "x"))),
    ];
    requests
        .chain(outputs)
        .chain(rest)
        .map(|(name, body)| (RequestId(id(&name)), name, body))
        .map(|(id, name, body)| (name, Envelope { id, body }))
        .collect()
}

/// Ids of every width that a varint has; made of the name, so that a new message changes no other.
fn id(name: &str) -> u64 {
    match name {
        // `PROTOCOL.md` shows this one.
        "daemon/ping" => 1,
        _ => [1, 250, 251, 65_535, 65_536, u64::from(u32::MAX), u64::MAX][name.len() % 7],
    }
}

fn output_name(output: &Output) -> String {
    match output {
        Output::Done => "done".to_owned(),
        Output::Daemon(_) => "daemon".to_owned(),
        Output::Added { .. } => "added".to_owned(),
        Output::Changed(_) => "changed".to_owned(),
        Output::Forwards { .. } => "forwards".to_owned(),
        Output::Forward(_) => "forward".to_owned(),
        Output::Sessions { .. } => "sessions".to_owned(),
        Output::Destinations(_) => "destinations".to_owned(),
        Output::Event(event) => format!("event {}", event.word()),
        Output::Services(_) => "services".to_owned(),
        Output::Schema(_) => "schema".to_owned(),
        Output::Explanation(_) => "explanation".to_owned(),
        Output::FoundForwards { .. } => "found forwards".to_owned(),
        Output::History(_) => "history".to_owned(),
        Output::Reloaded { .. } => "reloaded".to_owned(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_860_800 + second).unwrap()
}

fn prod() -> Destination {
    "me@prod:2222".parse().unwrap()
}

fn reason() -> Reason {
    Reason::new(Stage::Tcp, Code::ConnectionRefused, "prod refuses connections").with_hint("is sshd running?")
}

fn spec() -> ForwardSpec {
    let mut spec = ForwardSpec::new(prod(), Forwarding::parse_local("8080:localhost:80").unwrap());
    spec.name = Some("web".parse().unwrap());
    spec.description = Some("the shop".to_owned());
    spec.tags = vec!["db".parse().unwrap()];
    spec.on_suspend = OnSuspend::Hold(Duration::from_secs(60));
    spec.lazy = true;
    spec.stopped = true;
    spec.idle_timeout_seconds = 300;
    spec.reclaim = true;
    spec
}

fn forward() -> ForwardStatus {
    ForwardStatus {
        id: ForwardId(7),
        name: "web".parse().unwrap(),
        kind: ForwardKind::RemoteDynamic,
        destination: prod(),
        bind_address: "127.0.0.1".to_owned(),
        bind_port: 8080,
        bind_path: None,
        target_host: "localhost".to_owned(),
        target_port: 80,
        target_path: Some("/run/x".to_owned()),
        status: Status::Suspended,
        reason: Some(reason()),
        since: at(0),
        attempt: 3,
        retry_at: Some(at(8)),
        description: Some("the shop".to_owned()),
        tags: vec!["db".parse().unwrap()],
        lazy: true,
        ephemeral: false,
        on_suspend: OnSuspend::Refuse,
        stats: ForwardStats {
            connections_active: 1,
            connections_total: 251,
            connections_refused: 0,
            bytes_sent: 65_536,
            bytes_received: 5_000_000_000,
        },
        reclaim: true,
    }
}

fn session() -> SessionStatus {
    SessionStatus {
        destination: prod(),
        state: SessionState::Active,
        reason: None,
        since: at(1),
        attempt: 0,
        retry_at: None,
        peer: Some("192.0.2.1:2222".to_owned()),
        user: Some("me".to_owned()),
        server_version: Some("SSH-2.0-OpenSSH_9.2".to_owned()),
        algorithms: Some(Algorithms {
            kex: "curve25519-sha256".to_owned(),
            host_key: "ssh-ed25519".to_owned(),
            cipher: "aes256-gcm@openssh.com".to_owned(),
            mac: String::new(),
            weak: vec!["curve25519-sha256 is not post-quantum".to_owned()],
        }),
        round_trip_ms: Some(1.5),
        channels: 2,
        bytes_sent: 10,
        bytes_received: 20,
        waiting: 3,
        links: vec![LinkStatus {
            number: 4,
            role: LinkRole::Further,
            since: at(1),
            channels: 2,
            buffered_bytes: 300,
            sealed: true,
            bytes_sent: 10,
            bytes_received: 20,
        }],
        idle_until: Some(at(9)),
    }
}

fn line(line: u32) -> Source {
    Source::File { path: "/home/me/.ssh/config".to_owned(), line }
}

fn explanation() -> Explanation {
    let setting = |keyword: &str, value: &str, source, verdict| Setting {
        keyword: keyword.to_owned(),
        values: vec![value.to_owned()],
        source,
        verdict,
    };
    let harmless = Verdict::Ignored { why: "there is no display".to_owned() };
    let harmful = Verdict::Refused { why: "it would leave out a jump".to_owned() };
    Explanation {
        destination: prod(),
        settings: vec![
            setting("HostName", "prod.example.org", line(2), Verdict::Honoured),
            setting("Port", "2222", Source::Destination, Verdict::Honoured),
            setting("ForwardX11", "yes", line(300), harmless),
            setting("ProxyUseFdpass", "yes", line(70_000), harmful),
            setting("ServerAliveInterval", "15", Source::Config, Verdict::Honoured),
            setting("ConnectTimeout", "none", Source::Default, Verdict::Honoured),
            setting("IdentityAgent", "/run/agent", Source::Environment("SSH_AUTH_SOCK".to_owned()), Verdict::Honoured),
        ],
        hops: vec![Hop {
            name: "gate".to_owned(),
            user: "me".to_owned(),
            host: "gate.example.org".to_owned(),
            port: 22,
            command: Some("nc gate 22".to_owned()),
            source: line(3),
        }],
        keys: vec![
            OfferedKey {
                holder: KeyHolder::File("/home/me/.ssh/id_ed25519".to_owned()),
                algorithm: Some("ssh-ed25519".to_owned()),
                fingerprint: Some("SHA256:abc".to_owned()),
                comment: Some("me@home".to_owned()),
                remark: None,
            },
            OfferedKey {
                holder: KeyHolder::Agent("/run/agent".to_owned()),
                algorithm: None,
                fingerprint: None,
                comment: None,
                remark: Some("needs its passphrase".to_owned()),
            },
        ],
        files: vec!["/home/me/.ssh/config".to_owned()],
        notices: vec!["keys are never compressed".to_owned()],
    }
}

fn found_forwards() -> Vec<FoundForward> {
    let found = |text: &str, taken| FoundForward { destination: prod(), line: text.to_owned(), source: line(4), taken };
    let forwarding = Forwarding::parse_local("8080:localhost:80").unwrap();
    vec![
        found("LocalForward 8080 localhost:80", Taken::Over(forwarding)),
        found("LocalForward 0", Taken::Not { why: "it names no target".to_owned() }),
    ]
}

/// The compiler asks in [`Operation::name`] when one is new; the count is pinned by `PROTOCOL.md`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::Ping,
        Operation::DaemonStatus,
        Operation::Shutdown,
        Operation::AddForwards(vec![
            spec(),
            ForwardSpec::new("prod".parse().unwrap(), Forwarding::parse_remote("/run/a:/run/b").unwrap()),
            ForwardSpec::new("prod".parse().unwrap(), Forwarding::parse_dynamic("*:1080").unwrap()),
            ForwardSpec::new("prod".parse().unwrap(), Forwarding::parse_remote("0").unwrap()),
        ]),
        Operation::RemoveForwards(vec![
            Selector::Named("web".to_owned()),
            Selector::Glob("db-*".to_owned()),
            Selector::Tag("db".parse().unwrap()),
            Selector::Host(prod()),
            Selector::All,
        ]),
        Operation::StartForwards(vec![Selector::All]),
        Operation::StopForwards(vec![Selector::All]),
        Operation::RestartForwards(vec![Selector::All]),
        Operation::ListForwards { selectors: vec![Selector::All], after: Some(ForwardId(300)) },
        Operation::ShowForward(Selector::Named("web".to_owned())),
        Operation::ListSessions { after: Some(prod()) },
        Operation::RetrySessions(vec![prod()]),
        Operation::DisconnectSession(prod()),
        Operation::Watch { selectors: Vec::new(), since: Some(70_000), stats_ms: Some(2000) },
        Operation::ListServices,
        Operation::ServiceSchema("forwards/add".to_owned()),
        Operation::Explain(prod()),
        Operation::FindForwards { destinations: vec![prod()], skip: 256 },
        Operation::History {
            selectors: vec![Selector::Tag("db".parse().unwrap())],
            since: at(0),
            after: Some(ForwardKey { id: ForwardId(7), name: "web".parse().unwrap() }),
        },
        Operation::RenewSession(prod()),
        Operation::Reload,
    ]
}

pub fn events() -> Vec<StatusEvent> {
    vec![
        StatusEvent::Snapshot(Snapshot { seq: 9, forwards: vec![forward()], sessions: vec![session()], more: true }),
        StatusEvent::ForwardAdded(ForwardAdded { seq: 10, at: at(2), forward: forward() }),
        StatusEvent::ForwardRemoved(ForwardRemoved {
            seq: 11,
            at: at(3),
            id: ForwardId(7),
            name: "web".parse().unwrap(),
        }),
        StatusEvent::ForwardStatus(ForwardChanged {
            seq: 12,
            at: at(4),
            id: ForwardId(7),
            name: "web".parse().unwrap(),
            from: Status::Active,
            to: Status::Suspended,
            reason: Some(reason()),
            retry_at: Some(at(5)),
            bind_port: 8080,
            attempt: 4,
        }),
        StatusEvent::SessionStatus(SessionChanged {
            seq: 13,
            at: at(5),
            destination: prod(),
            from: SessionState::Active,
            to: SessionState::NeedsInput,
            reason: Some(reason()),
            attempt: 1,
            retry_at: None,
        }),
        StatusEvent::Heartbeat(Heartbeat { seq: 13, at: at(6) }),
        StatusEvent::Lagged(Lagged { seq: 14, at: at(7) }),
        StatusEvent::Stats(Stats {
            at: at(8),
            forwards: vec![ForwardTraffic {
                id: ForwardId(7),
                name: "web".parse().unwrap(),
                stats: forward().stats,
                rates: ForwardRates {
                    bytes_sent_per_second: 300,
                    bytes_received_per_second: 70_000,
                    connections_per_second: 1.5,
                },
            }],
            interval_seconds: 2.0,
        }),
    ]
}

fn outputs() -> Vec<Output> {
    let reference = ForwardRef { id: ForwardId(7), name: "web".parse().unwrap(), left_stopped: true };
    let summary = ServiceSummary {
        name: "forwards/add".to_owned(),
        kind: OperationKind::Mutation,
        description: "adds forwards".to_owned(),
    };
    let change = Change {
        at: at(9),
        from: Status::Starting,
        to: Status::Error,
        reason: Some(reason()),
        attempt: 2,
        retry_at: Some(at(10)),
    };
    let session_change = SessionChange {
        at: at(11),
        from: SessionState::Connecting,
        to: SessionState::Failed,
        reason: Some(reason()),
        attempt: 3,
        retry_at: None,
    };
    let outage = Outage {
        began: at(12),
        ended: Some(at(13)),
        seconds: 1.25,
        reason: Some(reason()),
        last_reason: Some(reason()),
    };
    let mut outputs = vec![
        Output::Done,
        Output::Daemon(DaemonStatus {
            version: "0.1.0".to_owned(),
            pid: 4711,
            uptime_seconds: 86_400,
            protocol: 1,
            socket: "/run/user/1000/alknet/alknetd.sock".to_owned(),
            state_dir: "/home/me/.local/state/alknet".to_owned(),
            descriptors_open: Some(300),
            descriptors_limit: None,
            limits: Limits {
                max_sessions: 256,
                max_sessions_per_destination: 3,
                busy_channels_per_session: 10,
                max_connections_per_rule: 4096,
                waiting_connections_per_rule: 64,
                handshakes_per_minute: 6,
                max_forwards: 2000,
                idle_timeout: 1800,
            },
        }),
        Output::Added { forwards: vec![forward()], notices: vec!["port 8080 is open to other machines".to_owned()] },
        Output::Changed(vec![reference]),
        Output::Forwards { forwards: vec![forward()], more: true },
        Output::Forward(Box::new(ForwardDetail {
            forward: forward(),
            history: vec![change],
            last_refusal: Some(Refusal { at: at(10), reason: reason() }),
            session: Some(SessionDetail { session: session(), history: vec![session_change] }),
            outages: vec![outage.clone()],
        })),
        Output::Sessions { sessions: vec![session()], more: false },
        Output::Destinations(vec![prod()]),
        Output::Services(vec![summary.clone()]),
        Output::Schema(Box::new(ServiceSchema {
            summary,
            input_schema: "{}".to_owned(),
            output_schema: "{}".to_owned(),
            errors: vec![Code::NameInUse, Code::Internal],
            access: "whoever has `control`".to_owned(),
        })),
        Output::Explanation(Box::new(explanation())),
        Output::FoundForwards { forwards: found_forwards(), more: true },
        Output::History(HistoryPage {
            since: at(0),
            until: at(100),
            forwards: vec![ForwardHistory {
                id: ForwardId(7),
                name: "web".parse().unwrap(),
                destination: prod(),
                tags: vec!["db".parse().unwrap()],
                removed_at: Some(at(90)),
                known_since: at(1),
                up_seconds: 98.5,
                down_seconds: 1.5,
                availability_percent: Some(98.5),
                outages_total: 300,
                outages: vec![outage],
            }],
            skipped_lines: 2,
            more: true,
        }),
    ];
    outputs.push(Output::Reloaded { changed: vec!["keepalive_count".to_owned()], notices: vec!["wait".to_owned()] });
    outputs.extend(events().into_iter().map(Output::Event));
    outputs
}
