//! How many descriptors this process has open, how many it may, and when connections have to wait for that.

use alknet_proto::{Code, Reason, Stage};

/// What connections of forwards leave to clients, to the rules file and to sessions, at most.
#[cfg(unix)]
const RESERVE: u64 = 64;
/// How much of a small limit that is: one in so many.
#[cfg(unix)]
const RESERVE_PART: u64 = 4;

/// How many descriptors this process may have open, where the system says.
#[cfg(unix)]
pub fn limit() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

/// How many descriptors this process has open, where the system says. Takes one for a moment on older systems only.
#[cfg(unix)]
pub fn open() -> Option<u64> {
    let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    // From Linux 6.2 on, the size is the number.
    let counted = std::fs::metadata(folder).ok().filter(|_| cfg!(target_os = "linux")).map(|found| found.len());
    if let Some(n_open @ 1..) = counted {
        return Some(n_open);
    }
    match std::fs::read_dir(folder) {
        // One of them is this look.
        Ok(entries) => Some((entries.count() as u64).saturating_sub(1)),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EMFILE as i32) => limit(),
        Err(_) => None,
    }
}

/// Whether new connections have to wait: what is left is for clients, the rules file and sessions.
///
/// The system always gives the lowest free descriptor, so one look at it says how many are taken at least.
#[cfg(unix)]
pub fn are_scarce() -> bool {
    use std::os::fd::{AsFd, AsRawFd};
    let Some(limit) = limit() else { return false };
    let first_reserved = limit - RESERVE.min(limit / RESERVE_PART);
    match std::io::stderr().as_fd().try_clone_to_owned() {
        Ok(lowest) => u64::try_from(lowest.as_raw_fd()).is_ok_and(|lowest| first_reserved <= lowest),
        Err(_) => true,
    }
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn limit() -> Option<u64> {
    None
}

/// Windows has no such number.
#[cfg(not(unix))]
pub fn open() -> Option<u64> {
    None
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn are_scarce() -> bool {
    false
}

/// Why the connections of a forward wait.
pub fn shortage() -> Reason {
    let limit = limit().map(|limit| format!(" (it may have {limit})")).unwrap_or_default();
    Reason::new(Stage::LocalIo, Code::TooManyFiles, format!("connections wait: too many files are open{limit}"))
        .with_hint("raise the limit of the daemon (`ulimit -n`, or LimitNOFILE= in its unit), or end connections")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_counted() {
        let before = open().unwrap();
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();

        // Other tests open and close files meanwhile.
        assert!(before + 20 <= open().unwrap());
        assert!(limit().is_some_and(|limit| open().unwrap() <= limit));
        drop(files);
        assert!(!are_scarce());
    }
}
