//! From arguments to a daemon that serves: lock, rules, socket, signals, ready.

mod help;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use alknet_proto::endpoint;
use alknet_proto::hello::PROTOCOL_VERSION;
use alknet_proto::status::DaemonStatus;
use alknet_proto::{Code, Fault, words};
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Places};
use crate::control::{self, Clients, Dispatcher, Explainer};
use crate::daemon::{Daemon, INBOX, Order};
use crate::lanes::Lanes;
use crate::lock::{Lock, LockError};
use crate::logging::{self, Format, Level, LevelSwitch};
use crate::outages::Journal;
use crate::perform::Performer;
use crate::reload::Reloader;
use crate::signals::{self, Signal};
use crate::ssh::Settings;
use crate::{heap, process, rouse, service, store};

/// Holds SSH sessions and forwards, and brings them back. Runs in the foreground; alknetctl talks to it.
#[derive(Debug, Parser)]
#[command(name = "alknetd", version, about, after_help = help::AFTER)]
pub struct Arguments {
    /// Configuration file; it may be missing unless it is named here
    #[arg(long, value_name = "FILE", help = help::CONFIG)]
    config: Option<PathBuf>,
    /// Folder of the rules
    #[arg(long, value_name = "DIR", help = help::STATE_DIR)]
    state_dir: Option<PathBuf>,
    /// Control socket
    #[arg(long, value_name = "PATH", env = "ALKNET_SOCKET", help = help::SOCKET)]
    socket: Option<PathBuf>,
    /// How much is logged [default: info]
    #[arg(long, value_name = "LEVEL", value_enum)]
    log_level: Option<Level>,
    /// How it is written [default: journal under systemd, else text on stderr]
    #[arg(long, value_name = "FORMAT", value_enum)]
    log_format: Option<Format>,
}

/// What to do when the system has no room for a program that begins.
const SHORT_OF: &str = "the system is short of something, often of file descriptors: see `ulimit -n`";

/// Why the daemon did not start: what to say, and the exit code.
struct Refusal {
    fault: Fault,
    exit: u8,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let exit = match fault.code {
            Code::InvalidConfig | Code::InvalidSpec => 2,
            // Whoever listens at the control socket is another daemon, with other rules.
            Code::AddressInUse => 5,
            _ => 1,
        };
        Refusal { fault, exit }
    }
}

/// Runs the whole program.
pub fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        // Help and the version are answers.
        Err(said) if !said.use_stderr() => said.exit(),
        Err(error) => {
            complain(&help::impossible(&error));
            return ExitCode::from(2);
        }
    };
    let open_files = process::prepare();
    match start(&arguments, open_files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            complain(&refusal.fault);
            ExitCode::from(refusal.exit)
        }
    }
}

/// Reads the command line. `CLICOLOR_FORCE=0` forces no colours, which the library takes for a yes.
fn parse() -> Result<Arguments, clap::Error> {
    let is_not_forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value == "0");
    let color = if is_not_forced { ColorChoice::Never } else { ColorChoice::Auto };
    Arguments::from_arg_matches(&Arguments::command().color(color).try_get_matches()?)
}

#[expect(clippy::print_stderr, reason = "before and after logging, stderr is where a person looks")]
fn complain(fault: &Fault) {
    eprintln!("error: {fault}");
    if let Some(hint) = &fault.hint {
        eprintln!("\nhint: {hint}");
    }
}

