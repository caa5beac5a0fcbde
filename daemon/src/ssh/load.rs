//! How loaded a session is: which rules use it, how busy its channels are, and what waits in it for slow programs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alknet_proto::ForwardId;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::pool::Room;
use super::session::{Session, locked};
use super::wear::Wear;

/// A channel that moved so much within a window is busy in it.
const BUSY_BYTES: u64 = 16 << 10;
/// A session that moved so much within a whole window carries bulk: a keystroke beside it would wait.
const BULK_BYTES: u64 = 1 << 20;
/// So many busy channels are enough for one session.
pub const BUSY_CHANNELS: u32 = 10;
/// What a packet costs its key beside its payload: no key may see 2^32 packets, however small.
const PACKET_OVERHEAD_BYTES: u64 = 32;
/// How long traffic is looked back at: connections that start together are not bulk to each other.
const WINDOW: Duration = Duration::from_millis(250);
/// What may wait for slow programs in one session, in bytes.
const SESSION_LIMIT_BYTES: usize = 64 << 20;
/// What may wait for one program however much waits for others: who takes its bytes is not stopped by who does not.
const LEAST_BYTES: usize = 64 << 10;

/// The load of one session.
#[derive(Debug, Default)]
pub(super) struct Load {
    users: Mutex<Users>,
    /// Somebody came or left, or there is room again: told to every connection that is not read.
    changed: Notify,
    /// It is used for the first time or no more: told to the attempt.
    pub(super) use_changed: Notify,
    traffic: Traffic,
    pub(super) wear: Wear,
    sent: AtomicU64,
    received: AtomicU64,
    /// Connections whose queue is full.
    n_full: AtomicUsize,
    buffered_bytes: AtomicUsize,
    /// It takes no new connections.
    retired: AtomicBool,
    /// A session of this destination takes connections again: told to those that wait.
    eased: Arc<Notify>,
}

/// Open connections by rule.
#[derive(Debug, Default)]
struct Users {
    by_rule: BTreeMap<ForwardId, Usage>,
    n_connections: usize,
}

/// What one rule has open.
#[derive(Debug, Default)]
struct Usage {
    n_connections: usize,
    /// Those of them of which at least one side has said everything.
    n_ending: usize,
}

impl Load {
    pub(super) fn new(eased: Arc<Notify>) -> Self {
        Load { eased, ..Load::default() }
    }

    /// Somebody comes or leaves: who waits for that is told.
    fn change_users(&self, change: impl FnOnce(&mut Users)) {
        let (was_used, is_used) = {
            let mut users = locked(&self.users);
            let was_used = 0 < users.n_connections;
            change(&mut users);
            (was_used, 0 < users.n_connections)
        };
        if was_used != is_used {
            self.use_changed.notify_one();
        }
        self.changed.notify_waiters();
    }

    /// The server is asked to listen: that is somebody who waits, too.
    pub(super) fn is_to_listen(&self) {
        self.changed.notify_waiters();
    }

    pub(super) fn n_connections(&self) -> usize {
        locked(&self.users).n_connections
    }

    /// How much a new connection of this rule would wait for others.
    pub(super) fn room_for(&self, forward: ForwardId) -> Room {
        let users = locked(&self.users);
        let n_connections = users.n_connections;
        // What moved lately says nothing of those that have ended since.
        let n_busy = self.traffic.n_busy().min(u32::try_from(n_connections).unwrap_or(u32::MAX));
        let others = || users.by_rule.iter().filter(|(rule, _)| **rule != forward);
        Room {
            is_crowded: self.traffic.busy_channels.load(Relaxed) <= n_busy
                || 0 < n_connections && BULK_BYTES <= self.traffic.bytes_before(),
            is_used_by_others: others().next().is_some(),
            is_new_to_rule: !users.by_rule.contains_key(&forward),
            n_busy,
            n_connections,
            is_kept_by_others: others().any(|(_, usage)| usage.n_ending < usage.n_connections),
        }
    }

    /// Takes another number than [`BUSY_CHANNELS`] for enough.
    pub(super) fn limit_busy(&self, busy_channels: u32) {
        self.traffic.busy_channels.store(busy_channels, Relaxed);
    }

    /// Whether a program reads so slowly that everything on this session may come to wait for it.
    pub(super) fn is_sealed(&self) -> bool {
        0 < self.n_full.load(Relaxed) || !self.has_room()
    }

    /// Whether more may wait for slow programs.
    fn has_room(&self) -> bool {
        self.buffered_bytes() < SESSION_LIMIT_BYTES
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Relaxed)
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Relaxed);
    }

    /// Counts payload bytes of one channel to the server.
    pub(super) fn sent(&self, channel: &ChannelTraffic, n_bytes: usize) {
        self.sent.fetch_add(n_bytes as u64, Relaxed);
        self.carried(channel, n_bytes as u64, Instant::now());
    }

    /// Counts payload bytes of one channel from the server, which came `at` that time.
    pub(super) fn received(&self, channel: &ChannelTraffic, n_bytes: usize, at: Instant) {
        self.received.fetch_add(n_bytes as u64, Relaxed);
        self.carried(channel, n_bytes as u64, at);
    }

    fn carried(&self, channel: &ChannelTraffic, n_bytes: u64, at: Instant) {
        self.traffic.add(channel, n_bytes, at);
        self.wear.add(n_bytes + PACKET_OVERHEAD_BYTES);
    }

    /// Payload bytes to and from the server.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.received.load(Relaxed))
    }
}

