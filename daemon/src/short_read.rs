//! A read that did not fill its buffer has taken everything: who reads next waits, without a call to learn that.

use std::io;

use tokio::io::Interest;

/// Says that of a stream from which `n_bytes` were read into `room`. `try_io` is the stream's own.
///
/// epoll tells of everything that comes from then on, an end too. Other systems may have told already, so that nothing
/// is said there.
pub(crate) fn note(
    n_bytes: usize,
    room: usize,
    try_io: impl FnOnce(Interest, fn() -> io::Result<()>) -> io::Result<()>,
) {
    if cfg!(any(target_os = "linux", target_os = "android")) && 0 < n_bytes && n_bytes < room {
        // It is an error by intent: that is how a stream is told.
        let _ = try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
    }
}
