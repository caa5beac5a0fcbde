//! Runs alknetctl to its end and keeps what it said.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::Process;

/// No call of a test takes longer than this; one that does has hung.
const LIMIT: Duration = Duration::from_secs(60);

/// What one run of alknetctl left.
#[derive(Clone, Debug)]
pub struct CtlOutput {
    /// The command as a person would type it.
    pub command: String,
    /// The exit code; 128 and more stands for a signal.
    pub code: i32,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
    /// From the start of the process to its end.
    pub took: Duration,
}

impl CtlOutput {
    /// Runs `command` to its end.
    ///
    /// # Panics
    /// When it takes longer than a minute.
    pub fn of(mut command: Command) -> Self {
        let shown = shown(&command);
        let begin = Instant::now();
        let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let stdout = read_all(process.child().stdout.take().expect("stdout is a pipe"));
        let stderr = read_all(process.child().stderr.take().expect("stderr is a pipe"));
        // Both end with the process: no look at it from time to time is in what it took.
        let all_of = |from: Receiver<String>| {
            from.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("`{shown}` did not end within {LIMIT:?}"))
        };
        let (stdout, stderr) = (all_of(stdout), all_of(stderr));
        let took = begin.elapsed();
        let code = exit_code(process.wait(LIMIT));
        CtlOutput { command: shown, code, stdout, stderr, took }
    }

    /// This output, when the command was done.
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// This output, when the exit code is `code`.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code of `{}`\n{}{}", self.command, self.stdout, self.stderr);
        self
    }

    /// What stdout says, read as one JSON value.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("`{}` printed no JSON ({error}): {self:#?}", self.command))
    }

    /// The code in `{"error":{"code":…}}` on stdout.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn error_code(&self) -> String {
        let json = self.json();
        json["error"]["code"].as_str().unwrap_or_else(|| panic!("no error in {self:#?}")).to_owned()
    }
}

/// The exit code as a shell sees it.
pub fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;

    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The command line as a person would type it.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let mut text = program.into_owned();
    for argument in command.get_args() {
        text.push(' ');
        let argument = argument.to_string_lossy();
        let is_plain = !argument.is_empty() && !argument.contains(|c: char| c.is_whitespace() || "'*?".contains(c));
        if is_plain {
            text.push_str(&argument);
        } else {
            text.push_str(&format!("'{argument}'"));
        }
    }
    text
}

/// All that comes until the end; the thread that reads it ends with the process, or with this program.
fn read_all(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (all, told) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        // Nobody waits any more for a process that hung.
        let _ = all.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    told
}