/// One connection uses the session until this is dropped.
pub struct Claim {
    session: Arc<Session>,
    forward: ForwardId,
    is_ending: bool,
}

impl Claim {
    pub(super) fn new(session: &Arc<Session>, forward: ForwardId) -> Claim {
        session.load.change_users(|users| {
            users.by_rule.entry(forward).or_default().n_connections += 1;
            users.n_connections += 1;
        });
        Claim { session: session.clone(), forward, is_ending: false }
    }

    /// One side of the connection has said everything.
    pub(super) fn note_end(&mut self) {
        if !std::mem::replace(&mut self.is_ending, true)
            && let Some(usage) = locked(&self.session.load.users).by_rule.get_mut(&self.forward)
        {
            usage.n_ending += 1;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.session.load.change_users(|users| {
            if let Some(usage) = users.by_rule.get_mut(&self.forward) {
                usage.n_connections -= 1;
                usage.n_ending -= usize::from(self.is_ending);
                if usage.n_connections == 0 {
                    users.by_rule.remove(&self.forward);
                }
            }
            users.n_connections -= 1;
        });
    }
}

/// What of one connection waits for its program, as its session counts it.
pub struct Account {
    session: Arc<Session>,
    held_bytes: usize,
    is_full: bool,
}

impl Account {
    pub(super) fn new(session: &Arc<Session>) -> Account {
        Account { session: session.clone(), held_bytes: 0, is_full: false }
    }

    /// So many bytes wait now. While the connection `is_full`, new ones go to another session.
    pub fn note(&mut self, held_bytes: usize, is_full: bool) {
        let load = &self.session.load;
        let (was_sealed, had_room) = (load.is_sealed(), load.has_room());
        if held_bytes != self.held_bytes {
            load.buffered_bytes.fetch_add(held_bytes, Relaxed);
            load.buffered_bytes.fetch_sub(self.held_bytes, Relaxed);
            self.held_bytes = held_bytes;
        }
        if is_full != self.is_full {
            self.is_full = is_full;
            if is_full {
                load.n_full.fetch_add(1, Relaxed);
            } else {
                load.n_full.fetch_sub(1, Relaxed);
            }
        }
        if was_sealed && !load.is_sealed() {
            load.eased.notify_waiters();
        }
        if !had_room && load.has_room() {
            load.changed.notify_waiters();
        }
    }

    /// Whether others would wait if this connection were not read: other connections, or those that the server may
    /// bring at any time where it listens.
    pub fn has_others(&self) -> bool {
        1 < self.session.load.n_connections() || self.session.remotes.are_there()
    }

    /// Whether the connection should be read on. One that `is_full` is, too, so that others do not wait for it, as
    /// long as the session has room.
    pub fn may_be_read(&self, is_full: bool) -> bool {
        let has_room = self.session.load.has_room() && (!is_full || self.has_others());
        has_room || self.held_bytes < LEAST_BYTES
    }

    /// Waits until a connection came to the session or left it, or the session has room again. Enable it before
    /// looking at what it tells of.
    pub fn changed(&self) -> Notified<'_> {
        self.session.load.changed.notified()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.note(0, false);
    }
}

/// What moved lately, in windows. Counts of windows that turn at this moment may be a little off.
#[derive(Debug)]
struct Traffic {
    began: Instant,
    /// The number of the window that is counted in.
    window: AtomicU64,
    bytes: AtomicU64,
    bytes_before: AtomicU64,
    n_busy: AtomicU32,
    n_busy_before: AtomicU32,
    /// So many of them are enough.
    busy_channels: AtomicU32,
}

/// The part of one channel in it.
#[derive(Debug, Default)]
pub(super) struct ChannelTraffic {
    window: AtomicU64,
    bytes: AtomicU64,
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic {
            began: Instant::now(),
            window: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            bytes_before: AtomicU64::new(0),
            n_busy: AtomicU32::new(0),
            n_busy_before: AtomicU32::new(0),
            busy_channels: AtomicU32::new(BUSY_CHANNELS),
        }
    }
}

impl Traffic {
    fn add(&self, channel: &ChannelTraffic, n_bytes: u64, at: Instant) {
        let window = self.turn(at);
        self.bytes.fetch_add(n_bytes, Relaxed);
        if channel.window.swap(window, Relaxed) != window {
            channel.bytes.store(0, Relaxed);
        }
        let before = channel.bytes.fetch_add(n_bytes, Relaxed);
        if before < BUSY_BYTES && BUSY_BYTES <= before + n_bytes {
            self.n_busy.fetch_add(1, Relaxed);
        }
    }

