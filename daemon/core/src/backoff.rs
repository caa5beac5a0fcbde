//! How long to wait before the next try.

use std::time::Duration;

use alknet_proto::Code;

/// Seconds before each further try, for ever the last one.
const DELAYS: [u64; 6] = [1, 2, 4, 8, 16, 30];
/// The same for a server that says it has too many connections from here: every try makes it worse.
const DELAYS_WHEN_BUSY: [u64; 5] = [30, 60, 120, 300, 600];
/// The same for a name that is not found: it may be there only while a VPN is up, and after half an hour of [`DELAYS`]
/// nobody waits for it.
const DELAY_WITHOUT_NAME: u64 = 300;
/// From this place on, see [`DELAY_WITHOUT_NAME`].
const PLACE_WITHOUT_NAME: u32 = 60;
/// Seconds until a server is asked again that takes no logins of this account: expired, or closed for all.
const DELAY_WITHOUT_ACCOUNT: u64 = 300;
/// Seconds until the agent is asked again to sign: a person was perhaps not there to touch the key.
const DELAY_WITHOUT_SIGNATURE: u64 = 60;
/// Seconds until a server is asked again for a port that it refuses. Often that is a session of ours which it has not
/// given up yet; a minute is what a careful server takes for that.
const DELAYS_OF_LISTENER: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];
/// A delay is spread by this much both ways, so that many sessions do not come back in step.
const SPREAD: f64 = 0.2;

/// The delay at this `place` in the backoff; `jitter` is 0.0 ..= 1.0.
pub fn delay(code: Code, place: u32, jitter: f64) -> Duration {
    let delays: &[u64] = if code == Code::ServerBusy {
        &DELAYS_WHEN_BUSY
    } else if code == Code::NameNotResolved && PLACE_WITHOUT_NAME <= place {
        &[DELAY_WITHOUT_NAME]
    } else if code == Code::AccountUnavailable {
        &[DELAY_WITHOUT_ACCOUNT]
    } else if code == Code::AgentRefused {
        &[DELAY_WITHOUT_SIGNATURE]
    } else {
        &DELAYS
    };
    at_place(delays, place, jitter)
}

/// The delay until a server is asked again to listen, after so many refusals before; `jitter` is 0.0 ..= 1.0.
pub fn delay_of_listener(n_refusals: u32, jitter: f64) -> Duration {
    at_place(&DELAYS_OF_LISTENER, n_refusals, jitter)
}

fn at_place(delays: &[u64], place: u32, jitter: f64) -> Duration {
    let last = delays.len() - 1;
    let seconds = delays[usize::try_from(place).unwrap_or(last).min(last)] as f64;
    Duration::from_secs_f64(seconds * (1.0 - SPREAD + 2.0 * SPREAD * jitter.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_to_half_a_minute_and_stays_there() {
        let seconds: Vec<u64> = (0..9).map(|place| delay(Code::TimedOut, place, 0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30, 30]);
    }

    #[test]
    fn a_server_is_asked_again_for_a_port_after_a_minute_at_most() {
        let seconds: Vec<u64> = (0..9).map(|refusals| delay_of_listener(refusals, 0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 15, 30, 60, 60, 60]);
    }

    #[test]
    fn what_takes_longer_to_cure_is_tried_less_often() {
        let seconds = |code, place| delay(code, place, 0.5).as_secs();
        assert_eq!(seconds(Code::NameNotResolved, 59), 30);
        assert_eq!(seconds(Code::NameNotResolved, 60), 300);
        assert_eq!(seconds(Code::AccountUnavailable, 0), 300);
        assert_eq!(seconds(Code::AgentRefused, 0), 60);
    }

    #[test]
    fn jitter_spreads_a_delay_by_a_fifth_both_ways() {
        assert_eq!(delay(Code::TimedOut, 5, 0.0), Duration::from_secs(24));
        assert_eq!(delay(Code::TimedOut, 5, 1.0), Duration::from_secs(36));
    }

    #[test]
    fn a_busy_server_is_left_alone_for_longer() {
        assert_eq!(delay(Code::ServerBusy, 0, 0.5), Duration::from_secs(30));
        assert_eq!(delay(Code::ServerBusy, 99, 0.5), Duration::from_secs(600));
    }
}
