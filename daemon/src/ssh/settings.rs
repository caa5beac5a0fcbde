//! What every session needs to know about this machine and this user.

use std::path::PathBuf;
use std::time::Duration;

use super::{load, wear};

/// How long a server may stay silent before it is asked whether it is there.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How many of these questions may stay without an answer.
pub(super) const KEEPALIVE_COUNT: u32 = 3;

/// The same for every session of a daemon.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The user's home; `~/.ssh` is in it.
    pub home: PathBuf,
    /// Known hosts of the machine.
    pub global_known_hosts: Vec<PathBuf>,
    /// How long a server may stay silent before it is asked whether it is there. Zero: it is never asked.
    pub keepalive_interval: Duration,
    /// How many of these questions may stay without an answer.
    pub keepalive_count: u32,
    /// A session is replaced when one key has encrypted so much.
    pub renew_after_bytes: u64,
    /// A session is replaced when one key has been in use for so long.
    pub renew_after: Duration,
    /// So many busy channels are enough for one link: a new connection gets another one.
    pub busy_channels: u32,
    /// The socket (or pipe) of the user's ssh-agent.
    pub auth_sock: Option<PathBuf>,
    /// The local login name; it is the one on the server too where nothing else is said.
    pub user: String,
    /// The user's ssh configuration.
    pub ssh_config: PathBuf,
    /// The machine's ssh configuration.
    pub global_ssh_config: PathBuf,
    /// What alknet's own configuration says besides.
    pub ssh_options: SshOptions,
}

/// What alknet's own configuration says about ssh's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshOptions {
    /// Lines as in ssh's configuration; they come before it.
    pub lines: Vec<String>,
    /// The commands of `Match exec` may be run.
    pub may_run_match_exec: bool,
}

impl Settings {
    /// What OpenSSH would take from the environment of this process. `HOME` comes before the user database, except
    /// on Windows, where the system alone says where the profile is.
    ///
    /// # Errors
    /// When there is no home directory, or nobody knows who the user is; the text completes «cannot start:».
    pub fn from_environment() -> Result<Settings, String> {
        let home = home().ok_or("the user has no home directory: set HOME")?;
        let user = login_name().ok_or("the login name of the user is not known: set USER")?;
        let ssh = home.join(".ssh");
        let global = global_folder();
        Ok(Settings {
            global_known_hosts: vec![global.join("ssh_known_hosts"), global.join("ssh_known_hosts2")],
            keepalive_interval: KEEPALIVE_INTERVAL,
            keepalive_count: KEEPALIVE_COUNT,
            renew_after_bytes: wear::MAX_BYTES,
            renew_after: wear::MAX_AGE,
            busy_channels: load::BUSY_CHANNELS,
            auth_sock: agent(),
            user,
            ssh_config: ssh.join("config"),
            global_ssh_config: global.join("ssh_config"),
            ssh_options: SshOptions::default(),
            home,
        })
    }

    /// The folder of the user's keys and known hosts.
    pub(super) fn ssh_folder(&self) -> PathBuf {
        self.home.join(".ssh")
    }
}

fn home() -> Option<PathBuf> {
    // Shells that come from Unix set it on Windows too, to paths that only they understand.
    if cfg!(windows) {
        return directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    }
    let named = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    named.or_else(|| directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()))
}

#[cfg(unix)]
fn login_name() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map(|user| user.name).or_else(|| std::env::var("USER").ok()).filter(|name| !name.is_empty())
}

#[cfg(not(unix))]
fn login_name() -> Option<String> {
    std::env::var("USERNAME").ok().filter(|name| !name.is_empty())
}

#[cfg(unix)]
fn global_folder() -> PathBuf {
    PathBuf::from("/etc/ssh")
}

#[cfg(not(unix))]
fn global_folder() -> PathBuf {
    std::env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from).join("ssh")
}

fn agent() -> Option<PathBuf> {
    let named = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
    let by_default = cfg!(windows).then(|| PathBuf::from(r"\\.\pipe\openssh-ssh-agent"));
    named.or(by_default)
}
