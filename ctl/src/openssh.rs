//! Asks the ssh of this machine what it makes of its configuration.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use alknet_proto::{Code, Destination, Fault, words};
use tokio::process::Command;

use crate::compare::Dump;

/// What ssh says about a destination.
pub(crate) struct Asked {
    /// With the configuration of the user and of the machine.
    pub(crate) dump: Dump,
    /// Without any.
    pub(crate) bare: Dump,
    /// Where ssh believes the home to be.
    pub(crate) home: Option<PathBuf>,
}

/// Runs `ssh -G` twice, each time at most `limit`. Nothing is connected to.
///
/// # Errors
/// [`Code::Internal`] when there is no ssh, [`Code::InvalidConfig`] when it refuses, [`Code::TimedOut`].
pub(crate) async fn ask(destination: &Destination, home: Option<&Path>, limit: Duration) -> Result<Asked, Fault> {
    let believed = home_in_the_user_database();
    let is_moved = home.is_some() && believed.is_some() && home != believed.as_deref();
    let config = match home.filter(|_| is_moved) {
        Some(home) => Some(BothFiles::write(home)?),
        None => None,
    };
    let file = config.as_ref().map(|both| both.path.as_path());
    let dump = dump(destination, file, limit).await?;
    let bare = self::dump(destination, Some(Path::new("none")), limit).await?;
    Ok(Asked { dump, bare, home: believed.or_else(|| home.map(Path::to_owned)) })
}

async fn dump(destination: &Destination, config: Option<&Path>, limit: Duration) -> Result<Dump, Fault> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-G");
    if let Some(config) = config {
        ssh.arg("-F").arg(config);
    }
    if let Some(user) = &destination.user {
        ssh.arg("-l").arg(user);
    }
    if let Some(port) = destination.port {
        ssh.arg("-p").arg(port.to_string());
    }
    ssh.arg("--").arg(&destination.host);
    ssh.stdin(Stdio::null()).kill_on_drop(true);
    let ended = match tokio::time::timeout(limit, ssh.output()).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
            return Err(Fault::new(Code::Internal, "ssh is not installed: there is nothing to compare with")
                .with_hint("without --compare the explanation is the same"));
        }
        Ok(Err(error)) => {
            return Err(Fault::new(Code::Internal, format!("cannot run ssh -G: {}", words::of_io(&error))));
        }
        Err(_) => {
            let message = format!("ssh -G did not end within {} s", limit.as_secs_f64());
            return Err(Fault::new(Code::TimedOut, message).with_hint("a `Match exec` may run a command that waits"));
        }
    };
    if ended.status.success() { Ok(Dump::read(&String::from_utf8_lossy(&ended.stdout))) } else { Err(refusal(&ended)) }
}

/// The last line of what ssh says to people is the one that counts, and the one before says where.
fn refusal(ended: &Output) -> Fault {
    let said = String::from_utf8_lossy(&ended.stderr);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(2)..];
    let why = if last.is_empty() { ended.status.to_string() } else { last.join("; ") };
    Fault::new(Code::InvalidConfig, format!("ssh itself cannot use its configuration: {why}"))
}

/// A configuration that reads the user's file and then the machine's, as ssh does by itself.
///
/// ssh takes the home from the user database; where `HOME` says otherwise, only this makes it read the same file.
struct BothFiles {
    path: PathBuf,
}

impl BothFiles {
    fn write(home: &Path) -> Result<BothFiles, Fault> {
        let path = std::env::temp_dir().join(format!("alknetctl-{}.ssh_config", std::process::id()));
        let user = home.join(".ssh").join("config");
        let global = if cfg!(windows) { r"C:\ProgramData\ssh\ssh_config" } else { "/etc/ssh/ssh_config" };
        let text = format!("Include \"{}\"\nInclude {global}\n", user.display());
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => Ok(BothFiles { path }),
            Err(error) => {
                let message = format!("cannot write {}: {}", path.display(), words::of_io(&error));
                Err(Fault::new(Code::Internal, message).with_hint("take the file away, or set TMPDIR"))
            }
        }
    }
}

impl Drop for BothFiles {
    fn drop(&mut self) {
        // What stays behind is two lines that say nothing secret.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn home_in_the_user_database() -> Option<PathBuf> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map(|user| user.dir)
}

#[cfg(not(unix))]
fn home_in_the_user_database() -> Option<PathBuf> {
    None
}
