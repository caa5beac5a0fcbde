//! How the commands of the ssh configuration are run: by a shell, in a process group of their own.

use std::process::Command;

/// The user's shell as it is to run `command`. What it starts is in its group and can be ended with it.
#[cfg(unix)]
pub(super) fn shell(command: &str) -> Command {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut shell = Command::new(shell);
    shell.arg("-c").arg(command);
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    shell
}

/// The system's shell as it is to run `command`.
#[cfg(not(unix))]
pub(super) fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd.exe");
    shell.arg("/c").arg(command);
    shell
}

/// Tells the group of the shell whose process was `leader`. Nobody may be left in it.
#[cfg(unix)]
pub(super) fn signal_group(leader: u32, signal: nix::sys::signal::Signal) {
    if let Ok(group) = i32::try_from(leader) {
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), signal);
    }
}
