//! One daemon per socket and per rules file: advisory locks that end with the process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Holds a lock file until it is dropped. The file itself stays: removing it would let two daemons lock two files.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a lock is not ours.
#[derive(Debug)]
pub enum LockError {
    /// Another daemon holds it.
    Taken(PathBuf),
    /// The file cannot be opened or locked.
    Io(PathBuf, io::Error),
}

impl Lock {
    /// Takes the lock without waiting.
    ///
    /// # Errors
    /// [`LockError::Taken`] while another process holds it.
    pub fn take(path: &Path) -> Result<Lock, LockError> {
        let file = open(path).map_err(|error| LockError::Io(path.to_owned(), error))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(LockError::Io(path.to_owned(), error)),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_free_after_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alknetd.lock");

        let held = Lock::take(&path).unwrap();

        assert!(matches!(Lock::take(&path), Err(LockError::Taken(_))));
        drop(held);
        assert!(Lock::take(&path).is_ok());
    }
}
