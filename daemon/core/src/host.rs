//! Servers as attempts reach them: who is inside without a login, and who wants to be left alone.

use std::collections::BTreeMap;

use alknet_proto::{Code, Destination, Reason, Stage};

use crate::backoff;
use crate::event::Epoch;
use crate::limits::{MAX_UNFINISHED_LOGINS, SILENT_BAN_AFTER};
use crate::moment::Moment;

/// A server: what the ssh configuration makes of a destination, so that all its names lead to one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Name or address, in lower case.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl Host {
    /// The server `name` at `port`.
    pub fn new(name: &str, port: u16) -> Self {
        Host { name: name.to_ascii_lowercase(), port }
    }

    /// As far as the destination alone tells, where no attempt has said.
    pub(crate) fn guess(destination: &Destination) -> Self {
        Host::new(&destination.host, destination.port.unwrap_or(22))
    }
}

/// What is known of servers that are tried or limit us.
#[derive(Debug, Default)]
pub(crate) struct Hosts(BTreeMap<Host, Standing>);

/// How a server takes our connections.
#[derive(Debug, Default)]
struct Standing {
    /// Attempts that were let go to it and are not logged in.
    inside: Vec<Epoch>,
    /// Until when it is left alone, and what it said.
    quiet: Option<Quiet>,
    /// How often in a row it limited us.
    place: u32,
    /// When it did so last: what was under way then says nothing new.
    limited_at: Option<Moment>,
    /// How often in a row it closed or let us wait where a greeting was due.
    n_mute: u32,
}

/// A server is left alone.
#[derive(Clone, Debug)]
pub(crate) struct Quiet {
    pub(crate) until: Moment,
    pub(crate) reason: Reason,
}

impl Hosts {
    /// Whether one more may go there now without a login.
    pub(crate) fn has_room(&self, host: &Host) -> bool {
        // Whoever limited us gets one to try with before the others follow.
        let room = |standing: &Standing| if standing.place == 0 { MAX_UNFINISHED_LOGINS } else { 1 };
        self.0.get(host).is_none_or(|standing| standing.inside.len() < room(standing))
    }

    /// Why and until when it is left alone.
    pub(crate) fn quiet(&self, host: &Host, now: Moment) -> Option<&Quiet> {
        let quiet = self.0.get(host)?.quiet.as_ref()?;
        (now.steady < quiet.until.steady).then_some(quiet)
    }

    /// An attempt is let go there.
    pub(crate) fn enter(&mut self, host: &Host, epoch: Epoch) {
        self.0.entry(host.clone()).or_default().inside.push(epoch);
    }

    /// An attempt that was let go there ended, or logged in.
    pub(crate) fn leave(&mut self, host: &Host, epoch: Epoch) {
        if let Some(standing) = self.0.get_mut(host) {
            standing.inside.retain(|other| *other != epoch);
            self.tidy(host);
        }
    }

    /// Somebody logged in: it does not limit us.
    pub(crate) fn welcomed(&mut self, host: &Host) {
        if let Some(standing) = self.0.get_mut(host) {
            (standing.place, standing.quiet, standing.limited_at, standing.n_mute) = (0, None, None, 0);
            self.tidy(host);
        }
    }

    /// What the end of an attempt, let go at `entered`, says about the server. Tells whether it is left alone now.
    pub(crate) fn learn(
        &mut self,
        host: &Host,
        reason: &Reason,
        entered: Option<Moment>,
        now: Moment,
        jitter: f64,
    ) -> Option<Quiet> {
        let is_mute = reason.stage == Stage::Handshake && matches!(reason.code, Code::ConnectionLost | Code::TimedOut);
        if reason.code != Code::ServerBusy && !is_mute {
            // It greeted, or was not reached at all; only the first says anything.
            if reached_further(reason)
                && let Some(standing) = self.0.get_mut(host)
            {
                standing.n_mute = 0;
                self.tidy(host);
            }
            return None;
        }
        let standing = self.0.entry(host.clone()).or_default();
        if is_mute {
            standing.n_mute = standing.n_mute.saturating_add(1);
            if standing.n_mute < SILENT_BAN_AFTER {
                return None;
            }
        }
        let was_known =
            standing.limited_at.is_some_and(|at| entered.is_some_and(|entered| entered.steady <= at.steady));
        if let (true, Some(quiet)) = (was_known, &standing.quiet) {
            return Some(quiet.clone());
        }
        let until = now + backoff::delay(Code::ServerBusy, standing.place, jitter);
        standing.place = standing.place.saturating_add(1);
        standing.limited_at = Some(now);
        let quiet = Quiet { until, reason: if is_mute { banned(reason) } else { reason.clone() } };
        standing.quiet = Some(quiet.clone());
        Some(quiet)
    }

    /// A person asks, or the network is another: it need not be left alone, but one goes first all the same.
    pub(crate) fn excuse(&mut self, host: &Host) {
        if let Some(standing) = self.0.get_mut(host) {
            standing.quiet = None;
        }
    }

    /// As [`Hosts::excuse`], for all of them.
    pub(crate) fn excuse_all(&mut self) {
        self.0.values_mut().for_each(|standing| standing.quiet = None);
    }

    /// Lets go of what nobody goes to any more.
    pub(crate) fn keep(&mut self, is_used: impl Fn(&Host) -> bool) {
        self.0.retain(|host, standing| !standing.inside.is_empty() || is_used(host));
    }

    fn tidy(&mut self, host: &Host) {
        let is_plain = |standing: &Standing| standing.inside.is_empty() && standing.place == 0 && standing.n_mute == 0;
        if self.0.get(host).is_some_and(is_plain) {
            self.0.remove(host);
        }
    }
}

/// The same silence again and again is no accident.
fn banned(reason: &Reason) -> Reason {
    let message = format!("{}, again and again: it may have banned this address for a while", reason.message);
    Reason::new(Stage::Handshake, Code::ServerBusy, message)
        .with_hint("more tries make a ban longer; alknetctl retry tries at once all the same")
}

/// Whether the server greeted and went on from there.
fn reached_further(reason: &Reason) -> bool {
    match reason.stage {
        Stage::Handshake | Stage::HostKey | Stage::Auth | Stage::Forward | Stage::Target => true,
        Stage::Config | Stage::Resolve | Stage::Tcp | Stage::Proxy | Stage::Bind | Stage::LocalIo => false,
    }
}
