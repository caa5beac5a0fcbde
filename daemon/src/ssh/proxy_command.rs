//! A program of ProxyCommand, whose input and output are the connection to the server.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alknet_proto::{Code, Reason, Stage};
use tokio::io::{AsyncRead, AsyncReadExt, Join};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use super::failure::io_words;
use super::session::locked;
use super::shell::shell;

/// How much of what the program complains about is kept: its last line is shown.
const COMPLAINT_BYTES: usize = 1024;

/// How long a program may take to end once it is told to.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How long after its output a program may take to end.
const GRACE: Duration = Duration::from_millis(500);

/// A program that runs. Dropping it ends the program and what it started.
pub(super) struct Program {
    ended: CancellationToken,
    is_to_end: CancellationToken,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

/// How a program ended.
struct Outcome {
    status: Option<ExitStatus>,
    complaint: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.is_to_end.cancel();
    }
}

impl Program {
    /// Starts the command by a shell, as ssh does.
    ///
    /// # Errors
    /// Stage `proxy` with `connection_lost` where there is no shell.
    pub(super) fn start(command: &str) -> Result<(Join<ChildStdout, ChildStdin>, Program), Reason> {
        let failed = |why: String| Reason::new(Stage::Proxy, Code::ConnectionLost, why);
        // The program takes the place of the shell, where that is how shells are.
        let command = if cfg!(unix) { format!("exec {command}") } else { command.to_owned() };
        let mut shell = Command::from(shell(&command));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child =
            shell.spawn().map_err(|error| failed(format!("the ProxyCommand cannot be run: {}", io_words(&error))))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("the ProxyCommand has no input and output".to_owned()));
        };
        let program =
            Program { ended: CancellationToken::new(), is_to_end: CancellationToken::new(), outcome: Arc::default() };
        // Ends with the program, which ends at the latest END_TIMEOUT after `is_to_end`. A panic ends the program,
        // because the child is dropped, and then the session, because its stream ends.
        tokio::spawn(watch(child, program.ended.clone(), program.is_to_end.clone(), program.outcome.clone()));
        Ok((tokio::io::join(output, input), program))
    }

    /// Waits until the program has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Why the program ended; nothing where it runs, or ended without a complaint.
    pub(super) async fn why_it_ended(&self) -> Option<Reason> {
        tokio::time::timeout(GRACE, self.ended()).await.ok()?;
        let outcome = locked(&self.outcome);
        let outcome = outcome.as_ref()?;
        let status = outcome.status?;
        let complaint = outcome.complaint.trim();
        if status.success() && complaint.is_empty() {
            return None;
        }
        let how = match status.code() {
            Some(code) => format!("the ProxyCommand ended with exit code {code}"),
            None => "the ProxyCommand was ended by a signal".to_owned(),
        };
        let message = if complaint.is_empty() { how } else { format!("{how}: {complaint}") };
        Some(
            Reason::new(Stage::Proxy, Code::ConnectionLost, message).with_hint(
                "run the command of `ssh -G HOST` by hand; alknetd runs it with the environment it has itself",
            ),
        )
    }
}

async fn watch(
    mut child: Child,
    ended: CancellationToken,
    is_to_end: CancellationToken,
    outcome: Arc<Mutex<Option<Outcome>>>,
) {
    // However this task ends, nobody waits for it in vain.
    let _ended = ended.drop_guard();
    let group = child.id();
    let errors = child.stderr.take();
    let mut tail = Vec::new();
    let status = {
        let reading = async {
            match errors {
                Some(errors) => keep_tail(errors, &mut tail).await,
                None => std::future::pending().await,
            }
        };
        let exiting = async {
            tokio::select! {
                status = child.wait() => status.ok(),
                () = is_to_end.cancelled() => {
                    signal(group, &mut child, How::Asked);
                    match tokio::time::timeout(END_TIMEOUT, child.wait()).await {
                        Ok(status) => status.ok(),
                        Err(_) => {
                            signal(group, &mut child, How::Forced);
                            child.wait().await.ok()
                        }
                    }
                }
            }
        };
        // A child of the program may keep its stderr open: the program's own end counts.
        let mut reading = std::pin::pin!(reading);
        let mut exiting = std::pin::pin!(exiting);
        tokio::select! {
            () = &mut reading => exiting.await,
            status = &mut exiting => {
                let _ = tokio::time::timeout(Duration::from_millis(100), reading).await;
                status
            }
        }
    };
    // What it started and left behind carries nothing any more.
    signal(group, &mut child, How::Forced);
    let text = String::from_utf8_lossy(&tail);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let complaint = alknet_proto::fault::one_line(last);
    *locked(&outcome) = Some(Outcome { status, complaint });
}

/// Reads to the end and keeps what came last.
async fn keep_tail(mut errors: impl AsyncRead + Unpin, tail: &mut Vec<u8>) {
    let mut chunk = [0; 512];
    loop {
        match errors.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                tail.extend_from_slice(&chunk[..length]);
                let surplus = tail.len().saturating_sub(COMPLAINT_BYTES);
                tail.drain(..surplus);
            }
        }
    }
}

/// How a program is ended.
#[derive(Clone, Copy)]
enum How {
    Asked,
    Forced,
}

#[cfg(unix)]
fn signal(group: Option<u32>, _: &mut Child, how: How) {
    use nix::sys::signal::Signal;
    let signal = match how {
        How::Asked => Signal::SIGTERM,
        How::Forced => Signal::SIGKILL,
    };
    if let Some(group) = group {
        super::shell::signal_group(group, signal);
    }
}

#[cfg(not(unix))]
fn signal(_: Option<u32>, child: &mut Child, _: How) {
    // It may have ended by itself.
    let _ = child.start_kill();
}
