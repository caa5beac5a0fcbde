//! What the system or a person says with signals.

use std::io;

/// What a signal means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT, Ctrl-C: end in order; a second one ends at once.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: every suspended session tries at once.
    RetryAll,
}

/// Starts to listen. `tell` is called on a thread of its own, which lives as long as the process.
///
/// # Errors
/// When the system refuses the handlers.
#[cfg(unix)]
pub fn listen(tell: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            tell(match signal {
                SIGHUP => Signal::Reload,
                SIGUSR1 => Signal::RetryAll,
                _ => Signal::Stop,
            });
        }
    })?;
    Ok(())
}

/// Starts to listen for Ctrl-C. `tell` is called on a task that lives as long as the runtime.
///
/// # Errors
/// When the system refuses the handler.
#[cfg(windows)]
pub fn listen(tell: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let mut presses = tokio::signal::windows::ctrl_c()?;
    tokio::spawn(async move {
        while presses.recv().await.is_some() {
            tell(Signal::Stop);
        }
    });
    Ok(())
}
