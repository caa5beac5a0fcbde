//! Whether files are as they were, told by what the system says about them and without reading them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What the system says about some files. A file that is not there is as good as one that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(BTreeMap<PathBuf, Option<Stamp>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// The file itself, its mode and the time when either changed.
    #[cfg(unix)]
    identity: (u64, u32, i64, i64),
}

impl Stamps {
    /// As they are now. Blocks.
    pub(super) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Stamps {
        let stamped = paths.into_iter().map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        });
        Stamps(stamped.collect())
    }

    /// The same files as they are now. Blocks.
    pub(super) fn again(&self) -> Stamps {
        Stamps::of(self.0.keys().cloned())
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some(Stamp {
        modified: found.modified().ok(),
        bytes: found.len(),
        #[cfg(unix)]
        identity: {
            use std::os::unix::fs::MetadataExt;
            (found.ino(), found.mode(), found.ctime(), found.ctime_nsec())
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_replaced_created_or_opened_to_others_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut seen = Stamps::of([path.clone()]);
        assert_eq!(seen.again(), seen);
        let mut is_other = |what: &str| {
            let now = seen.again();
            assert_ne!(now, seen, "{what}");
            seen = now;
        };

        std::fs::write(&path, "one").unwrap();
        is_other("created");
        std::fs::write(&path, "more").unwrap();
        is_other("written");
        #[cfg(unix)]
        {
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            is_other("made private");
        }
        std::fs::remove_file(&path).unwrap();
        is_other("removed");
    }
}
