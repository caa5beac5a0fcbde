//! How a session waits for longer than its backoff says, and what people see of it.

use alknet_proto::{Code, Reason, Stage};

use crate::event::Epoch;
use crate::limits::{HANDSHAKES_PER_MINUTE, MANY_FAILURES};
use crate::moment::Moment;
use crate::session::{Phase, Session};

/// Why there is no further session of any destination.
pub(crate) fn no_room(max_sessions: usize) -> Reason {
    let open = if max_sessions == 1 { "1 session is".to_owned() } else { format!("{max_sessions} sessions are") };
    let message = format!("{open} open, and no more may be (max_sessions)");
    Reason::new(Stage::Tcp, Code::SessionLimit, message)
        .with_hint("stop forwards that are not needed, or raise max_sessions in the daemon's configuration")
}

impl Session {
    /// It may not try before then: its destination has had too many handshakes. `last` is what the last one came to, for
    /// a session that knows of none.
    pub(crate) fn hold(&mut self, last: Option<Reason>, until: Moment) {
        let unknown = || Reason::new(Stage::Handshake, Code::ConnectionLost, "the tries before came to nothing");
        let cause = self.cause().cloned().or(last).unwrap_or_else(unknown);
        self.phase = Phase::Suspended { cause, retry_at: until };
        self.is_held = true;
    }

    /// There are as many sessions as there may be: it looks again then, or as soon as there is room.
    pub(crate) fn wait_for_room(&mut self, max_sessions: usize, until: Moment) {
        self.phase = Phase::Suspended { cause: no_room(max_sessions), retry_at: until };
        self.is_held = false;
    }

    pub(crate) fn waits_for_room(&self) -> bool {
        matches!(&self.phase, Phase::Suspended { cause, .. } if cause.code == Code::SessionLimit)
    }

    /// Its server is to be left alone until then, for this reason.
    pub(crate) fn leave_alone(&mut self, reason: Reason, until: Moment) {
        if matches!(self.phase, Phase::Suspended { .. }) {
            self.phase = Phase::Suspended { cause: reason, retry_at: until };
        }
    }

    /// The attempt under way is sent away before it connects.
    pub(crate) fn put_off(&mut self, epoch: Epoch, reason: Reason, until: Moment) {
        if matches!(&self.phase, Phase::Connecting { epoch: current, .. } if *current == epoch) {
            self.phase = Phase::Suspended { cause: reason, retry_at: until };
        }
    }

    /// The attempt under way waited for its turn: its time begins now.
    pub(crate) fn prolong(&mut self, epoch: Epoch, until: Moment) {
        self.extras.prolong(epoch, until);
        if let Phase::Connecting { epoch: current, deadline, .. } = &mut self.phase
            && *current == epoch
        {
            *deadline = until;
        }
    }

    /// What may cure itself has not, `n` times: it is left to a person.
    pub(crate) fn despair(&mut self, n: u32) {
        if let Phase::Suspended { cause, .. } = &self.phase {
            let mut cause = cause.clone();
            cause.message.push_str(&format!("; it was so {n} times, so it is not tried again"));
            let then = "alknetctl retry tries again";
            cause.hint = Some(cause.hint.map_or_else(|| then.to_owned(), |hint| format!("{hint}; then: {then}")));
            self.phase = Phase::Failed { cause };
        }
    }

    /// Whether it failed so often that it was given up, though the failure may cure itself.
    pub(crate) fn has_despaired(&self) -> bool {
        matches!(&self.phase, Phase::Failed { cause } if crate::cause::may_cure_itself(cause.code))
    }

    /// The cause as people see it: with how often it was in vain, and with what else it waits for.
    pub(crate) fn told(&self, cause: &Reason) -> Reason {
        let mut told = cause.clone();
        if MANY_FAILURES <= self.failures && crate::cause::may_cure_itself(cause.code) {
            // The count itself is in `attempt`; a message that changes with every try would be news with every try.
            told.message
                .push_str(&format!("; failed {MANY_FAILURES} times in a row or more, next tries are far apart"));
            told.hint.get_or_insert_with(|| "alknetctl retry tries at once".to_owned());
        }
        if self.is_held {
            let more = format!(
                "; after so many handshakes without a login the next one waits (at most {HANDSHAKES_PER_MINUTE} a minute)"
            );
            told.message.push_str(&more);
            told.hint.get_or_insert_with(|| "the next try comes by itself".to_owned());
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use jiff::Timestamp;

    use super::*;

    fn now() -> Moment {
        Moment { steady: Instant::now(), wall: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn only_what_is_tried_by_itself_is_said_to_be_tried_further_apart() {
        let mut session = Session::new(now());
        session.failures = MANY_FAILURES;
        let refused = Reason::new(Stage::Tcp, Code::ConnectionRefused, "prod refuses connections");
        let changed = Reason::new(Stage::HostKey, Code::HostKeyChanged, "the host key of prod changed");

        assert!(session.told(&refused).message.ends_with("next tries are far apart"));
        assert_eq!(session.told(&changed), changed);
    }

    #[test]
    fn whoever_waits_for_the_budget_is_told_what_comes_next() {
        let mut session = Session::new(now());
        session.is_held = true;
        let ended = Reason::new(Stage::Tcp, Code::Disconnected, "the session was ended here");

        assert_eq!(session.told(&ended).hint.unwrap(), "the next try comes by itself");
    }
}
