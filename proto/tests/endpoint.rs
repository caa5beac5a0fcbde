//! The control socket on Unix: what it refuses, and what it leaves alone.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may end by a panic")]

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use alknet_proto::Code;
use alknet_proto::endpoint::{connect, default_socket, listen};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn client_and_daemon_meet_at_the_socket() {
    let place = TempDir::new().unwrap();
    let socket = place.path().join("run/alknet/alknetd.sock");

    let listener = listen(&socket).unwrap();
    let (client, accepted) = tokio::join!(connect(&socket), listener.accept());
    let mut client = client.unwrap();
    let (mut daemon, peer) = accepted.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    daemon.read_exact(&mut heard).await.unwrap();

    assert_eq!(&heard, b"hello");
    assert!(peer.is_same_user);
    assert_eq!(peer.uid, Some(nix::unistd::geteuid().as_raw()));
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn the_socket_goes_with_the_listener() {
    let place = TempDir::new().unwrap();
    let socket = place.path().join("alknetd.sock");

    drop(listen(&socket).unwrap());

    assert!(!socket.exists());
}

#[tokio::test]
async fn without_a_daemon_the_socket_and_the_way_to_start_are_named() {
    let place = TempDir::new().unwrap();
    let socket = place.path().join("alknetd.sock");

    let missing = connect(&socket).await.unwrap_err();
    drop(UnixListener::bind(&socket).unwrap());
    let stale = connect(&socket).await.unwrap_err();

    for fault in [missing, stale] {
        assert_eq!(fault.code, Code::NoDaemon);
        assert!(fault.message.contains(socket.to_str().unwrap()), "{}", fault.message);
        assert!(fault.hint.unwrap().contains("alknetd &"));
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let place = TempDir::new().unwrap();
    let socket = place.path().join("alknetd.sock");
    drop(UnixListener::bind(&socket).unwrap());

    let listener = listen(&socket).unwrap();

    let (client, accepted) = tokio::join!(connect(&socket), listener.accept());
    assert!(client.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("file.sock");
    let link = place.path().join("link.sock");
    let target = place.path().join("target.sock");
    fs::write(&file, "precious").unwrap();
    let _other = UnixListener::bind(&target).unwrap();
    symlink(&target, &link).unwrap();

    for path in [&file, &link] {
        assert_eq!(listen(path).unwrap_err().code, Code::PermissionDenied, "{}", path.display());
    }

    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(fs::symlink_metadata(&target).unwrap().file_type().is_socket());
}

#[tokio::test]
async fn a_directory_that_others_can_write_to_is_refused() {
    let place = TempDir::new().unwrap();
    for (wide, is_to_be_mended) in [(0o770, true), (0o707, false), (0o1777, false), (0o2770, false)] {
        fs::set_permissions(place.path(), fs::Permissions::from_mode(wide)).unwrap();
        let fault = listen(&place.path().join("alknetd.sock")).unwrap_err();
        assert_eq!(fault.code, Code::PermissionDenied);
        assert!(fault.message.contains("can be written to by other users"), "{}", fault.message);
        // Who takes the rights of others away from /tmp breaks their programs.
        let hint = fault.hint.unwrap();
        assert_eq!(hint.contains("chmod"), is_to_be_mended, "{wide:o}: {hint}");
        assert!(hint.contains("--socket"), "{hint}");
    }
}

#[tokio::test]
async fn a_directory_that_is_a_symbolic_link_is_refused() {
    let place = TempDir::new().unwrap();
    let directory = place.path().join("real");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&directory, place.path().join("link")).unwrap();

    let fault = listen(&place.path().join("link/alknetd.sock")).unwrap_err();

    assert!(fault.message.contains("symbolic link"), "{}", fault.message);
}

#[tokio::test]
async fn an_over_long_path_is_one_clear_fault() {
    let socket = Path::new("/tmp").join("x".repeat(120));

    for fault in [listen(&socket).unwrap_err(), connect(&socket).await.unwrap_err()] {
        assert_eq!(fault.code, Code::InvalidSpec);
        assert!(fault.message.contains("125 bytes"), "{}", fault.message);
        assert!(fault.hint.unwrap().contains("--socket"));
    }
}

#[tokio::test]
async fn the_longest_possible_path_works() {
    let place = TempDir::new().unwrap();
    let longest = if cfg!(target_os = "macos") { 103 } else { 107 };
    let name = "s".repeat(longest - place.path().as_os_str().len() - 1);
    let socket = place.path().join(name);

    let listener = listen(&socket).unwrap();

    let (client, accepted) = tokio::join!(connect(&socket), listener.accept());
    assert!(client.is_ok() && accepted.is_ok());
}

#[test]
fn the_default_socket_is_never_in_a_shared_directory() {
    let socket = default_socket().unwrap();
    assert!(socket.ends_with("alknet/alknetd.sock") || socket.ends_with("alknet/run/alknetd.sock"));
    assert!(!socket.starts_with("/tmp"));
}