    /// Goes on to the window of this time, never back; tells its number.
    fn turn(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began).as_millis();
        let counted = self.window.load(Relaxed);
        let now = u64::try_from(since / WINDOW.as_millis()).unwrap_or(u64::MAX).max(counted);
        if counted != now && self.window.compare_exchange(counted, now, Relaxed, Relaxed).is_ok() {
            let (bytes, n_busy) = (self.bytes.swap(0, Relaxed), self.n_busy.swap(0, Relaxed));
            let is_next = counted + 1 == now;
            self.bytes_before.store(if is_next { bytes } else { 0 }, Relaxed);
            self.n_busy_before.store(if is_next { n_busy } else { 0 }, Relaxed);
        }
        now
    }

    fn bytes_before(&self) -> u64 {
        self.turn(Instant::now());
        self.bytes_before.load(Relaxed)
    }

    fn n_busy(&self) -> u32 {
        self.turn(Instant::now());
        self.n_busy.load(Relaxed).max(self.n_busy_before.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_channel_is_busy_while_it_moves_much() {
        let (traffic, channel) = (Traffic::default(), ChannelTraffic::default());

        traffic.add(&channel, BUSY_BYTES - 1, Instant::now());
        assert_eq!(traffic.n_busy(), 0);
        traffic.add(&channel, 1, Instant::now());
        traffic.add(&channel, BUSY_BYTES, Instant::now());
        assert_eq!(traffic.n_busy(), 1, "it is counted once");

        tokio::time::advance(WINDOW).await;
        assert_eq!(traffic.n_busy(), 1, "a moment ago is lately");
        tokio::time::advance(WINDOW).await;
        assert_eq!((traffic.n_busy(), traffic.bytes_before()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn bulk_is_what_moved_in_the_window_before() {
        let (traffic, channel) = (Traffic::default(), ChannelTraffic::default());

        traffic.add(&channel, BULK_BYTES, Instant::now());
        assert_eq!(traffic.bytes_before(), 0, "it has just begun");
        tokio::time::advance(WINDOW).await;
        assert_eq!(traffic.bytes_before(), BULK_BYTES);
        tokio::time::advance(WINDOW * 5).await;
        assert_eq!(traffic.bytes_before(), 0, "it was long ago");
    }

    #[test]
    fn a_session_is_sealed_while_a_connection_is_full() {
        let session = Arc::new(Session::default());
        let mut account = Account::new(&session);

        account.note(10, true);
        assert!(session.load.is_sealed());
        account.note(5, false);
        assert!(!session.load.is_sealed());
        account.note(SESSION_LIMIT_BYTES, false);
        assert!(session.load.is_sealed());
        drop(account);
        assert_eq!((session.load.is_sealed(), session.load.buffered_bytes()), (false, 0));
    }

    #[tokio::test]
    async fn many_that_take_nothing_share_what_may_wait_in_a_session() {
        let session = Arc::new(Session::default());
        let mut accounts: Vec<Account> = (0..100).map(|_| Account::new(&session)).collect();
        let _claims: Vec<Claim> = (0..100).map(|n| Claim::new(&session, ForwardId(n))).collect();

        for round in 1.. {
            let read: Vec<&mut Account> = accounts.iter_mut().filter(|account| account.may_be_read(false)).collect();
            if read.is_empty() {
                break;
            }
            read.into_iter().for_each(|account| account.note(round << 15, false));
        }

        let most = SESSION_LIMIT_BYTES + 100 * (LEAST_BYTES + (1 << 15));
        assert!(session.load.buffered_bytes() <= most, "{}", session.load.buffered_bytes());
        let mut quick = Account::new(&session);
        assert!(quick.may_be_read(false), "who takes its bytes is read");
        quick.note(LEAST_BYTES, false);
        let again = std::pin::pin!(quick.changed());
        assert!(!quick.may_be_read(false));
        accounts.drain(..50);
        tokio::time::timeout(Duration::from_secs(5), again).await.expect("it is told that there is room");
        assert!(quick.may_be_read(false));
    }

    #[test]
    fn a_rule_uses_a_session_as_long_as_one_of_its_connections() {
        let session = Arc::new(Session::default());
        let (one, other) = (ForwardId(1), ForwardId(2));

        let mut claims = (Claim::new(&session, one), Claim::new(&session, one));
        drop(claims.0);
        assert!(session.load.room_for(other).is_used_by_others);
        assert!(session.load.room_for(other).is_kept_by_others);
        claims.1.note_end();
        claims.1.note_end();
        assert!(!session.load.room_for(other).is_kept_by_others, "it is gone in a moment");
        let third = Claim::new(&session, one);
        assert!(session.load.room_for(other).is_kept_by_others);
        drop(third);
        assert!(!session.load.room_for(one).is_used_by_others);
        drop(claims.1);
        assert!(!session.load.room_for(other).is_used_by_others);
        assert_eq!(session.load.n_connections(), 0);
    }
}
