//! What the process asks of the system before it does anything else.

/// Files of this process are for its user alone, and it may open as many as the system lets it.
///
/// Returns how many files it may have open, where the system says.
#[cfg(unix)]
pub fn prepare() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use nix::sys::stat::{Mode, umask};

    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    // Every connection is a descriptor; the soft limit of 1,024 is for programs that use select().
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let is_raised_to = |limit: &u64| soft < *limit && setrlimit(Resource::RLIMIT_NOFILE, *limit, hard).is_ok();
    Some([hard, hard.min(MOST_ON_MACOS)].into_iter().find(is_raised_to).unwrap_or(soft))
}

/// OPEN_MAX: macOS starts programs with 256, says that there is no hard limit, and takes no more than this.
#[cfg(unix)]
const MOST_ON_MACOS: u64 = 10_240;

/// Files are for their user alone by the system's defaults, and there is no limit to raise.
#[cfg(not(unix))]
pub fn prepare() -> Option<u64> {
    None
}
