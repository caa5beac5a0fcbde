use std::net::TcpListener as StdListener;

use alknet_proto::{BindAddress, Code, Forwarding};
use tokio::net::TcpStream;

use super::*;

fn tcp_bind(spec: &str) -> Bind {
    Forwarding::parse_dynamic(spec).unwrap().bind().clone()
}

async fn refused(bind_to: &Bind) -> Reason {
    bind(bind_to, None).await.expect_err("it is refused")
}

fn has_v6() -> bool {
    StdListener::bind("[::1]:0").is_ok()
}

#[tokio::test]
async fn localhost_listens_on_both_families_at_one_port() {
    let bound = bind(&tcp_bind("localhost:0"), None).await.unwrap();
    let port = bound.port.unwrap();

    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    bound.accept().await.unwrap();
    if has_v6() {
        TcpStream::connect(("::1", port)).await.unwrap();
        bound.accept().await.unwrap();
        assert_eq!(bound.notices, Vec::<String>::new());
    } else {
        assert!(bound.notices[0].starts_with("localhost listens without ::1: "), "{:?}", bound.notices);
    }
}

#[tokio::test]
async fn a_taken_port_is_refused_by_name_and_leaves_nothing() {
    if !has_v6() {
        return;
    }
    let squatter = StdListener::bind("[::1]:0").unwrap();
    let port = squatter.local_addr().unwrap().port();

    let reason = refused(&tcp_bind(&format!("localhost:{port}"))).await;

    assert_eq!(reason.code, Code::AddressInUse);
    assert!(reason.message.starts_with(&format!("port {port} on ::1 is already used by another ")), "{reason}");
    StdListener::bind(("127.0.0.1", port)).expect("the other family was given back");
}

#[tokio::test]
async fn the_earlier_port_is_taken_again_when_it_is_free() {
    let free = {
        let bound = bind(&tcp_bind("0"), None).await.unwrap();
        bound.port
    };

    let again = bind(&tcp_bind("0"), free).await.unwrap();
    let meanwhile = bind(&tcp_bind("0"), free).await.unwrap();

    assert_eq!(again.port, free);
    assert_ne!(meanwhile.port, free);
    assert_eq!(meanwhile.notices, Vec::<String>::new());
}

#[tokio::test]
async fn a_wide_address_is_said_aloud() {
    let bound = bind(&tcp_bind("0.0.0.0:0"), None).await.unwrap();
    let everywhere = bind(&tcp_bind("*:0"), None).await.unwrap();

    assert_eq!(bound.notices, [format!("port {} on 0.0.0.0 is open to other machines", bound.port.unwrap())]);
    assert!(everywhere.notices.iter().any(|notice| notice.ends_with("open to other machines")));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_keeps_its_zone() {
    if !has_v6() {
        return;
    }

    let reason = refused(&tcp_bind("[fe80::7%lo]:0")).await;

    // Without the zone, the system calls it an invalid argument.
    assert!(reason.message.contains("this machine does not have the address fe80::7%1"), "{reason}");
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_refused_in_plain_words() {
    let reason = refused(&tcp_bind("nobody.invalid:0")).await;

    assert!(reason.message.starts_with("the bind address nobody.invalid cannot be looked up: "), "{reason}");
    assert!(!reason.message.contains("failed to") && !reason.message.contains("os error"), "{reason}");
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    let reason = refused(&tcp_bind("192.0.2.1:0")).await;

    assert_eq!(reason.code, Code::AddressNotAvailable);
    assert!(reason.message.contains("192.0.2.1"), "{reason}");
}

#[tokio::test]
async fn the_default_is_the_loopback_alone() {
    let bound = bind(&Bind::Tcp(BindAddress::default(), 0), None).await.unwrap();

    assert_eq!((bound.sockets.len(), bound.notices.len()), (1, 0));
}

#[cfg(unix)]
mod sockets {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener as StdUnixListener;
    use std::path::Path;

    use tokio::net::UnixStream;

    use super::*;

    fn at(path: &Path) -> Bind {
        Bind::Unix(path.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_socket_is_for_its_user_alone_and_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");

        let bound = bind(&at(&path), None).await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        UnixStream::connect(&path).await.unwrap();
        bound.accept().await.unwrap();
        drop(bound);

        assert_eq!(mode & 0o777, 0o600);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        drop(StdUnixListener::bind(&path).unwrap());

        let _bound = bind(&at(&path), None).await.unwrap();

        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_live_socket_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let _live = StdUnixListener::bind(&path).unwrap();

        let reason = refused(&at(&path)).await;

        assert_eq!(reason.code, Code::AddressInUse);
        UnixStream::connect(&path).await.expect("it still listens");
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        fs::write(&path, "precious").unwrap();

        let reason = refused(&at(&path)).await;

        assert_eq!(reason.code, Code::AddressInUse);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn what_took_the_place_of_the_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");

        let bound = bind(&at(&path), None).await.unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        fs::write(&path, "of another program").unwrap();
        drop(bound);

        assert_eq!(fs::read_to_string(&path).unwrap(), "of another program");
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();

        let reason = refused(&at(&dir.path().join("none/a.sock"))).await;

        assert_eq!(reason.code, Code::AddressNotAvailable);
        assert!(reason.message.ends_with("its directory does not exist"), "{reason}");
    }
}
