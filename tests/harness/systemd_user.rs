//! A real `systemd --user` with a real journal, whatever the first process of this machine is.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ctl::CtlOutput;
use crate::process::Process;
use crate::programs::programs;
use crate::wait::{wait_for, wait_until};
use crate::world::{World, is_root};

/// What has to be installed: program, package.
const NEEDED: [(&str, &str); 4] = [
    ("/lib/systemd/systemd", "systemd"),
    ("/lib/systemd/systemd-journald", "systemd"),
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/bin/nsenter", "util-linux"),
];
const SCRIPT: &str = include_str!("systemd_user.sh");
/// The unit file that is shipped.
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/systemd/alknetd.service");
/// Killing what is left and taking its control groups away takes moments.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A running service manager of a [`World`]'s user; it and its services are killed when this is dropped.
///
/// Its services see the same files and the same network as the test, so `world.ctl` reaches a daemon that it starts.
#[derive(Debug)]
pub struct SystemdUser<'a> {
    world: &'a World,
    process: Process,
    // The manager lives as long as this is open.
    stdin: Option<ChildStdin>,
}

impl<'a> SystemdUser<'a> {
    /// Starts the manager and waits until it has started what a session starts with.
    ///
    /// # Panics
    /// Without root, or when systemd is not installed: nothing stands in for them.
    pub fn start(world: &'a World) -> Self {
        assert!(
            is_root(),
            "a service manager in namespaces of its own needs root: run this test as root, as .ci/run does"
        );
        for (program, package) in NEEDED {
            assert!(Path::new(program).exists(), "{program} is missing: install it (apt-get install {package})");
        }
        let log = OpenOptions::new().create(true).append(true).open(world.path("systemd.log")).unwrap();
        let mut command = world.command(Path::new("/usr/bin/unshare"));
        command.args(["--mount", "--cgroup", "sh", "-c", SCRIPT]);
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = Process::spawn(&mut command);
        let stdin = process.child().stdin.take();
        let mut manager = SystemdUser { world, process, stdin };
        wait_for("the service manager of the user runs", || {
            if let Some(status) = manager.process.ended() {
                panic!("the service manager ended ({status}):\n{}", manager.log());
            }
            manager.is_running().then_some(())
        });
        manager
    }

    fn is_running(&self) -> bool {
        // A unit of the machine that fails for root makes it «degraded»; that is none of ours.
        ["running", "degraded"].contains(&self.systemctl(["is-system-running"]).stdout.trim())
    }

    /// What the processes around the manager wrote to stderr.
    fn log(&self) -> String {
        fs::read_to_string(self.world.path("systemd.log")).unwrap_or_default()
    }

    /// A command that runs as the user, beside the manager.
    fn command(&self, program: &str) -> Command {
        let mut command = self.world.command(Path::new("/usr/bin/nsenter"));
        command.arg(format!("--target={}", self.process.pid())).args(["--mount", "--", program]);
        command
    }

    /// Runs `systemctl --user` to its end.
    pub fn systemctl<I, S>(&self, arguments: I) -> CtlOutput
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.command("systemctl");
        command.args(["--user", "--no-pager", "--full"]).args(arguments);
        CtlOutput::of(command)
    }

    /// A property of alknetd's unit, as `systemctl show` prints it.
    #[track_caller]
    pub fn property(&self, name: &str) -> String {
        self.systemctl(["show", "alknetd", "--value", "--property", name]).ok().stdout.trim().to_owned()
    }

    /// Waits until a property of alknetd's unit is `expected`.
    #[track_caller]
    pub fn wait_property(&self, name: &str, expected: &str) {
        wait_until(&format!("{name} of the service is {expected}"), || self.property(name) == expected);
    }

    /// The records in the journal that alknetd wrote, the oldest first.
    #[track_caller]
    pub fn journal(&self) -> Vec<Value> {
        self.records("SYSLOG_IDENTIFIER=alknetd")
    }

    /// What systemd itself has noted about alknetd's unit, the oldest first.
    #[track_caller]
    pub fn notes(&self) -> Vec<String> {
        let records = self.records("USER_UNIT=alknetd.service");
        records.iter().filter_map(|record| record["MESSAGE"].as_str().map(str::to_owned)).collect()
    }

    /// Whether alknetd has told systemd `word`, such as `READY=1`.
    #[track_caller]
    pub fn was_notified(&self, word: &str) -> bool {
        self.notes().iter().any(|note| note.contains("Got notification message") && note.contains(word))
    }

    fn records(&self, filter: &str) -> Vec<Value> {
        let mut command = self.command("journalctl");
        command.args(["--directory=/run/log/journal", "--quiet", "--output=json", filter]);
        let text = CtlOutput::of(command).ok().stdout;
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the journal has a record of alknetd that says `message`, and returns the newest one.
    #[track_caller]
    pub fn wait_journal(&self, message: &str) -> Value {
        wait_for(&format!("the journal has a record `{message}`"), || {
            self.journal().into_iter().rev().find(|record| record["MESSAGE"] == message)
        })
    }

    /// Waits until alknetd has said a line that contains `text`, and returns it.
    #[track_caller]
    pub fn wait_journal_line(&self, text: &str) -> String {
        wait_for(&format!("the journal has a line with `{text}`"), || {
            let messages =
                self.journal().into_iter().filter_map(|record| record["MESSAGE"].as_str().map(str::to_owned));
            messages.into_iter().find(|message| message.contains(text))
        })
    }
}

impl Drop for SystemdUser<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut command = self.command("journalctl");
            command.args(["--directory=/run/log/journal", "--quiet", "--lines=200"]);
            command.args(["SYSLOG_IDENTIFIER=alknetd", "+", "USER_UNIT=alknetd.service"]);
            let said = command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            eprintln!("---- end of the journal ----\n{}----", said.unwrap_or_default());
        }
        drop(self.stdin.take());
        let end = Instant::now() + END_LIMIT;
        while self.process.ended().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Installs the shipped unit for the user of `world`, with the built alknetd in it; returns where it is.
pub fn install_unit(world: &World) -> PathBuf {
    let folder = world.path("config/systemd/user");
    let extra = folder.join("alknetd.service.d");
    fs::create_dir_all(&extra).unwrap();
    let unit = folder.join("alknetd.service");
    fs::copy(UNIT, &unit).unwrap();
    let program = programs().alknetd.display().to_string().replace('%', "%%");
    fs::write(extra.join("program.conf"), format!("[Service]\nExecStart=\nExecStart=\"{program}\"\n")).unwrap();
    unit
}
