//! Every number that the core decides by, with its unit and its reason.

use std::time::Duration;

/// A session that lived this long was healthy: its next loss starts the backoff anew.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);
/// Within this time, the first [`FREE_LOSSES`] losses of a session reconnect at once even if it was short-lived.
pub const LOSS_WINDOW: Duration = Duration::from_secs(600);
/// See [`LOSS_WINDOW`]. A laptop that roams loses its sessions a few times in a row; a server that throws us out does so more often.
pub const FREE_LOSSES: usize = 5;
/// The first try after a loss: at once, but in a turn of its own, so that watchers see the loss first.
pub const AT_ONCE: Duration = Duration::from_millis(1);
/// Each phase of an attempt is bounded where it runs; this one is for an attempt that never reports, beyond any ConnectTimeout in use.
pub const ATTEMPT_LIMIT: Duration = Duration::from_secs(180);
/// A listener that neither listens nor refuses: longer than the 10 s that a server has to answer a remote forward.
pub const LISTEN_LIMIT: Duration = Duration::from_secs(20);
/// A listener that does not say that it is closed: longer than the 10 s that a server has to answer a cancel.
pub const CLOSE_LIMIT: Duration = Duration::from_secs(20);
/// How long until a local address that was taken is tried again.
pub const REBIND_AFTER: Duration = Duration::from_secs(5);
/// How long until rules that could not be written are tried again.
pub const SAVE_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// A watcher hears at least this often from the daemon.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// The most rules of one daemon: every answer about them stays a few pages.
pub const MAX_FORWARDS: usize = 2000;
/// How many changes a watcher can resume over.
pub const REMEMBERED_EVENTS: usize = 10_000;
/// How many changes of one forward, and of one session, are kept for `show`.
pub const REMEMBERED_CHANGES: usize = 50;
/// Handshakes of one destination that end in no login, at most within any minute. A server that counts them (sshd's
/// PerSourcePenalties, fail2ban) bans whoever has many more.
pub const HANDSHAKES_PER_MINUTE: u32 = 6;
/// So many of them may come without a pause: a person mends something, asks, and mends again.
pub const HANDSHAKE_BURST: u32 = 3;
/// So many attempts may be at one server without a login: below the 10 from which sshd's MaxStartups drops some.
pub const MAX_UNFINISHED_LOGINS: usize = 4;
/// A server that closes or says nothing where a greeting is due, so often in a row, is taken to have banned us.
pub const SILENT_BAN_AFTER: u32 = 3;
/// After so many failures in a row the status says so.
pub const MANY_FAILURES: u32 = 5;
/// When another destination comes back, a waiting one tries at once, but not again before so long.
pub const NUDGE_AFTER: Duration = Duration::from_secs(30);
/// Within this time, [`crate::cause::patience`] with damaged data ends.
pub const DAMAGE_WINDOW: Duration = Duration::from_secs(600);
/// How many links one destination has at most, unless configured otherwise.
pub const MAX_LINKS: usize = 3;
/// How many links there are in all, of whatever kind, unless configured otherwise: each costs memory, a login on its
/// server, and a place in the tables of every firewall on the way.
pub const MAX_SESSIONS: usize = 256;
/// A session that nobody wants stays logged in for so long, unless configured otherwise: whoever changes a rule, or starts
/// what was stopped over lunch, is not asked for another login.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(1800);
/// A session that waits because there are so many looks again after so long at the latest.
pub const ROOM_AGAIN: Duration = Duration::from_secs(60);
/// A further link that carries nothing for so long is ended.
pub const EXTRA_IDLE: Duration = Duration::from_secs(300);
/// After an attempt at a further link failed, the next one comes this much later at the earliest.
pub const EXTRA_AFTER: Duration = Duration::from_secs(30);
/// How long a link that was replaced goes on for the connections that it has: long enough for most transfers, and no
/// server keeps old sessions of ours for ever.
pub const RETIRING_LIMIT: Duration = Duration::from_secs(3600);
/// How long a link that was replaced and carries nothing waits for a connection that has just chosen it.
pub const RETIRING_GRACE: Duration = Duration::from_secs(1);
