//! A running `alknetctl watch --json` whose events can be awaited.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::Process;
use crate::wait::LIMIT;

/// A running watch. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    process: Process,
    lines: Receiver<Seen>,
    seen: Vec<Seen>,
}

/// One line that the watch printed.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was read.
    pub at: Instant,
    /// What it says.
    pub event: Value,
}

impl Watch {
    /// Starts `command`, which prints one JSON object a line.
    pub fn start(command: &mut Command) -> Self {
        let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let stdout = process.child().stdout.take().expect("stdout is a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(Seen { at: Instant::now(), event }).is_err() {
                    return;
                }
            }
        });
        Watch { process, lines, seen: Vec::new() }
    }

    /// Waits for the next event for which `holds` is true, at most 20 s.
    ///
    /// # Panics
    /// With everything seen so far, when none comes.
    #[track_caller]
    pub fn until(&mut self, what: &str, holds: impl FnMut(&Value) -> bool) -> Seen {
        self.until_within(LIMIT, what, holds)
    }

    /// Waits for the next event for which `holds` is true, at most `limit`.
    ///
    /// # Panics
    /// With everything seen so far, when none comes.
    #[track_caller]
    pub fn until_within(&mut self, limit: Duration, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Seen {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(seen) => {
                    self.seen.push(seen.clone());
                    if holds(&seen.event) {
                        return seen;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no event within {limit:?}: {what}\n{}", self.story()),
                Err(RecvTimeoutError::Disconnected) => panic!("the watch ended before: {what}\n{}", self.story()),
            }
        }
    }

    /// Waits until the forward named `name` becomes `status`.
    #[track_caller]
    pub fn until_forward(&mut self, name: &str, status: &str) -> Seen {
        self.until(&format!("forward {name} becomes {status}"), |event| {
            event["event"] == "forward_status" && event["name"] == name && event["to"] == status
        })
    }

    /// Everything that was read so far, a line each.
    pub fn story(&self) -> String {
        self.seen.iter().map(|seen| format!("    {}\n", seen.event)).collect()
    }

    /// Everything that was read so far.
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Keeps nothing of what was read so far.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// The process, to stop it for a while or to see how it ended.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Reads everything up to the end of the watch, which has to come within 20 s.
    #[track_caller]
    pub fn drain(&mut self) {
        let end = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(seen) => self.seen.push(seen),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("the watch does not end\n{}", self.story()),
            }
        }
    }
}
