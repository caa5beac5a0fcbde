//! Clients: who they are, what they ask, and what they are told.

mod access;
mod client;
mod clients;
mod dispatcher;
mod explainer;
mod meter;
mod services;

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use alknet_core::{ClientId, Event};
use alknet_proto::connection::{self, MessageWriter};
use alknet_proto::endpoint::{Listener, PeerIdentity, Stream};
use alknet_proto::hello::Hello;
use alknet_proto::words;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::shortage::{self, ACCEPT_PAUSE};

pub use access::{AccessControl, Identity, Scope};
pub use client::serve_stream;
pub use clients::{Clients, MAX_CLIENTS, MAX_PENDING, OUTBOX, Outbox};
pub use dispatcher::{Dispatcher, Peer};
pub use explainer::{Explainer, Questions};

/// What a refusal may take: it fits into the buffer of a new connection, so it waits for nobody.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long clients have to go after `stop`; [`Clients::close_all`] makes them go within 1 s.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the daemon calls itself towards clients.
pub fn hello() -> Hello {
    Hello::new("alknetd", env!("CARGO_PKG_VERSION"))
}

/// Serves the clients of the control socket until `stop` is cancelled.
///
/// Then nothing more is accepted and the socket is removed; clients have 2 s to get what
/// [`Clients::close_all`] tells them.
pub async fn serve(listener: Listener, dispatcher: Dispatcher, stop: CancellationToken) {
    let mut served = Served { dispatcher, tasks: JoinSet::new(), ids: HashMap::new() };
    loop {
        // Accepting and joining lose nothing when they are dropped half way.
        tokio::select! {
            (stream, peer) = accept(&listener) => served.admit(stream, peer).await,
            Some(ended) = served.tasks.join_next_with_id() => served.part_from(ended).await,
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    let leaving = async {
        while let Some(ended) = served.tasks.join_next_with_id().await {
            served.part_from(ended).await;
        }
    };
    if timeout(LEAVE_TIMEOUT, leaving).await.is_err() {
        tracing::warn!("clients did not go in time and were cut off");
    }
}

async fn accept(listener: &Listener) -> (Stream, PeerIdentity) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Whoever wanted to connect has gone; that is no trouble of ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                shortage::warn(&format!("cannot accept clients: {}", words::of_io(&error)));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One task per client; it ends by itself, when it is cut off, or with this.
struct Served {
    dispatcher: Dispatcher,
    tasks: JoinSet<()>,
    ids: HashMap<Id, ClientId>,
}

impl Served {
    async fn admit(&mut self, stream: Stream, peer: PeerIdentity) {
        let admitted = Identity::of_socket_peer(&peer)
            .inspect_err(|_| tracing::warn!(%peer, "refused a client of another user"))
            .and_then(|identity| Ok((identity, self.dispatcher.clients().register()?)));
        match admitted {
            Ok((identity, outbox)) => {
                let client = outbox.client();
                tracing::debug!(client = client.0, %peer, "client connected");
                let serving = serve_stream(stream, identity, outbox, self.dispatcher.clone());
                self.ids.insert(self.tasks.spawn(serving).id(), client);
            }
            Err(fault) => {
                tracing::debug!(%peer, reason = %fault, "client refused");
                let mut writer = MessageWriter::new(stream);
                // Whoever does not wait for the refusal does not want to know.
                let _ = timeout(REFUSAL_TIMEOUT, connection::refuse(&mut writer, &hello(), &fault)).await;
            }
        }
    }

    /// Also when the task panicked: then the client is gone, and everything that it asked for stops.
    async fn part_from(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!(%error, "serving a client failed");
                error.id()
            }
        };
        if let Some(client) = self.ids.remove(&id) {
            tracing::debug!(client = client.0, "client gone");
            self.dispatcher.tell(Event::ClientGone(client)).await;
        }
    }
}
