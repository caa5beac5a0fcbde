//! Where log lines go: the journal under systemd, else text or JSON lines on stderr.

use alknet_proto::words;
use clap::ValueEnum;
use serde::Deserialize;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{Registry, fmt, reload};

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What does not work.
    Error,
    /// And what is odd but works.
    Warn,
    /// And what a user would tell a friend.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And everything.
    Trace,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines for people, on stderr.
    Text,
    /// One JSON object a line, on stderr.
    Json,
    /// Fields in systemd's journal.
    Journal,
}

/// Changes the level while the daemon runs.
pub struct LevelSwitch(reload::Handle<Targets, Registry>);

impl LevelSwitch {
    /// Logs as much as `level` says from now on.
    pub fn set(&self, level: Level) {
        if let Err(error) = self.0.reload(targets(level)) {
            tracing::warn!(%error, "log level not changed");
        }
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the journal was asked for and is not there.
pub fn start(level: Level, format: Option<Format>) -> Result<LevelSwitch, String> {
    let (filter, handle) = reload::Layer::new(targets(level));
    let asked = format.is_some();
    let format = format.unwrap_or(if stderr_is_the_journal() { Format::Journal } else { Format::Text });
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        Format::Journal => match journal() {
            Ok(layer) => layer,
            // Under systemd, plain stderr ends up in the journal too.
            Err(_) if !asked => text(),
            Err(error) => return Err(format!("the journal is not there to log to: {}", words::of_io(&error))),
        },
        Format::Text => text(),
        Format::Json => Box::new(fmt::layer().json().with_writer(std::io::stderr)),
    };
    let subscriber = Registry::default().with(filter).with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())?;
    Ok(LevelSwitch(handle))
}

type Lines =
    Box<dyn Layer<tracing_subscriber::layer::Layered<reload::Layer<Targets, Registry>, Registry>> + Send + Sync>;

fn text() -> Lines {
    use std::io::IsTerminal;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Box::new(fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false))
}

#[cfg(target_os = "linux")]
fn journal() -> std::io::Result<Lines> {
    // Fields keep the names that the README gives them.
    tracing_journald::layer().map(|layer| Box::new(layer.with_field_prefix(Some("ALKNET".to_owned()))) as Lines)
}

#[cfg(not(target_os = "linux"))]
fn journal() -> std::io::Result<Lines> {
    Err(std::io::Error::other("this system has none"))
}

/// systemd tells in JOURNAL_STREAM which stream is connected to the journal; it may have been redirected since.
#[cfg(target_os = "linux")]
fn stderr_is_the_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let Ok(stat) = nix::sys::stat::fstat(std::io::stderr()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(not(target_os = "linux"))]
fn stderr_is_the_journal() -> bool {
    false
}

/// Our own lines at `level`; those of russh never below warnings, since they tell of keys and hosts.
fn targets(level: Level) -> Targets {
    let own = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let others = LevelFilter::WARN.min(own);
    Targets::new().with_default(others).with_target("alknetd", own).with_target("alknet", own)
}
