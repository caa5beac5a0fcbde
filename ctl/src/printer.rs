//! The only place that writes to stdout and stderr: stdout is data, stderr is for people.

use std::fmt::Display;
use std::io::{self, IsTerminal, Stderr, Stdout, Write};

use alknet_proto::{Code, Fault, ForwardStatus, words};
use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::json::ErrorObject;
use crate::render::{BOLD, painted};

/// stdout and stderr, with what the global options say about both.
///
/// Texts may be styled; the styles are taken out where no colour is wanted.
pub(crate) struct Printer {
    out: AutoStream<Stdout>,
    err: AutoStream<Stderr>,
    /// Data is JSON.
    pub(crate) json: bool,
    /// Only names where data is expected, and no notes.
    pub(crate) quiet: bool,
}

impl Printer {
    /// Colours follow the terminal and NO_COLOR, CLICOLOR_FORCE and TERM unless `color` decides.
    pub(crate) fn new(color: ColorChoice, json: bool, quiet: bool) -> Self {
        let color_on = |stream: &dyn RawTerminal| match color {
            ColorChoice::Auto if is_not_forced() => unforced(stream),
            color => color,
        };
        let (out, err) = (io::stdout(), io::stderr());
        let (color_out, color_err) = (color_on(&out), color_on(&err));
        Printer { out: AutoStream::new(out, color_out), err: AutoStream::new(err, color_err), json, quiet }
    }

    /// Writes one line of data, and all of it at once.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        self.text(&format!("{text}\n"))
    }

    /// Writes lines of data that end with a newline already.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        if self.out.current_choice() == ColorChoice::Never {
            // In one piece: the stream would write each line, and each part between two styles, by itself.
            let plain = strip_str(text).to_string();
            let mut out = self.out.as_inner();
            out.write_all(plain.as_bytes())?;
            return out.flush();
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Writes one JSON value as one line, and all of it at once.
    pub(crate) fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
        line.push(b'\n');
        // JSON escapes whatever a terminal would act upon.
        let mut out = self.out.as_inner();
        out.write_all(&line)?;
        out.flush()
    }

    /// Tells a person something that is not the answer.
    pub(crate) fn note(&mut self, text: impl Display) {
        if !self.quiet {
            self.tell(&format!("{} {text}\n", painted(BOLD, "note:")));
        }
    }

    /// Tells a person what to do next.
    pub(crate) fn hint(&mut self, text: impl Display) {
        if !self.quiet {
            self.tell(&format!("{} {text}\n", painted(BOLD, "hint:")));
        }
    }

    /// Writes help that was not asked for.
    pub(crate) fn help(&mut self, text: &str) {
        self.tell(text);
    }

    /// Says why a command failed and how the program ends by it.
    pub(crate) fn failure(&mut self, failure: &Failure) -> Exit {
        match failure {
            Failure::Told { fault, exit, forwards } => {
                self.fault(fault, forwards);
                *exit
            }
            // Whoever read our output has what it wanted.
            Failure::Output(error) if says_that_nobody_reads(error) => Exit::Done,
            Failure::Output(error) => {
                let fault = Fault::new(Code::Internal, format!("cannot write the output: {}", words::of_io(error)))
                    .with_hint("make room where the output goes, and ask again");
                self.told(&fault);
                Exit::Failed
            }
        }
    }

    fn fault(&mut self, fault: &Fault, forwards: &[ForwardStatus]) {
        if self.json {
            // The exit code tells the same; a reader that went away cannot be told anything.
            let _ = self.json(&ErrorObject::new(fault, forwards));
        }
        self.told(fault);
    }

    fn told(&mut self, fault: &Fault) {
        const RED: Style = AnsiColor::Red.on_default().bold();
        let mut text = format!("{} {}\n", painted(RED, "error:"), fault.message);
        if let Some(hint) = &fault.hint {
            text.push_str(&format!("\n{} {hint}\n", painted(BOLD, "hint:")));
        }
        self.tell(&text);
    }

    /// What cannot be told to a person is not worth failing for.
    fn tell(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
        let _ = self.err.flush();
    }
}

/// What a stream says of the terminal behind it.
trait RawTerminal {
    fn is_terminal(&self) -> bool;
}

impl<S: IsTerminal> RawTerminal for S {
    fn is_terminal(&self) -> bool {
        IsTerminal::is_terminal(self)
    }
}

/// `CLICOLOR_FORCE=0` forces nothing; the library takes any value for a yes.
fn is_not_forced() -> bool {
    std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value == "0")
}

/// Colours as without CLICOLOR_FORCE.
fn unforced(stream: &dyn RawTerminal) -> ColorChoice {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|set| set == value);
    let takes_colours = cfg!(windows) || (is_set("TERM") && !is("TERM", "dumb"));
    if stream.is_terminal() && takes_colours && !is_set("NO_COLOR") && !is("CLICOLOR", "0") {
        ColorChoice::Always
    } else {
        ColorChoice::Never
    }
}

/// Says on stderr which message passes. What cannot be told is not worth failing for.
pub(crate) fn trace(what: &str, of: &str) {
    let _ = writeln!(io::stderr(), "trace: {what} {of}");
}

/// Waits until nobody reads stdout any more; for ever where the system does not say so.
///
/// Without it, a watch whose reader went away would only find out at its next line.
pub(crate) async fn stdout_closed() {
    let (gone, told) = tokio::sync::oneshot::channel();
    // Ends with its news or with the program: nothing else interrupts it, and it holds nothing.
    let spawned = std::thread::Builder::new().name("stdout".to_owned()).spawn(move || {
        if reader_went_away() {
            // The watch may have ended by itself in this moment.
            let _ = gone.send(());
        }
    });
    if spawned.is_err() || told.await.is_err() {
        std::future::pending().await
    }
}

/// Whether a write failed because the reader is gone, as `head` is when it has enough.
fn says_that_nobody_reads(error: &io::Error) -> bool {
    // Windows has two errors for it, and the standard library knows one of them.
    const PIPE_NOT_CONNECTED: i32 = 233;
    let is_cut_on_windows = cfg!(windows) && error.raw_os_error() == Some(PIPE_NOT_CONNECTED);
    error.kind() == io::ErrorKind::BrokenPipe || is_cut_on_windows
}

/// Blocks until the other end of stdout is closed; false where it cannot be known.
#[cfg(unix)]
fn reader_went_away() -> bool {
    use std::os::fd::AsFd;

    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    let stdout = io::stdout();
    // Linux tells a hang-up and an error in any case, macOS only what it is asked for.
    let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::POLLHUP)];
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => return watched[0].any().unwrap_or(true),
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// A pipe of Windows tells only a writer.
#[cfg(not(unix))]
fn reader_went_away() -> bool {
    false
}
