//! Runs the command of a `Match exec`, which says by its exit code whether the block applies.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::ssh::shell::shell;

/// How long the command may take: the session waits for it.
const LIMIT: Duration = Duration::from_secs(10);

/// How often a command that runs is looked after; nobody but this thread waits.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Whether the command ends with success. Blocks, at most 10 s; then the command is ended.
///
/// # Errors
/// When it cannot be run or does not end, as a fragment.
pub(super) fn succeeds(command: &str) -> Result<bool, String> {
    let mut shell = shell(command);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child =
        shell.spawn().map_err(|error| format!("the command cannot be run: {}", alknet_proto::words::of_io(&error)))?;
    let deadline = Instant::now() + LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
            Ok(None) => {
                end(&mut child);
                return Err(format!("the command did not end within {} s", LIMIT.as_secs()));
            }
            Err(error) => return Err(format!("the command was lost: {}", alknet_proto::words::of_io(&error))),
        }
    }
}

fn end(child: &mut std::process::Child) {
    #[cfg(unix)]
    crate::ssh::shell::signal_group(child.id(), nix::sys::signal::Signal::SIGKILL);
    // It may have ended by itself in this moment.
    let _ = child.kill();
    let _ = child.wait();
}
