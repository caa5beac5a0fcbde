//! The one runtime on which pretended servers and targets live.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// The runtime; it lives as long as the process.
pub fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(4)
                .enable_all()
                .thread_name("peers")
                .build()
                .expect("the system gives four threads")
        })
        .handle()
}

/// Runs `future` to its end on [`runtime`], from blocking code.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}
