//! Clients that are somebody or something else, or break the protocol.

use std::path::PathBuf;

use alknet_core::Event;
use alknet_proto::connection::MessageReader;
use alknet_proto::hello::{Hello, SPOKEN, Verdict, VersionRange};
use alknet_proto::{Body, Code, Envelope, Operation, Output, RequestId, endpoint, frame};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::harness::{Control, LIMIT, Raw, heartbeat, watch_all};

#[tokio::test]
async fn a_client_of_another_version_is_told_so() {
    let control = Control::start();
    let stream = endpoint::connect(&control.socket).await.unwrap();
    let (read_half, mut write_half) = tokio::io::split(stream);
    let mut reader = MessageReader::new(read_half);
    let newer = Hello {
        versions: VersionRange { lowest: 7, highest: 9 },
        program: "alknetctl".to_owned(),
        version: "8.0".to_owned(),
    };
    write_half.write_all(&frame::frame(&newer.encode()).unwrap()).await.unwrap();

    let hello = Hello::decode(&reader.next_body().await.unwrap().unwrap()).unwrap();
    let verdict = Verdict::decode(&reader.next_body().await.unwrap().unwrap()).unwrap();

    assert_eq!((hello.program.as_str(), hello.versions), ("alknetd", SPOKEN));
    let fault = verdict.into_result().unwrap_err();
    assert_eq!(fault.code, Code::VersionMismatch);
    assert!(fault.message.starts_with("alknetctl 8.0 speaks version 7 to 9"), "{}", fault.message);
    assert!(fault.message.ends_with("upgrade alknetd"), "{}", fault.message);
    assert!(reader.next_body().await.unwrap().is_none());
}

/// A user that is on every Unix and owns nothing.
#[cfg(unix)]
const NOBODY: u32 = 65534;
#[cfg(unix)]
const SOCKET_OF_THE_TEST: &str = "SOCKET_OF_THE_TEST";

#[cfg(unix)]
#[tokio::test]
async fn another_user_is_refused_before_a_byte_is_read() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !nix::unistd::geteuid().is_root() {
        // Only root can become another user.
        return;
    }
    let control = Control::start();
    let program = control.place.path().join("other");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for (path, wide_mode) in [(control.place.path(), 0o755), (&program, 0o755), (&control.socket, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(wide_mode)).unwrap();
    }

    let other = tokio::task::spawn_blocking({
        let socket = control.socket.clone();
        move || {
            std::process::Command::new(program)
                .args(["--ignored", "--exact", "greeting::what_another_user_does"])
                .env(SOCKET_OF_THE_TEST, socket)
                .uid(NOBODY)
                .gid(NOBODY)
                .output()
        }
    });

    let output = timeout(LIMIT, other).await.unwrap().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "is run as another user by the test above"]
async fn what_another_user_does() {
    let socket = PathBuf::from(std::env::var_os(SOCKET_OF_THE_TEST).unwrap());
    let mut reader = MessageReader::new(tokio::net::UnixStream::connect(&socket).await.unwrap());

    reader.next_body().await.unwrap().unwrap();
    let verdict = Verdict::decode(&reader.next_body().await.unwrap().unwrap()).unwrap();

    assert_eq!(verdict.into_result().unwrap_err().code, Code::Forbidden);
    assert!(reader.next_body().await.unwrap().is_none());
    // And a client that is careful does not talk to somebody else's daemon either.
    assert_eq!(endpoint::connect(&socket).await.unwrap_err().code, Code::PermissionDenied);
}

#[tokio::test]
async fn broken_frames_end_the_connection_with_a_reason() {
    let no_request = Envelope { id: RequestId(2), body: Body::Completed };
    let broken: [(&str, Vec<u8>, &str); 5] = [
        ("length 0", vec![0, 0, 0, 0], "a frame of length 0 came"),
        ("length 1 MiB + 1", vec![0, 0x10, 0, 1], "a frame of 1048577 bytes came"),
        ("the longest length", vec![0xff; 4], "a frame of 4294967295 bytes came"),
        ("no message", vec![0, 0, 0, 2, 0xff, 0xff], "a frame came that is not a message"),
        ("an answer", frame::encode(&no_request).unwrap().to_vec(), "call.completed came for 2"),
    ];
    for (name, bytes, reason) in broken {
        let mut control = Control::start();
        let mut raw = Raw::connect(&control).await;

        raw.writer.send_frame(&bytes).await.unwrap();

        let Some(Envelope { id: RequestId(0), body: Body::Error(fault) }) = raw.next().await else {
            panic!("{name}: no reason")
        };
        assert_eq!(fault.code, Code::InvalidRequest, "{name}");
        assert!(fault.message.starts_with(reason), "{name}: {}", fault.message);
        assert_eq!(raw.next().await, None, "{name}");
        assert!(matches!(control.event().await, Event::ClientGone(_)), "{name}");
    }
}

#[tokio::test]
async fn an_id_that_is_used_twice_ends_both_requests() {
    let mut control = Control::start();
    let mut raw = Raw::connect(&control).await;
    raw.ask(1, watch_all()).await;
    let (call, _) = control.requested().await;

    raw.ask(1, Operation::DaemonStatus).await;

    assert_eq!(raw.fault().await, (1, Code::InvalidRequest));
    assert_eq!(control.event().await, Event::Aborted(call));
    control.clients.publish(call, heartbeat(1));
    raw.ask(1, Operation::Ping).await;
    assert_eq!(raw.next().await, Some(Envelope { id: RequestId(1), body: Body::Responded(Output::Done) }));
}

#[tokio::test]
async fn an_id_of_the_daemon_is_refused() {
    let control = Control::start();
    let mut raw = Raw::connect(&control).await;
    for id in [0, 2] {
        raw.ask(id, Operation::Ping).await;
        assert_eq!(raw.fault().await, (id, Code::InvalidRequest));
    }
}
