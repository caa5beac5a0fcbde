//! What is counted while bytes flow: plain atomics, added to by whoever moves the bytes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use alknet_proto::status::Refusal;
use alknet_proto::{ForwardStats, Reason};

/// Counts the connections and bytes of one forward. Lives as long as the rule, over reconnects.
#[derive(Debug, Default)]
pub struct ForwardCounters {
    active: AtomicU64,
    total: AtomicU64,
    refused: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// Written once for each refusal and read for `show`; nobody decides by it.
    last_refusal: Mutex<Option<Refusal>>,
}

impl ForwardCounters {
    /// Counts a connection as accepted and, until the guard is dropped, as open.
    pub fn connection(self: &std::sync::Arc<Self>) -> OpenConnection {
        self.total.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        OpenConnection(self.clone())
    }

    /// Counts a connection that could not be carried, and keeps why.
    pub fn refuse(&self, reason: Reason) {
        self.refused.fetch_add(1, Relaxed);
        let refusal = Refusal { at: jiff::Timestamp::now(), reason };
        *self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    /// The last connection that could not be carried.
    pub fn last_refusal(&self) -> Option<Refusal> {
        self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts bytes from the side that listens towards the target.
    pub fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts bytes from the target towards the side that listens.
    pub fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// Reads the counters; changes nothing.
    pub fn read(&self) -> ForwardStats {
        ForwardStats {
            connections_active: self.active.load(Relaxed),
            connections_total: self.total.load(Relaxed),
            connections_refused: self.refused.load(Relaxed),
            bytes_sent: self.sent.load(Relaxed),
            bytes_received: self.received.load(Relaxed),
        }
    }
}

/// One connection that is open; dropping it counts it as ended.
#[derive(Debug)]
pub struct OpenConnection(std::sync::Arc<ForwardCounters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

/// Counts what the session of one destination carries, over all its reconnects.
#[derive(Debug, Default)]
pub struct SessionCounters {
    channels: AtomicU64,
    waiting: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// Microseconds; 0 while nothing was measured.
    round_trip: AtomicU64,
}

impl SessionCounters {
    /// Counts a channel as open until the guard is dropped.
    pub fn channel(self: &std::sync::Arc<Self>) -> OpenChannel {
        self.channels.fetch_add(1, Relaxed);
        OpenChannel(self.clone())
    }

    /// Counts a connection as waiting for a link until the guard is dropped.
    pub fn wait(self: &std::sync::Arc<Self>) -> WaitingConnection {
        self.waiting.fetch_add(1, Relaxed);
        WaitingConnection(self.clone())
    }

    /// Counts payload bytes to the server.
    pub fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts payload bytes from the server.
    pub fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// Keeps the last measured round trip.
    pub fn set_round_trip(&self, round_trip: Duration) {
        self.round_trip.store(u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX).max(1), Relaxed);
    }

    /// Channels that are open now.
    pub fn channels(&self) -> u64 {
        self.channels.load(Relaxed)
    }

    /// Connections that wait for a link now.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// Payload bytes to and from the server.
    pub fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.received.load(Relaxed))
    }

    /// A new session begins: what was measured of the earlier one says nothing of it.
    pub fn forget_round_trip(&self) {
        self.round_trip.store(0, Relaxed);
    }

    /// The last measured round trip in milliseconds.
    pub fn round_trip_ms(&self) -> Option<f64> {
        match self.round_trip.load(Relaxed) {
            0 => None,
            micros => Some(micros as f64 / 1000.0),
        }
    }
}

/// One channel that is open; dropping it counts it as closed.
#[derive(Debug)]
pub struct OpenChannel(std::sync::Arc<SessionCounters>);

impl Drop for OpenChannel {
    fn drop(&mut self) {
        self.0.channels.fetch_sub(1, Relaxed);
    }
}

/// One connection that waits for a link; dropping it counts it as waiting no more.
#[derive(Debug)]
pub struct WaitingConnection(std::sync::Arc<SessionCounters>);

impl Drop for WaitingConnection {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}
