//! The control socket: where it is, and that only its owner's programs talk through it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ListenerOptions, ToFsName};

use crate::fault::{Code, Fault};
use crate::words;

#[cfg(unix)]
use unix as system;
#[cfg(unix)]
pub use unix::is_shared_on_purpose;
#[cfg(windows)]
use windows as system;

/// A connection between a client and the daemon. Dropping it closes it.
pub type Stream = interprocess::local_socket::tokio::Stream;

/// Who is at the other end of a [`Stream`], as the system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The user, where the system numbers them.
    pub uid: Option<u32>,
    /// The process that connected. For logs only: by now another program may have the number.
    pub pid: Option<u32>,
    /// Whether it is the user who runs this program.
    pub is_same_user: bool,
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.uid, self.pid) {
            (Some(uid), Some(pid)) => write!(f, "user {uid}, process {pid}"),
            (Some(uid), None) => write!(f, "user {uid}"),
            (None, Some(pid)) => write!(f, "process {pid}"),
            (None, None) => f.write_str("an unknown process"),
        }
    }
}

/// Where the daemon listens unless it is told otherwise.
///
/// # Errors
/// [`Code::InvalidConfig`] when the system does not say where this user's files are.
pub fn default_socket() -> Result<PathBuf, Fault> {
    system::default_socket().ok_or_else(|| {
        Fault::new(Code::InvalidConfig, "this user has no home directory, so there is no place for the control socket")
            .with_hint("name one with --socket or ALKNET_SOCKET")
    })
}

/// Connects to the daemon at `socket`, and makes sure that it is run by this user.
///
/// # Errors
/// [`Code::NoDaemon`], [`Code::PermissionDenied`], and [`Code::InvalidSpec`] for an impossible path.
pub async fn connect(socket: &Path) -> Result<Stream, Fault> {
    system::check_path(socket)?;
    let name = socket.to_fs_name::<GenericFilePath>().map_err(|error| impossible_path(socket, &error))?;
    let stream =
        ConnectOptions::new().name(name).connect_tokio().await.map_err(|error| cannot_connect(socket, &error))?;
    let daemon = identify(&stream);
    if daemon.is_same_user {
        return Ok(stream);
    }
    Err(Fault::new(
        Code::PermissionDenied,
        format!("the daemon at {} is run by somebody else ({daemon})", socket.display()),
    )
    .with_hint("another user's daemon is never talked to: check --socket and ALKNET_SOCKET"))
}

/// Makes the directory of `socket`, for its owner alone; refuses one that others may write to.
///
/// # Errors
/// [`Code::PermissionDenied`] when the directory is not safe, [`Code::InvalidSpec`] for an impossible path.
pub fn prepare_directory(socket: &Path) -> Result<(), Fault> {
    system::check_path(socket)?;
    system::prepare_directory(socket)
}

/// Listens at `socket`. The caller holds the lock beside it, so that what lies there is stale.
///
/// On Unix the socket is open to its owner only from its first moment on, in a directory that
/// belongs to the owner alone; it is created if it is missing.
///
/// # Errors
/// [`Code::PermissionDenied`] when the directory or what lies at the path is not safe, and
/// [`Code::InvalidSpec`] for an impossible path.
pub fn listen(socket: &Path) -> Result<Listener, Fault> {
    prepare_directory(socket)?;
    system::remove_stale(socket)?;
    let name = socket.to_fs_name::<GenericFilePath>().map_err(|error| impossible_path(socket, &error))?;
    let options = ListenerOptions::new().name(name);
    let inner = system::create(options).map_err(|error| {
        Fault::new(error_code(&error), format!("cannot listen at {}: {}", socket.display(), words::of_io(&error)))
            .with_hint("name another one with --socket or ALKNET_SOCKET")
    })?;
    Ok(Listener { inner })
}

/// The daemon's end of the control socket. Dropping it removes the socket file.
#[derive(Debug)]
pub struct Listener {
    inner: interprocess::local_socket::tokio::Listener,
}

impl Listener {
    /// Waits for a client. Cancel-safe.
    ///
    /// # Errors
    /// What the system says, for instance that there are too many open files: the listener stays
    /// usable, but the caller should wait a second before it asks again.
    pub async fn accept(&self) -> io::Result<(Stream, PeerIdentity)> {
        let stream = self.inner.accept().await?;
        let peer = identify(&stream);
        Ok((stream, peer))
    }
}

/// A peer that the system says nothing about is taken for somebody else.
fn identify(stream: &Stream) -> PeerIdentity {
    system::identity(stream).unwrap_or(PeerIdentity { uid: None, pid: None, is_same_user: false })
}

fn impossible_path(socket: &Path, error: &io::Error) -> Fault {
    let message = format!("{} cannot be the path of a control socket: {}", socket.display(), words::of_io(error));
    Fault::new(Code::InvalidSpec, message).with_hint("name another one with --socket or ALKNET_SOCKET")
}

