//! The last sign of life: one moment in one small file, written again and again, so that the next run of the daemon
//! knows when this one ended although nobody had time to say so.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

/// How far wrong the beginning of «alknetd was not running» may be after a kill.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// The file of the last sign of life.
#[derive(Debug)]
pub(super) struct Heartbeat {
    path: PathBuf,
    file: Option<File>,
}

impl Heartbeat {
    pub(super) fn new(folder: &Path) -> Self {
        Heartbeat { path: folder.join("outages.alive"), file: None }
    }

    /// The last one that was written; `None` where there is none that can be read.
    pub(super) fn last(&self) -> Option<Timestamp> {
        std::fs::read_to_string(&self.path).ok()?.lines().next()?.parse().ok()
    }

    /// Writes a sign of life over the earlier one. It has the same length, so a full disk has room for it.
    pub(super) fn beat(&mut self, now: Timestamp) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => open(&self.path)?,
        };
        let file = self.file.insert(file);
        file.seek(SeekFrom::Start(0))?;
        let written = file.write_all(format!("{}\n", now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")).as_bytes());
        if written.is_err() {
            self.file = None;
        }
        written
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sign_of_life_reads_back_and_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut heart = Heartbeat::new(folder.path());
        assert_eq!(heart.last(), None);

        for moment in ["2026-01-31T12:00:00.5Z", "2026-01-31T12:00:10Z"] {
            heart.beat(moment.parse().unwrap()).unwrap();
            assert_eq!(Heartbeat::new(folder.path()).last(), Some(moment.parse().unwrap()));
        }

        assert_eq!(std::fs::read(folder.path().join("outages.alive")).unwrap(), b"2026-01-31T12:00:10.000Z\n");
    }

    #[test]
    fn what_is_no_moment_is_no_sign_of_life() {
        let folder = tempfile::tempdir().unwrap();
        for text in [&b""[..], b"\0\0\0", b"soon", b"2026-01-31T12:0"] {
            std::fs::write(folder.path().join("outages.alive"), text).unwrap();
            assert_eq!(Heartbeat::new(folder.path()).last(), None);
        }
    }
}
