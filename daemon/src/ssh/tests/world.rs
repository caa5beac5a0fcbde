//! A user with a key, and attempts to reach a server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alknet_core::{Epoch, Event};
use alknet_proto::{Destination, Reason, Target};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::server::{Login, Server};
use crate::counters::SessionCounters;
use crate::lanes::Lanes;
use crate::ssh::{Attempt, Channel, Link, Pool, Settings};

/// No test waits longer for anything.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// A home with a key.
pub(super) struct World {
    folder: TempDir,
    host_key: PrivateKey,
    pub(super) settings: Settings,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_owned();
        std::fs::create_dir(home.join(".ssh")).unwrap();
        save(&key(), &home.join(".ssh/id_ed25519"));
        let settings = Settings {
            global_known_hosts: Vec::new(),
            keepalive_interval: Duration::from_secs(15),
            keepalive_count: 3,
            renew_after_bytes: u64::MAX,
            renew_after: Duration::from_secs(24 * 3600),
            busy_channels: 10,
            auth_sock: None,
            user: "me".to_owned(),
            ssh_config: home.join(".ssh/config"),
            global_ssh_config: home.join("ssh_config"),
            ssh_options: Default::default(),
            home,
        };
        World { folder, host_key: key(), settings }
    }

    /// A server whose key the user knows.
    pub(super) async fn server(&self, login: Login) -> Server {
        self.server_with_window(login, 2 << 20).await
    }

    pub(super) async fn server_with_window(&self, login: Login, window_bytes: u32) -> Server {
        let server = Server::start(self.host_key.clone(), login, window_bytes).await;
        let line = self.host_key.public_key().to_openssh().unwrap();
        let line = format!("[127.0.0.1]:{} {line}\n", server.port);
        std::fs::write(self.folder.path().join(".ssh/known_hosts"), line).unwrap();
        server
    }

    /// Begins an attempt to reach the server on this port.
    pub(super) fn attempt(&self, port: u16) -> Running {
        let (inbox, events) = mpsc::channel(16);
        let destination: Destination = format!("127.0.0.1:{port}").parse().unwrap();
        let pool = Arc::new(Pool::new(destination.clone(), Arc::new(Lanes::here()), mpsc::channel(1).0));
        let (cancel, counters) = (CancellationToken::new(), pool.counters.clone());
        let attempt = Attempt {
            lane: pool.home.clone(),
            destination,
            epoch: Epoch(1),
            accept_new: false,
            settings: Arc::new(self.settings.clone()),
            pool: pool.clone(),
            inbox,
            cancel: cancel.clone(),
            probe: Arc::default(),
            admission: Arc::default(),
            evidence: Arc::default(),
        };
        // It is let go to its server as soon as it knocks.
        attempt.admission.notify_one();
        tokio::spawn(attempt.run());
        Running { pool, events, cancel, counters }
    }
}

/// An attempt that was begun.
pub(super) struct Running {
    pub(super) pool: Arc<Pool>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) cancel: CancellationToken,
    pub(super) counters: Arc<SessionCounters>,
}

impl Running {
    /// Its next news; `None` after the last.
    pub(super) async fn news(&mut self) -> Option<Event> {
        loop {
            let news = timeout(LIMIT, self.events.recv()).await.expect("there is news in time");
            if !matches!(news, Some(Event::Knocks { .. })) {
                return news;
            }
        }
    }

    /// Waits until it is logged in.
    pub(super) async fn link(&mut self) -> Arc<Link> {
        match self.news().await {
            Some(Event::Connected { epoch: Epoch(1), .. }) => self.pool.link(Epoch(1)).expect("it has a link"),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until it is lost, which is its last news, and says why.
    pub(super) async fn lost(mut self) -> Reason {
        let reason = match self.news().await {
            Some(Event::Lost { epoch: Epoch(1), reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert!(self.pool.link(Epoch(1)).is_none(), "the link is taken away before");
        assert_eq!(self.news().await, None, "it is lost once");
        reason
    }
}

/// Opens a channel to a port of the server's.
pub(super) async fn open(link: &Link, port: u16) -> Result<Channel, Reason> {
    let target = Target::Tcp("target".to_owned(), port);
    timeout(LIMIT, link.open(&target, ("127.0.0.1".to_owned(), 1))).await.expect("an answer in time")
}

pub(super) fn key() -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
}

fn save(key: &PrivateKey, path: &Path) {
    std::fs::write(path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