fn cannot_connect(socket: &Path, error: &io::Error) -> Fault {
    let place = socket.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Fault::new(Code::PermissionDenied, format!("the control socket {place} belongs to somebody else"))
                .with_hint("run this as the user who started the daemon")
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Fault::new(Code::NoDaemon, format!("no daemon listens at {place}")).with_hint(system::HOW_TO_START)
        }
        _ => Fault::new(Code::NoDaemon, format!("cannot connect to the daemon at {place}: {}", words::of_io(error)))
            .with_hint(system::HOW_TO_START),
    }
}

fn error_code(error: &io::Error) -> Code {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        io::ErrorKind::AddrInUse => Code::AddressInUse,
        _ => Code::Internal,
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, DirBuilder, Permissions};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};

    use directories::ProjectDirs;
    use nix::unistd::geteuid;

    use super::*;
    use crate::forwarding::MAX_SOCKET_PATH_BYTES;

    pub(super) const HOW_TO_START: &str = if cfg!(target_os = "macos") {
        "start it with: alknetd &"
    } else {
        "start it with: alknetd &   (or: systemctl --user start alknetd)"
    };
    const SOCKET_MODE: nix::libc::mode_t = 0o600;
    const DIRECTORY_MODE: u32 = 0o700;
    const WRITABLE_BY_OTHERS: u32 = 0o022;

    pub(super) fn default_socket() -> Option<PathBuf> {
        let places = ProjectDirs::from("", "", "alknet")?;
        let directory = match (places.runtime_dir(), places.state_dir()) {
            (Some(runtime), _) => runtime.to_owned(),
            (None, Some(state)) => state.join("run"),
            // macOS has neither, and its $TMPDIR changes between logins and is swept.
            (None, None) => places.data_dir().to_owned(),
        };
        Some(directory.join("alknetd.sock"))
    }

    pub(super) fn check_path(socket: &Path) -> Result<(), Fault> {
        let length = socket.as_os_str().as_bytes().len();
        if length <= MAX_SOCKET_PATH_BYTES {
            return Ok(());
        }
        Err(Fault::new(
            Code::InvalidSpec,
            format!(
                "the path of the control socket has {length} bytes, the system takes {MAX_SOCKET_PATH_BYTES}: {}",
                socket.display()
            ),
        )
        .with_hint("name a shorter one with --socket or ALKNET_SOCKET"))
    }

    pub(super) fn prepare_directory(socket: &Path) -> Result<(), Fault> {
        let directory = match socket.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Err(unsafe_place(socket, "is no path of a file")),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(directory)
            .map_err(|error| unsafe_place(directory, &format!("cannot be created: {}", words::of_io(&error))))?;
        check_directory(directory)?;
        // Nothing but ours is in the place of this system; a folder that a person named may be anything.
        if default_socket().as_deref() == Some(socket) {
            let private = Permissions::from_mode(DIRECTORY_MODE);
            fs::set_permissions(directory, private).map_err(|error| {
                unsafe_place(directory, &format!("cannot be made private: {}", words::of_io(&error)))
            })?;
        }
        Ok(())
    }

    /// Takes a socket that nobody listens at any more out of the way, and nothing else.
    pub(super) fn remove_stale(socket: &Path) -> Result<(), Fault> {
        let found = match fs::symlink_metadata(socket) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unsafe_place(socket, &format!("cannot be looked at: {}", words::of_io(&error)))),
        };
        if !found.file_type().is_socket() {
            return Err(unsafe_place(socket, "is no socket, so it is left alone"));
        }
        if found.uid() != geteuid().as_raw() {
            return Err(unsafe_place(socket, "belongs to somebody else"));
        }
        fs::remove_file(socket)
            .map_err(|error| unsafe_place(socket, &format!("cannot be removed: {}", words::of_io(&error))))
    }

    /// Whoever may write to the directory could put a socket of their own in place of ours.
    fn check_directory(directory: &Path) -> Result<(), Fault> {
        let found = fs::symlink_metadata(directory)
            .map_err(|error| unsafe_place(directory, &format!("cannot be looked at: {}", words::of_io(&error))))?;
        if found.file_type().is_symlink() {
            return Err(unsafe_place(directory, "is a symbolic link; the directory of the control socket must not be"));
        }
        if !found.is_dir() {
            return Err(unsafe_place(directory, "is no directory"));
        }
        if found.uid() != geteuid().as_raw() {
            return Err(unsafe_place(directory, "belongs to somebody else"));
        }
        if found.mode() & WRITABLE_BY_OTHERS != 0 {
            let fault = unsafe_place(directory, "can be written to by other users");
            if is_shared_on_purpose(found.mode()) {
                return Err(fault);
            }
            return Err(
                fault.with_hint(format!("chmod go-w {}, or name another socket with --socket", directory.display()))
            );
        }
        Ok(())
    }

    /// Whether a folder that others may write to is meant to be so, as /tmp is: taking that away would break other
    /// programs.
    pub fn is_shared_on_purpose(mode: u32) -> bool {
        const STICKY_OR_SETGID: u32 = 0o3000;
        const WRITABLE_BY_ALL: u32 = 0o002;
        mode & (STICKY_OR_SETGID | WRITABLE_BY_ALL) != 0
    }

    fn unsafe_place(place: &Path, what: &str) -> Fault {
        Fault::new(Code::PermissionDenied, format!("{} {what}", place.display()))
            .with_hint("name another socket with --socket or ALKNET_SOCKET")
    }

    /// The mode is set before the socket has a name, so at no time can anybody else connect.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "openbsd"))]
    pub(super) fn create(options: ListenerOptions<'_>) -> io::Result<LocalSocketListener> {
        use interprocess::os::unix::local_socket::ListenerOptionsExt;
        options.mode(SOCKET_MODE).create_tokio()
    }

    /// Here a socket takes no mode before it has a name. The daemon listens before it starts
    /// anything that makes files, so the narrow umask of this moment harms nobody.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "openbsd")))]
    pub(super) fn create(options: ListenerOptions<'_>) -> io::Result<LocalSocketListener> {
        use nix::sys::stat::{Mode, umask};
        let earlier = umask(Mode::from_bits_truncate(0o777 & !SOCKET_MODE));
        let created = options.create_tokio();
        umask(earlier);
        created
    }

    /// The user is what counts. A process of another PID namespace, for instance outside of our container,
    /// has none here: the system says 0, which interprocess takes for an error.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn identity(stream: &Stream) -> Option<PeerIdentity> {
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
        let Stream::UdSocket(socket) = stream;
        let credentials = getsockopt(socket, PeerCredentials).ok()?;
        let is_same_user = credentials.uid() == geteuid().as_raw();
        let pid = u32::try_from(credentials.pid()).ok().filter(|pid| *pid != 0);
        Some(PeerIdentity { uid: Some(credentials.uid()), pid, is_same_user })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn identity(stream: &Stream) -> Option<PeerIdentity> {
        let credentials = stream.peer_creds().ok()?;
        let uid = credentials.euid();
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        Some(PeerIdentity { uid, pid, is_same_user: uid == Some(geteuid().as_raw()) })
    }
}

