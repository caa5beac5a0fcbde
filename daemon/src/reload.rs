//! Reads the configuration again, because of a signal or for a client.

use std::path::PathBuf;

use alknet_core::Call;
use alknet_proto::{Code, Fault};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::daemon::Order;

/// Knows where the configuration is, and whom to give it to.
#[derive(Clone, Debug)]
pub struct Reloader {
    path: PathBuf,
    /// A person named the file, so it has to be there.
    is_asked_for: bool,
    orders: mpsc::Sender<Order>,
}

impl Reloader {
    /// Of the file at `path`; what it says goes to `orders`.
    pub fn new(path: PathBuf, is_asked_for: bool, orders: mpsc::Sender<Order>) -> Self {
        Reloader { path, is_asked_for, orders }
    }

    /// Reads the file and gives the order to go on with it. Blocks.
    pub fn reload(&self, call: Option<Call>) {
        let config = Config::load(&self.path, self.is_asked_for).map(Box::new);
        // Nobody listens to a 17th order while 16 wait; they say the same.
        let _ = self.orders.try_send(Order::Configure { call, config });
    }

    /// The same for a client, on a thread of its own, which ends with the reading.
    ///
    /// # Errors
    /// [`Code::SessionLimit`] when as many orders wait as may.
    pub fn begin(&self, call: Call) -> Result<(), Fault> {
        if self.orders.capacity() == 0 {
            return Err(Fault::new(Code::SessionLimit, "the configuration is read too often").with_hint("try again"));
        }
        let reloader = self.clone();
        tokio::task::spawn_blocking(move || reloader.reload(Some(call)));
        Ok(())
    }
}
