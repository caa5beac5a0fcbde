//! Listens at a Unix socket that only its user can connect to, and removes it afterwards.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};

use alknet_proto::{Code, Reason, Stage, words};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::BACKLOG;

const ONLY_THE_USER: u32 = 0o600;

/// A listening socket and its file; dropping it removes the file if it is still ours.
#[derive(Debug)]
pub(super) struct OwnedSocket {
    listener: UnixListener,
    _file: SocketFile,
}

impl OwnedSocket {
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.listener.poll_accept(cx).map_ok(|(stream, _)| stream)
    }
}

/// The file of a socket that this program made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode: another file may have the path by now.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a socket file is left behind");
        }
    }
}

/// Listens at `path`; the file of a socket at which nobody listens is replaced.
pub(super) async fn bind(path: &str) -> Result<OwnedSocket, Reason> {
    match listen(Path::new(path)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path).await?;
            listen(Path::new(path)).map_err(|error| refused(path, &error))
        }
        listened => listened.map_err(|error| refused(path, &error)),
    }
}

fn listen(path: &Path) -> io::Result<OwnedSocket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux makes the file with the mode of the socket; elsewhere this has no effect.
    if let Err(error) = nix::sys::stat::fchmod(&socket, nix::sys::stat::Mode::from_bits_truncate(0o600)) {
        tracing::trace!(%error, "the mode of a socket file is set after it was made");
    }
    socket.bind(&SockAddr::unix(path)?)?;
    let made = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), identity: (made.dev(), made.ino()) };
    if made.permissions().mode() & 0o777 != ONLY_THE_USER {
        // In time: before `listen` nobody can connect.
        fs::set_permissions(path, Permissions::from_mode(ONLY_THE_USER))?;
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = UnixListener::from_std(std::os::unix::net::UnixListener::from(OwnedFd::from(socket)))?;
    Ok(OwnedSocket { listener, _file: file })
}

/// Removes what is at `path` if it is a socket of this user at which nobody listens.
async fn remove_stale(path: &str) -> Result<(), Reason> {
    let taken = |what: &str| {
        Err(Reason::new(Stage::Bind, Code::AddressInUse, format!("{path} {what}")).with_hint("choose another path"))
    };
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
    if !there.file_type().is_socket() {
        return taken("is a file that is not a socket");
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        // A program with a full backlog answers with an error too.
        Ok(_) | Err(_) => return taken("is already used by another program"),
    }
    if there.uid() != nix::unistd::geteuid().as_raw() {
        return taken("is a socket of another user");
    }
    fs::remove_file(path).map_err(|error| refused(path, &error))
}

fn refused(path: &str, error: &io::Error) -> Reason {
    let (code, message, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => {
            (Code::AddressInUse, format!("{path} is already used by another program"), "choose another path")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
            Code::PermissionDenied,
            format!("{path} cannot be made: the system refuses it to this user"),
            "choose a directory that this user can write to",
        ),
        io::ErrorKind::NotFound => (
            Code::AddressNotAvailable,
            format!("{path} cannot be made: its directory does not exist"),
            "create the directory first, or choose another path",
        ),
        io::ErrorKind::InvalidInput => (
            Code::InvalidSpec,
            format!("{path} cannot be the path of a socket: {}", words::of_io(error)),
            "choose a shorter path",
        ),
        _ => (
            Code::AddressNotAvailable,
            format!("{path} cannot be listened at: {}", words::of_io(error)),
            "choose another path",
        ),
    };
    Reason::new(Stage::Bind, code, message).with_hint(hint)
}
