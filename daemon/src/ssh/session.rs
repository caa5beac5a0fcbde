//! What russh's callbacks and the live link share about one session.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use alknet_proto::Reason;
use alknet_proto::status::Algorithms;
use russh::ChannelId;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::load::Load;
use super::opening::Openings;
use super::opens::Opens;
use super::remote::RemoteListeners;

/// Enough to see why a server closes; servers may send any number of banners.
const BANNER_CHARS: usize = 1024;

/// One session, from the handshake to its end.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Is cancelled when the session is over, and after `end` was written.
    pub(super) over: CancellationToken,
    /// Why the session ended; the first cause that was noticed stays.
    end: Mutex<Option<Reason>>,
    /// What the server says before the login, for people; the first words of it.
    banner: Mutex<String>,
    /// The keys that the agent had for the login, where it was asked.
    agent: Mutex<Option<BTreeSet<String>>>,
    /// What the server was last told to listen for.
    pub(super) remotes: RemoteListeners,
    /// The opens that the server has not answered yet.
    pub(super) openings: Openings,
    /// Tells the writer of a channel that the server closed it, even while nobody reads the channel.
    closings: Mutex<HashMap<ChannelId, CancellationToken>>,
    learned: Mutex<Option<Learned>>,
    /// Moves with every byte from the server.
    pub(super) last_heard: LastHeard,
    /// Channels that are not read because nobody takes what they brought. russh stands still meanwhile.
    n_held_up: AtomicUsize,
    /// How often that has begun.
    n_hold_ups: AtomicUsize,
    /// Is known once the server is.
    keepalive: OnceLock<Keepalive>,
    /// Who uses it and how much.
    pub(super) load: Load,
    /// Somebody had to do something for the login.
    pub(super) needed_person: AtomicBool,
    /// This machine's address in it.
    local: OnceLock<SocketAddr>,
    /// The server's address in it.
    remote: OnceLock<SocketAddr>,
    /// What a remote SOCKS forward may reach.
    opens: OnceLock<Opens>,
}

/// How a session finds out that its server is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keepalive {
    /// How long a server may stay silent before it is asked whether it is there. Zero: it is never asked.
    pub(super) interval: Duration,
    /// How many of these questions may stay without an answer.
    pub(super) count: u32,
}

impl Keepalive {
    /// After how much silence a session is given up; `None` when never.
    pub(super) fn silence(self) -> Option<Duration> {
        let is_asked = !self.interval.is_zero();
        is_asked.then(|| self.interval.saturating_mul(self.count.saturating_add(1)))
    }
}

/// While it lives, nobody reads one of the session's channels, and the server's silence says nothing.
pub struct HeldUp(Arc<Session>);

impl Drop for HeldUp {
    fn drop(&mut self) {
        // What waited in front of the silence comes now.
        self.0.last_heard.is_now();
        self.0.n_held_up.fetch_sub(1, Relaxed);
    }
}

/// When the server sent something last.
#[derive(Debug)]
pub(super) struct LastHeard {
    began: Instant,
    millis: AtomicU64,
}

impl Default for LastHeard {
    fn default() -> Self {
        LastHeard { began: Instant::now(), millis: AtomicU64::new(0) }
    }
}

impl LastHeard {
    /// Something comes.
    pub(super) fn is_now(&self) {
        self.millis.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn at(&self) -> Instant {
        self.began + Duration::from_millis(self.millis.load(Relaxed))
    }
}

/// What the key exchange told about the server.
#[derive(Clone, Debug)]
pub(super) struct Learned {
    pub(super) server_version: String,
    pub(super) algorithms: Algorithms,
}

impl Session {
    /// Says how this session finds out that its server is gone. What was said first stays.
    pub(super) fn keep_alive(&self, keepalive: Keepalive) {
        // It is said once, before the handshake.
        let _ = self.keepalive.set(keepalive);
    }

    /// This session goes over another one: it has that one's addresses, and needs a person where that one did.
    pub(super) fn carried_by(&self, other: &Session) {
        for (own, others) in [(&self.local, &other.local), (&self.remote, &other.remote)] {
            if let Some(address) = others.get() {
                // It is said once, before the handshake.
                let _ = own.set(*address);
            }
        }
        self.needed_person.fetch_or(other.needed_person.load(Relaxed), Relaxed);
    }

    /// Says what a remote SOCKS forward may reach. What was said first stays.
    pub(super) fn permit(&self, opens: Opens) {
        // It is said once, before the handshake.
        let _ = self.opens.set(opens);
    }

