//! The daemon's own configuration: a small file that a person writes and no program does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use alknet_core::Options;
use alknet_core::limits::{HANDSHAKES_PER_MINUTE, MAX_FORWARDS};
use alknet_proto::status::Limits;
use alknet_proto::{Code, Fault, Stage};
use serde::Deserialize;

use crate::forward;
use crate::logging::{Format, Level};
use crate::ssh::SshOptions;
use crate::{ssh, text_file};

/// What the file may say; each setting has a default, so that the file may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How much is logged: error, warn, info (default), debug or trace.
    pub log_level: Option<Level>,
    /// How it is written: text, json or journal. Default: the journal under systemd, else text.
    pub log_format: Option<Format>,
    /// How long open connections may go on when the daemon stops, in seconds. Default 5.
    stop_grace_seconds: Option<u64>,
    /// How long a server may be silent before it is asked whether it is there, in seconds. Default 15.
    keepalive_interval_seconds: Option<u64>,
    /// How many such questions may stay unanswered. Default 3.
    keepalive_count: Option<u32>,
    /// Whether the commands of `Match exec` in the ssh configuration may be run. Default false.
    match_exec: bool,
    /// Lines as in ssh's configuration, for every destination; they come before ssh's files. Default none.
    ssh_options: Vec<String>,
    /// How many sessions one destination may have under load. Default 3.
    max_sessions_per_destination: Option<usize>,
    /// How many sessions there may be in all, to whatever destination. Default 256.
    max_sessions: Option<usize>,
    /// How many connections one rule may have open. Default 4096.
    max_connections_per_rule: Option<usize>,
    /// So many busy channels are enough for one session; a new connection gets another one. Default 10.
    busy_channels_per_session: Option<u32>,
    /// A session is replaced when one key has encrypted so many bytes. Default 2^36, which is 64 GiB.
    renew_after_bytes: Option<u64>,
    /// A session is replaced when one key has been in use for so long, in seconds. Default 86400.
    renew_after_seconds: Option<u64>,
    /// How long a session that nothing wants stays logged in, in seconds; 0 is never too long. Default 1800.
    idle_timeout: Option<u64>,
}

/// The least that makes sense: a session costs a login.
const MIN_RENEW_BYTES: u64 = 1 << 20;
const MIN_RENEW_SECONDS: u64 = 10;

/// More than one daemon has descriptors for.
const MAX_SESSIONS: usize = 65_536;
const MAX_CONNECTIONS: usize = 65_536;

/// The longest time that a setting may be, so that sums of them make sense.
const MAX_SECONDS: u64 = 86_400;

