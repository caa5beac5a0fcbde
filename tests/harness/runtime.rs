//! The one runtime on which pretended servers and targets live.

use std::future::Future;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Handle, Runtime};

/// The runtime; it lives as long as the process.
pub fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            allow_many_files();
            Builder::new_multi_thread()
                .worker_threads(4)
                .enable_all()
                .thread_name("peers")
                .build()
                .expect("the system gives four threads")
        })
        .handle()
}

/// A thousand connections and both their ends are more files than a program may open by default.
fn allow_many_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open files can be read");
    let enough = most.min(64 * 1024);
    setrlimit(Resource::RLIMIT_NOFILE, enough, most).expect("a program may use what it is allowed");
}

/// Runs `future` to its end on [`runtime`], from blocking code.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}