#[cfg(windows)]
mod windows {
    use interprocess::os::windows::local_socket::ListenerOptionsExt;
    use interprocess::os::windows::security_descriptor::SecurityDescriptor;
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
    use widestring::U16CString;

    use super::*;

    pub(super) const HOW_TO_START: &str = "start it in another window with: alknetd";
    /// Where the pipes of this machine are.
    const PIPES: &str = r"\\.\pipe\";

    pub(super) fn default_socket() -> Option<PathBuf> {
        own_sid().map(|sid| PathBuf::from(format!("{PIPES}alknetd-{sid}")))
    }

    pub(super) fn check_path(socket: &Path) -> Result<(), Fault> {
        let name = socket.to_str().and_then(|path| path.strip_prefix(PIPES));
        if name.is_some_and(|name| !name.is_empty() && !name.contains('\\')) {
            return Ok(());
        }
        Err(Fault::new(Code::InvalidSpec, format!("{} cannot be the name of a pipe of this machine", socket.display()))
            .with_hint(format!("name one such as {PIPES}alknetd with --socket or ALKNET_SOCKET")))
    }

    /// A pipe has no directory.
    pub(super) fn prepare_directory(_: &Path) -> Result<(), Fault> {
        Ok(())
    }

    /// A pipe is gone when its last owner is, so there is nothing stale.
    pub(super) fn remove_stale(_: &Path) -> Result<(), Fault> {
        Ok(())
    }

    /// The list of who may is protected from inheritance and names the owner alone. Other machines
    /// are refused by the library's own default, and so is a pipe that exists: it is the lock of its name.
    pub(super) fn create(options: ListenerOptions<'_>) -> io::Result<LocalSocketListener> {
        let sid = own_sid().ok_or_else(|| io::Error::other("the system does not say which user this is"))?;
        let rights = U16CString::from_str(format!("D:P(A;;GA;;;{sid})")).map_err(io::Error::other)?;
        let created = options.security_descriptor(SecurityDescriptor::deserialize(&rights)?).create_tokio();
        created.map_err(|error| match error.kind() {
            // For the first one of a name, the system says so when somebody has the name already.
            io::ErrorKind::PermissionDenied => io::Error::new(io::ErrorKind::AddrInUse, "another program has it"),
            _ => error,
        })
    }

    pub(super) fn identity(stream: &Stream) -> Option<PeerIdentity> {
        let pid = stream.peer_creds().ok()?.pid();
        let owner = pid.and_then(|pid| sid_of(Pid::from_u32(pid)));
        Some(PeerIdentity { uid: None, pid, is_same_user: owner.is_some() && owner == own_sid() })
    }

    fn own_sid() -> Option<String> {
        sid_of(sysinfo::get_current_pid().ok()?)
    }

    fn sid_of(pid: Pid) -> Option<String> {
        let mut system = System::new();
        let what = ProcessRefreshKind::nothing().with_user(UpdateKind::Always);
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
        system.process(pid)?.user_id().map(|sid| sid.to_string())
    }
}