impl Config {
    /// Reads the file. `is_asked_for`: a person named it, so it has to be there.
    ///
    /// # Errors
    /// `invalid_config` with file and line.
    pub fn load(path: &Path, is_asked_for: bool) -> Result<Config, Fault> {
        let text = match text_file::read(path) {
            Ok(Some(text)) => text,
            Ok(None) if !is_asked_for => return Ok(Config::default()),
            Ok(None) => {
                let missing = fault(format!("there is no configuration {}", path.display()));
                return Err(missing.with_hint("name another file with --config, or write this one"));
            }
            Err(why) => {
                let hint = "put a TOML file in its place, or name another one with --config";
                return Err(fault(format!("cannot read the configuration {}: {why}", path.display())).with_hint(hint));
            }
        };
        let config: Config = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = 1 + before.matches('\n').count();
            fault(format!("cannot use {}:{line}: {}", path.display(), error.message()))
        })?;
        config.check().map_err(|problem| fault(format!("cannot use {}: {problem}", path.display())))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let seconds = [
            ("stop_grace_seconds", self.stop_grace_seconds),
            ("keepalive_interval_seconds", self.keepalive_interval_seconds),
            ("renew_after_seconds", self.renew_after_seconds),
            ("idle_timeout", self.idle_timeout),
        ];
        for (name, value) in seconds {
            if value.is_some_and(|value| MAX_SECONDS < value) {
                return Err(format!("{name} is at most {MAX_SECONDS}"));
            }
        }
        if self.max_sessions_per_destination.is_some_and(|sessions| !(1..=16).contains(&sessions)) {
            return Err("max_sessions_per_destination is 1 to 16".to_owned());
        }
        if self.max_sessions.is_some_and(|sessions| !(1..=MAX_SESSIONS).contains(&sessions)) {
            return Err(format!("max_sessions is 1 to {MAX_SESSIONS}"));
        }
        if self.max_connections_per_rule.is_some_and(|connections| !(1..=MAX_CONNECTIONS).contains(&connections)) {
            return Err(format!("max_connections_per_rule is 1 to {MAX_CONNECTIONS}"));
        }
        if self.busy_channels_per_session.is_some_and(|channels| !(1..=1000).contains(&channels)) {
            return Err("busy_channels_per_session is 1 to 1000".to_owned());
        }
        if self.renew_after_bytes.is_some_and(|bytes| bytes < MIN_RENEW_BYTES) {
            return Err(format!("renew_after_bytes is at least {MIN_RENEW_BYTES}"));
        }
        if self.renew_after_seconds.is_some_and(|seconds| seconds < MIN_RENEW_SECONDS) {
            return Err(format!("renew_after_seconds is at least {MIN_RENEW_SECONDS}"));
        }
        if self.keepalive_interval_seconds == Some(0) || self.keepalive_count == Some(0) {
            return Err("without keepalive a dead server is never noticed; 1 is the least".to_owned());
        }
        if self.keepalive_count.is_some_and(|count| 100 < count) {
            return Err("keepalive_count is at most 100".to_owned());
        }
        Ok(())
    }

    /// The names of the settings whose values are others there.
    pub fn differences(&self, other: &Config) -> Vec<&'static str> {
        // Taken apart, so that the compiler asks here when a setting is new.
        let Config {
            log_level,
            log_format,
            stop_grace_seconds,
            keepalive_interval_seconds,
            keepalive_count,
            match_exec,
            ssh_options,
            max_sessions_per_destination,
            max_sessions,
            max_connections_per_rule,
            busy_channels_per_session,
            renew_after_bytes,
            renew_after_seconds,
            idle_timeout,
        } = self;
        let compared = [
            ("log_level", *log_level == other.log_level),
            ("log_format", *log_format == other.log_format),
            ("stop_grace_seconds", *stop_grace_seconds == other.stop_grace_seconds),
            ("keepalive_interval_seconds", *keepalive_interval_seconds == other.keepalive_interval_seconds),
            ("keepalive_count", *keepalive_count == other.keepalive_count),
            ("match_exec", *match_exec == other.match_exec),
            ("ssh_options", *ssh_options == other.ssh_options),
            ("max_sessions_per_destination", *max_sessions_per_destination == other.max_sessions_per_destination),
            ("max_sessions", *max_sessions == other.max_sessions),
            ("max_connections_per_rule", *max_connections_per_rule == other.max_connections_per_rule),
            ("busy_channels_per_session", *busy_channels_per_session == other.busy_channels_per_session),
            ("renew_after_bytes", *renew_after_bytes == other.renew_after_bytes),
            ("renew_after_seconds", *renew_after_seconds == other.renew_after_seconds),
            ("idle_timeout", *idle_timeout == other.idle_timeout),
        ];
        compared.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
    }

    /// How long open connections may go on when the daemon stops.
    pub fn stop_grace(&self) -> Duration {
        Duration::from_secs(self.stop_grace_seconds.unwrap_or(5))
    }

    /// What the decisions depend on.
    pub fn options(&self) -> Options {
        let defaults = Options::default();
        Options {
            max_links: self.max_sessions_per_destination.unwrap_or(defaults.max_links),
            max_sessions: self.max_sessions.unwrap_or(defaults.max_sessions),
            idle_timeout: match self.idle_timeout {
                None => defaults.idle_timeout,
                Some(0) => None,
                Some(seconds) => Some(Duration::from_secs(seconds)),
            },
        }
    }

    /// How much of everything there may be, for people to see.
    pub fn limits(&self) -> Limits {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let Options { max_links, max_sessions, idle_timeout } = self.options();
        Limits {
            max_sessions: count(max_sessions),
            max_sessions_per_destination: count(max_links),
            busy_channels_per_session: self.busy_channels_per_session().into(),
            max_connections_per_rule: count(self.max_connections_per_rule()),
            waiting_connections_per_rule: count(forward::MAX_HELD),
            handshakes_per_minute: HANDSHAKES_PER_MINUTE.into(),
            max_forwards: count(MAX_FORWARDS),
            idle_timeout: idle_timeout.map_or(0, |timeout| timeout.as_secs()),
        }
    }

    /// How many connections one rule may have open.
    pub fn max_connections_per_rule(&self) -> usize {
        self.max_connections_per_rule.unwrap_or(forward::MAX_CONNECTIONS)
    }

    /// So many busy channels are enough for one session.
    pub fn busy_channels_per_session(&self) -> u32 {
        self.busy_channels_per_session.unwrap_or(ssh::BUSY_CHANNELS)
    }

    /// A session is replaced when one key has encrypted so much.
    pub fn renew_after_bytes(&self) -> Option<u64> {
        self.renew_after_bytes
    }

    /// A session is replaced when one key has been in use for so long.
    pub fn renew_after(&self) -> Option<Duration> {
        self.renew_after_seconds.map(Duration::from_secs)
    }

    /// How long a server may be silent before it is asked whether it is there.
    pub fn keepalive_interval(&self) -> Duration {
        Duration::from_secs(self.keepalive_interval_seconds.unwrap_or(15))
    }

    /// How many such questions may stay unanswered.
    pub fn keepalive_count(&self) -> u32 {
        self.keepalive_count.unwrap_or(3)
    }

    /// What comes before ssh's own configuration, a keepalive that is set here included.
    pub fn ssh_options(&self) -> SshOptions {
        let interval = self.keepalive_interval_seconds.map(|seconds| format!("ServerAliveInterval {seconds}"));
        let count = self.keepalive_count.map(|count| format!("ServerAliveCountMax {count}"));
        let lines = self.ssh_options.iter().cloned().chain(interval).chain(count).collect();
        SshOptions { lines, may_run_match_exec: self.match_exec }
    }
}

