//! Children that never outlive the test, and what can be read about them.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// A child process that is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` with its stderr, and its stdout unless it is piped, in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Process::spawn(command)
    }

    /// Starts `command` as it is.
    pub fn spawn(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
        Process { child }
    }

    /// The number of the process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process numbers fit")
    }

    /// The child, to take its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal; a process that has ended does not mind.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let pid = self.pid();
        wait::wait_within(limit, &format!("process {pid} ends"), || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes whose parent is `pid`.
pub fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if stat_field(child, 4) == Some(u64::try_from(pid).unwrap()) {
            found.push(child);
        }
    }
    found
}

/// What a process holds of what could leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Files, sockets and the like that are open.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Memory in RAM.
    pub resident_bytes: u64,
}

impl Figures {
    /// What process `pid` holds now.
    pub fn of(pid: i32) -> Self {
        let entries = |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).unwrap().count();
        Figures { descriptors: entries("fd"), threads: entries("task"), resident_bytes: resident_bytes(pid) }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.resident_bytes as f64 / f64::from(1 << 20);
        write!(f, "{} descriptors, {} threads, {mib:.1} MiB", self.descriptors, self.threads)
    }
}

/// The memory of a process that is in RAM now, in bytes.
pub fn resident_bytes(pid: i32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// The most memory that a process has had in RAM, in bytes.
pub fn peak_resident_bytes(pid: i32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

/// The memory of a process in RAM, in bytes; what it shares with others counts in parts.
pub fn proportional_bytes(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("the kernel reports memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The CPU time that a process has used, in user and kernel mode.
pub fn cpu_time(pid: i32) -> Duration {
    let ticks = stat_field(pid, 14).unwrap_or(0) + stat_field(pid, 15).unwrap_or(0);
    // Linux counts in hundredths of a second towards programs, on every architecture.
    Duration::from_millis(ticks * 10)
}

/// How often the process was put on a CPU because it had something to do.
pub fn wakeups(pid: i32) -> u64 {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    sum
}

fn status_bytes(pid: i32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel reports memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Field `number` of `/proc/PID/stat`, counted from 1 as in proc(5).
fn stat_field(pid: i32, number: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, field 2, may contain spaces and brackets.
    let behind_name = stat.rsplit_once(") ")?.1;
    behind_name.split(' ').nth(number - 3)?.parse().ok()
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;

    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}
