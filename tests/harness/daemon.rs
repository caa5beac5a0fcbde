//! The real alknetd: started, stopped, killed and started again.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::Process;
use crate::programs::programs;
use crate::wait::{LIMIT, wait_within};
use crate::world::World;

/// A running daemon; it is killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
}

impl World {
    /// alknetd, ready to get arguments, with as many open files as a shell gives by default.
    pub fn daemon_command(&self) -> Command {
        self.limited_daemon_command("-Sn 1024")
    }

    /// alknetd, ready to get arguments, with these limits in the words of `ulimit`.
    fn limited_daemon_command(&self, limits: &str) -> Command {
        let mut command = self.command(Path::new("/bin/sh"));
        command.arg("-c").arg(format!(r#"ulimit {limits}; exec "$0" "$@""#)).arg(&programs().alknetd);
        command
    }

    /// Starts the daemon, which may have so many descriptors open, and waits until it takes connections.
    #[track_caller]
    pub fn start_with_descriptors(&self, n_descriptors: u64) {
        let mut command = self.limited_daemon_command(&format!("-n {n_descriptors}"));
        let process = Process::start(&mut command, &self.path("alknetd.log"));
        self.keep_when_it_serves(process);
    }

    /// Where the daemon's stderr goes.
    pub fn daemon_log(&self) -> String {
        fs::read_to_string(self.path("alknetd.log")).unwrap_or_default()
    }

    /// Starts the daemon and waits until it takes connections.
    #[track_caller]
    pub fn start(&self) {
        self.start_with(&["--log-level", "debug"], &[]);
    }

    /// Starts the daemon with these arguments and variables and waits until it takes connections.
    #[track_caller]
    pub fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) {
        self.keep_when_it_serves(self.spawn_daemon(arguments, variables));
    }

    #[track_caller]
    fn keep_when_it_serves(&self, mut process: Process) {
        let socket = self.socket();
        wait_within(LIMIT, "the daemon takes connections", || {
            if let Some(status) = process.ended() {
                panic!("alknetd ended ({status}) instead of starting:\n{}", self.daemon_log());
            }
            UnixStream::connect(&socket).ok()
        });
        *self.daemon.lock().unwrap() = Some(Daemon { process });
    }

    /// Starts a daemon and waits for nothing. The caller owns it.
    pub fn spawn_daemon(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut command = self.daemon_command();
        command.args(arguments).envs(variables.iter().copied());
        Process::start(&mut command, &self.path("alknetd.log"))
    }

    /// Runs a daemon that is expected to end by itself; returns its exit code and what it wrote to stderr.
    #[track_caller]
    pub fn daemon_fails(&self, arguments: &[&str]) -> (i32, String) {
        let log = self.path("failing.log");
        let _ = fs::remove_file(&log);
        let mut command = self.daemon_command();
        command.args(arguments);
        let status = Process::start(&mut command, &log).wait(LIMIT);
        (crate::ctl::exit_code(status), fs::read_to_string(log).unwrap_or_default())
    }

    /// The daemon's process.
    pub fn daemon_pid(&self) -> i32 {
        self.daemon.lock().unwrap().as_ref().expect("the daemon was started").process.pid()
    }

    /// Sends a signal to the daemon.
    pub fn signal(&self, signal: Signal) {
        self.daemon.lock().unwrap().as_ref().expect("the daemon was started").process.signal(signal);
    }

    /// Waits for the end of the daemon and says how it ended.
    #[track_caller]
    pub fn daemon_ends(&self, limit: Duration) -> ExitStatus {
        let mut daemon = self.daemon.lock().unwrap().take().expect("the daemon was started");
        daemon.process.wait(limit)
    }

    /// Stops the daemon in order: SIGTERM, exit 0.
    #[track_caller]
    pub fn stop(&self) {
        self.signal(Signal::SIGTERM);
        let status = self.daemon_ends(LIMIT);
        assert_eq!(status.code(), Some(0), "alknetd after SIGTERM:\n{}", self.daemon_log());
    }

    /// Kills the daemon; it gets no time for anything.
    pub fn kill_9(&self) {
        self.signal(Signal::SIGKILL);
        self.daemon_ends(LIMIT);
    }

    /// Stops the daemon in order and starts it again.
    #[track_caller]
    pub fn restart(&self) {
        self.stop();
        self.start();
    }
}

/// Whether a Unix socket takes connections.
pub fn takes_connections(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}