fn start(arguments: &Arguments, open_files: Option<u64>) -> Result<(), Refusal> {
    let places = Places::of_user();
    let no_home = || {
        Fault::new(Code::InvalidConfig, "this user has no home directory")
            .with_hint("set HOME, or name --config and --state-dir")
    };
    let (config_path, is_asked_for) = match (&arguments.config, &places) {
        (Some(path), _) => (path.clone(), true),
        (None, Some(places)) => (places.config.clone(), false),
        (None, None) => return Err(no_home().into()),
    };
    let config = Config::load(&config_path, is_asked_for)?;
    let state_dir = match (&arguments.state_dir, places) {
        (Some(path), _) => path.clone(),
        (None, Some(places)) => places.state_dir,
        (None, None) => return Err(no_home().into()),
    };
    let socket = arguments.socket.clone().map_or_else(endpoint::default_socket, Ok)?;
    let level = arguments.log_level.or(config.log_level).unwrap_or_default();
    let switch = logging::start(level, arguments.log_format.or(config.log_format))
        .map_err(|error| Fault::new(Code::InvalidConfig, error).with_hint("choose another --log-format"))?;
    heap::keep_what_was_freed();
    let cannot_start = |error: std::io::Error| {
        Fault::new(Code::Internal, format!("cannot start: {}", words::of_io(&error))).with_hint(SHORT_OF)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot_start)?;
    let lanes = Arc::new(Lanes::start().map_err(cannot_start)?);
    let start = Start { lanes, arguments, config, config_path, is_asked_for, state_dir, socket, switch, open_files };
    let ended = runtime.block_on(start.run());
    // What matters was awaited. A lookup that hangs in the system's resolver is not waited for.
    runtime.shutdown_background();
    ended
}

/// Everything that is settled before the first task runs.
struct Start<'a> {
    lanes: Arc<Lanes>,
    arguments: &'a Arguments,
    config: Config,
    config_path: PathBuf,
    is_asked_for: bool,
    state_dir: PathBuf,
    socket: PathBuf,
    switch: LevelSwitch,
    open_files: Option<u64>,
}

impl Start<'_> {
    async fn run(self) -> Result<(), Refusal> {
        endpoint::prepare_directory(&self.socket)?;
        create_state_dir(&self.state_dir)?;
        let socket_lock = lock_of_socket(&self.socket, &self.state_dir);
        if let (true, Some(folder)) = (cfg!(windows), socket_lock.parent()) {
            create_state_dir(folder)?;
        }
        let _socket_lock = take_lock(&socket_lock, &self.socket)?;
        let _rules_lock = take_lock(&self.state_dir.join("rules.lock"), &self.state_dir)?;
        let rules_path = store::path_in(&self.state_dir);
        let rules = store::load(&rules_path)?;
        let settings = Settings::from_environment()
            .map_err(|error| Fault::new(Code::InvalidConfig, error).with_hint("set HOME to the home of this user"))?;
        let listener = endpoint::listen(&self.socket)?;

        let (inbox, events) = mpsc::channel(INBOX);
        let (orders, ordered) = mpsc::channel(16);
        let reloader = Reloader::new(self.config_path.clone(), self.is_asked_for, orders.clone());
        listen_for_signals(orders, reloader.clone())?;
        let (to_store, stored) = watch::channel(None);
        let storing = tokio::spawn(store::run(rules_path, stored, inbox.clone()));
        let clients = Clients::default();
        let stop_control = CancellationToken::new();
        let (explainer, questions) = Explainer::new();
        let (settings_of_now, settings_seen) = watch::channel(Arc::new(with_config(settings, &self.config)));
        let explaining = tokio::spawn(questions.run(settings_seen, clients.clone()));
        let dispatcher = Dispatcher::new(clients.clone(), inbox.clone(), explainer);
        let serving = tokio::spawn(control::serve(listener, dispatcher, stop_control.clone()));

        let rousing = tokio::spawn(rouse::run(inbox.clone()));
        let (journal, journal_ending) = Journal::open(&self.state_dir, &rules, clients.clone());
        let performer =
            Performer::new(settings_of_now.borrow().clone(), self.lanes.clone(), clients, to_store, journal, inbox);
        let about = DaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: 0,
            protocol: PROTOCOL_VERSION,
            socket: self.socket.display().to_string(),
            state_dir: self.state_dir.display().to_string(),
            descriptors_open: None,
            descriptors_limit: None,
            limits: self.config.limits(),
        };
        let n_rules = rules.rules.len();
        tracing::info!(socket = %about.socket, version = %about.version, rules = n_rules, open_files = self.open_files, "serving");
        let daemon = Daemon::new(performer, events, about, self.config.clone(), reloader, rules);
        service::ready();
        let configure = |config: &Config, performer: &mut Performer| {
            self.configure(config, performer);
            settings_of_now.send_replace(performer.settings.clone());
        };
        daemon.run(ordered, configure).await;

        rousing.abort();
        explaining.abort();
        // The last rules reach the disk before anybody can see that the daemon is gone: the socket goes last.
        let _ = storing.await;
        journal_ending.wait().await;
        stop_control.cancel();
        let _ = serving.await;
        tracing::info!("stopped");
        Ok(())
    }

    /// What a configuration that was read again changes: only what differs acts.
    fn configure(&self, config: &Config, performer: &mut Performer) {
        self.switch.set(self.arguments.log_level.or(config.log_level).unwrap_or_default());
        performer.go_on_with(with_config((*performer.settings).clone(), config));
    }
}

