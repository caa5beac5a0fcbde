//! Where an attempt waits to be let go to a server, so that no server gets more connections than it bears.

use std::sync::Arc;

use alknet_core::{Epoch, Event, Host};
use alknet_proto::Destination;
use tokio::sync::{Notify, mpsc};

/// The door of one attempt.
pub(super) struct Door {
    pub(super) destination: Destination,
    pub(super) epoch: Epoch,
    pub(super) inbox: mpsc::Sender<Event>,
    pub(super) admission: Arc<Notify>,
}

impl Door {
    /// Waits to be let go to this server; comes once for every server on the way, before it is connected to.
    pub(super) async fn knock(&self, host: &str, port: u16) {
        let (destination, epoch) = (self.destination.clone(), self.epoch);
        // Nobody listens while the daemon ends; then it is cancelled.
        let _ = self.inbox.send(Event::Knocks { destination, epoch, host: Host::new(host, port) }).await;
        self.admission.notified().await;
    }
}
