//! What the system or a person says with signals.

use std::io;

/// What a signal means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT; on Windows Ctrl-C, Ctrl-Break, a closed window, the end of Windows: end in order; a second
    /// one ends at once.
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

/// Starts to listen. `tell` is called on a task that lives as long as the runtime, so it must not wait. There is no
/// sign for reloading or retrying; a window that closes and a system that ends give the process a few seconds.
///
/// # Errors
/// When the system refuses the handler.
#[cfg(windows)]
pub fn listen(tell: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

    let (mut press, mut stop, mut close, mut end) = (ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?);
    tokio::spawn(async move {
        loop {
            // Every arm is cancel-safe: each of them waits for a mark that stays.
            let said = tokio::select! {
                said = press.recv() => said,
                said = stop.recv() => said,
                said = close.recv() => said,
                said = end.recv() => said,
            };
            let Some(()) = said else { break };
            tell(Signal::Stop);
        }
    });
    Ok(())
}