fn listen_for_signals(orders: mpsc::Sender<Order>, reloader: Reloader) -> Result<(), Fault> {
    let tell = move |signal| {
        // Nobody listens to a 17th order while 16 wait; they say the same.
        let _ = match signal {
            Signal::Stop => orders.try_send(Order::Stop),
            Signal::RetryAll => orders.try_send(Order::RetryAll),
            Signal::Reload => {
                reloader.reload(None);
                Ok(())
            }
        };
    };
    signals::listen(tell).map_err(|error| {
        Fault::new(Code::Internal, format!("cannot listen for signals: {}", words::of_io(&error))).with_hint(SHORT_OF)
    })
}

fn with_config(settings: Settings, config: &Config) -> Settings {
    Settings {
        keepalive_interval: config.keepalive_interval(),
        keepalive_count: config.keepalive_count(),
        ssh_options: config.ssh_options(),
        renew_after_bytes: config.renew_after_bytes().unwrap_or(settings.renew_after_bytes),
        renew_after: config.renew_after().unwrap_or(settings.renew_after),
        busy_channels: config.busy_channels_per_session(),
        ..settings
    }
}

/// Beside the socket. A pipe has no place beside it: its lock is in the folder that the system has for this user's
/// rules, under the name of the pipe, wherever the rules of this daemon are.
fn lock_of_socket(socket: &Path, state_dir: &Path) -> PathBuf {
    let place = if cfg!(windows) {
        let folder = Places::of_user().map_or_else(|| state_dir.to_owned(), |places| places.state_dir);
        folder.join(socket.file_name().unwrap_or_default())
    } else {
        socket.to_owned()
    };
    let mut name = place.into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

fn take_lock(path: &Path, what: &Path) -> Result<Lock, Refusal> {
    Lock::take(path).map_err(|error| match error {
        LockError::Taken(_) => Refusal {
            fault: Fault::new(Code::AddressInUse, format!("another alknetd already runs for {}", what.display()))
                .with_hint("alknetctl status shows it; alknetctl shutdown ends it"),
            exit: 5,
        },
        LockError::Io(path, error) => {
            Fault::new(Code::PermissionDenied, format!("cannot lock {}: {}", path.display(), words::of_io(&error)))
                .with_hint(
                    "make its folder writable for this user, or choose another place with --socket or --state-dir",
                )
                .into()
        }
    })
}

/// Whoever may write there may say where connections go.
fn create_state_dir(path: &Path) -> Result<(), Fault> {
    let refuse = |what: String| {
        Fault::new(Code::PermissionDenied, format!("the state directory {} {what}", path.display()))
            .with_hint("choose another one with --state-dir")
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| refuse(format!("cannot be created: {}", words::of_io(&error))))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path)
            .map_err(|error| refuse(format!("cannot be looked at: {}", words::of_io(&error))))?;
        if found.uid() != nix::unistd::geteuid().as_raw() {
            return Err(refuse("belongs to somebody else".to_owned()));
        }
        if found.mode() & 0o022 != 0 {
            let fault = refuse("can be written to by other users".to_owned());
            if endpoint::is_shared_on_purpose(found.mode()) {
                return Err(fault);
            }
            let hint = format!("chmod go-w {}, or choose another one with --state-dir", path.display());
            return Err(fault.with_hint(hint));
        }
    }
    Ok(())
}
