//! What `alknetd` says of its command line: its help where the systems differ, and why it cannot be one.

use alknet_proto::{Code, Fault, words};

/// A command line that cannot be, as one line and what to do.
pub(super) fn impossible(error: &clap::Error) -> Fault {
    let rendered = error.render().to_string();
    let text = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    Fault::new(Code::InvalidSpec, words::with_short_quotes(&lines.join(" ")))
        .with_hint("`alknetd --help` says what it takes")
}

/// The form of a help text with its default, which depends on the system.
macro_rules! with_default {
    ($text:literal, $linux:literal, $macos:literal, $windows:literal) => {
        if cfg!(windows) {
            concat!($text, " [default: ", $windows, "]")
        } else if cfg!(target_os = "macos") {
            concat!($text, " [default: ", $macos, "]")
        } else {
            concat!($text, " [default: ", $linux, "]")
        }
    };
}

pub(super) const CONFIG: &str = with_default!(
    "Configuration file; it may be missing unless it is named here",
    "$XDG_CONFIG_HOME/alknet/config.toml",
    "~/Library/Application Support/alknet/config.toml",
    r"%APPDATA%\alknet\config\config.toml"
);

pub(super) const STATE_DIR: &str = with_default!(
    "Folder of the rules",
    "$XDG_STATE_HOME/alknet",
    "~/Library/Application Support/alknet",
    r"%LOCALAPPDATA%\alknet\data"
);

pub(super) const SOCKET: &str = with_default!(
    "Control socket",
    "$XDG_RUNTIME_DIR/alknet/alknetd.sock",
    "~/Library/Application Support/alknet/alknetd.sock",
    r"\\.\pipe\alknetd-<user SID>"
);

pub(super) const AFTER: &str = if cfg!(windows) {
    "\
Ctrl-C and Ctrl-Break stop in order (twice: at once).
Exit: 0 stopped, 1 failed, 2 usage or bad configuration, 5 another daemon runs."
} else {
    "\
Signals: SIGTERM and SIGINT stop in order (twice: at once), SIGHUP reads the configuration again,
SIGUSR1 lets every suspended session try at once.
Exit: 0 stopped, 1 failed, 2 usage or bad configuration, 5 another daemon runs."
};