    /// What a remote SOCKS forward may reach.
    pub(super) fn opens(&self) -> Opens {
        self.opens.get().cloned().unwrap_or_default()
    }

    /// How this session finds out that its server is gone; never, as long as nobody said how.
    pub(super) fn keepalive(&self) -> Keepalive {
        self.keepalive.get().copied().unwrap_or(Keepalive { interval: Duration::ZERO, count: 0 })
    }

    /// A session that has not begun, of a destination whose connections wait for `eased`.
    pub(super) fn new(eased: Arc<Notify>) -> Self {
        Session { load: Load::new(eased), ..Session::default() }
    }

    /// It goes directly from this machine to `server`.
    pub(super) fn connected(&self, stream: &TcpStream, server: SocketAddr) {
        if let Ok(local) = stream.local_addr() {
            self.local.get_or_init(|| local);
            self.remote.get_or_init(|| server);
        }
    }

    /// Whether the system would connect to the server from another address of this machine now.
    pub(super) fn leaves_elsewhere(&self) -> bool {
        let (Some(local), Some(remote)) = (self.local.get(), self.remote.get()) else { return false };
        // Nothing is sent: connecting a datagram socket only asks the system for the way.
        let way = UdpSocket::bind(if remote.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })
            .and_then(|socket| socket.connect(remote).and_then(|()| socket.local_addr()));
        way.is_ok_and(|way| way.ip() != local.ip())
    }

    /// Whether this machine lost the address that the server knows it by: no answer can come while that is so.
    pub(super) fn has_no_address(&self) -> bool {
        let Some(mut local) = self.local.get().copied() else { return false };
        local.set_port(0);
        // Only an address of the machine can be bound to.
        UdpSocket::bind(local).is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    }

    /// Nobody reads one of its channels until the guard is dropped.
    pub(super) fn hold_up(self: &Arc<Self>) -> HeldUp {
        self.n_hold_ups.fetch_add(1, Relaxed);
        self.n_held_up.fetch_add(1, Relaxed);
        HeldUp(self.clone())
    }

    /// How often it was held up so far.
    pub(super) fn n_hold_ups(&self) -> usize {
        self.n_hold_ups.load(Relaxed)
    }

    pub(super) fn is_held_up(&self) -> bool {
        0 < self.n_held_up.load(Relaxed)
    }

    /// Remembers why the session ended, unless a cause is known already.
    pub(super) fn end_because(&self, reason: Reason) {
        locked(&self.end).get_or_insert(reason);
    }

    /// Why the session ended, where somebody said so.
    pub(super) fn end(&self) -> Option<Reason> {
        locked(&self.end).clone()
    }

    /// The server says something before the login.
    pub(super) fn note_banner(&self, said: &str) {
        let mut banner = locked(&self.banner);
        let room = BANNER_CHARS.saturating_sub(banner.chars().count());
        banner.extend(said.chars().take(room));
    }

    /// What the server said before the login.
    pub(super) fn banner(&self) -> String {
        locked(&self.banner).clone()
    }

    /// The agent has these keys for the login.
    pub(super) fn note_agent(&self, keys: BTreeSet<String>) {
        *locked(&self.agent) = Some(keys);
    }

    /// The keys that the agent had for the login, where it was asked.
    pub(super) fn agent(&self) -> Option<BTreeSet<String>> {
        locked(&self.agent).clone()
    }

    pub(super) fn learn(&self, learned: Learned) {
        *locked(&self.learned) = Some(learned);
    }

    pub(super) fn learned(&self) -> Option<Learned> {
        locked(&self.learned).clone()
    }

    /// The token that is cancelled when the server closes this channel, or when the session is over.
    ///
    /// Whoever is first, russh's callback or the task that opened the channel, makes it; `forget_channel` ends it.
    pub(super) fn closing(&self, id: ChannelId) -> CancellationToken {
        locked(&self.closings).entry(id).or_insert_with(|| self.over.child_token()).clone()
    }

    pub(super) fn channel_closed(&self, id: ChannelId) {
        if let Some(token) = locked(&self.closings).get(&id) {
            token.cancel();
        }
    }

    pub(super) fn forget_channel(&self, id: ChannelId) {
        locked(&self.closings).remove(&id);
    }
}

/// Locks what is only ever held for a few instructions; a panic of another holder leaves nothing half done there.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