fn fault(message: String) -> Fault {
    Fault::new(Code::InvalidConfig, message)
        .at(Stage::Config)
        .with_hint("the README lists the settings with their units and defaults")
}

/// Where the daemon's own files are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The configuration file.
    pub config: PathBuf,
    /// The folder of the rules.
    pub state_dir: PathBuf,
}

impl Places {
    /// The places that this system has for a user's files.
    pub fn of_user() -> Option<Places> {
        let project = directories::ProjectDirs::from("", "", "alknet")?;
        let config = project.config_dir().join("config.toml");
        // Where the system knows no folder for state, data is the next best.
        let state_dir = project.state_dir().unwrap_or_else(|| project.data_local_dir()).to_owned();
        Some(Places { config, state_dir })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path, true).map_err(|fault| fault.message.replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn a_missing_file_is_fine_unless_somebody_named_it() {
        let missing = Path::new("/nonexistent/config.toml");
        assert_eq!(Config::load(missing, false).ok(), Some(Config::default()));
        assert!(Config::load(missing, true).is_err());
    }

    #[test]
    fn a_problem_names_file_and_line() {
        assert!(load("\n\nkeepalive_cuont = 3\n").unwrap_err().starts_with("cannot use FILE:3: unknown field"));
        assert!(load("log_level = \"loud\"").unwrap_err().starts_with("cannot use FILE:1: "));
        assert!(load("keepalive_count = 0").unwrap_err().contains("1 is the least"));
        assert!(load("stop_grace_seconds = -1").is_err());
    }

    #[test]
    fn a_limit_out_of_its_range_is_named() {
        let settings =
            ["max_sessions", "max_sessions_per_destination", "max_connections_per_rule", "busy_channels_per_session"];
        for setting in settings {
            let problem = load(&format!("{setting} = 0")).unwrap_err();
            assert!(problem.starts_with(&format!("cannot use FILE: {setting} is 1 to ")), "{problem}");
            assert!(load(&format!("{setting} = 70000")).is_err(), "{setting}");
            assert!(load(&format!("{setting} = 1")).is_ok(), "{setting}");
        }
    }

    #[test]
    fn an_idle_timeout_of_0_is_none() {
        assert_eq!(load("").unwrap().limits().idle_timeout, 1800);
        assert_eq!(load("idle_timeout = 2").unwrap().options().idle_timeout, Some(Duration::from_secs(2)));
        assert_eq!(load("idle_timeout = 0").unwrap().options().idle_timeout, None);
        assert_eq!(load("idle_timeout = 86401").unwrap_err(), "cannot use FILE: idle_timeout is at most 86400");
        assert_eq!(load("").unwrap().differences(&load("idle_timeout = 2").unwrap()), ["idle_timeout"]);
    }

    #[test]
    fn settings_are_read() {
        let config = load("keepalive_interval_seconds = 1\nkeepalive_count = 2\nlog_level = \"debug\"\n").unwrap();
        assert_eq!(config.keepalive_interval(), Duration::from_secs(1));
        assert_eq!(config.keepalive_count(), 2);
        assert_eq!(config.stop_grace(), Duration::from_secs(5));
    }
}
