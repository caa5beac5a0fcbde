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
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    Some(if raised { hard } else { soft })
}

/// Files are for their user alone by the system's defaults, and there is no limit to raise.
#[cfg(not(unix))]
pub fn prepare() -> Option<u64> {
    None
}
