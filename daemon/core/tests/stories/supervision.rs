//! What a server is spared: handshakes in vain, crowds, tries while it limits us.

use alknet_core::SavedRules;

use crate::saved::rule;
use crate::script::{check, check_from};

/// A forward to `prod` that is on its first attempt.
const BEGIN: &str = "0s add web -L 8080:localhost:80 prod: listen web
    0s bound web: save [web]
    0s saved: web is new, connect prod #2, reply added web starting\n";

/// Two forwards, to two destinations.
const TWO: &str = "0s add web -L 8080:localhost:80 prod: listen web
    0s bound web: save [web]
    0s saved: web is new, connect prod #2, reply added web starting
    0s add db -L 5432:db:5432 db: listen db
    0s bound db: save [web db]
    0s saved: db is new, connect db #4, reply added db starting\n";

#[test]
fn whoever_asks_again_and_again_after_a_refusal_waits() {
    check(&format!(
        "{BEGIN}
         1s lost prod auth_refused: web is error (auth_refused)
         1s retry: connect prod #3, web is suspended (auth_refused), reply ok
         2s lost prod auth_refused: web is error (auth_refused)
         2s retry: connect prod #4, web is suspended (auth_refused), reply ok
         3s lost prod auth_refused: web is error (auth_refused)
         3s retry: web is suspended (auth_refused) until 11s, reply ok
         11s tick: connect prod #5, web is suspended (auth_refused)
         12s lost prod auth_refused: web is error (auth_refused)"
    ));
}

#[test]
fn a_rule_that_is_removed_and_added_again_has_no_new_budget() {
    check(&format!(
        "{BEGIN}
         1s lost prod auth_refused: web is error (auth_refused)
         1s retry: connect prod #3, web is suspended (auth_refused), reply ok
         1s lost prod auth_refused: web is error (auth_refused)
         1s retry: connect prod #4, web is suspended (auth_refused), reply ok
         1s lost prod auth_refused: web is error (auth_refused)
         2s remove web: save []
         2s saved: close web
         2s closed web: forget prod, web is gone, forget web, reply ok
         3s add web -L 8080:localhost:80 prod: listen web
         3s bound web: save [web]
         3s saved: web is new, web is suspended (auth_refused) until 11s, reply added web suspended"
    ));
}

#[test]
fn a_daemon_that_has_just_started_has_no_burst() {
    check_from(
        SavedRules { revision: 0, next_id: 2, rules: vec![rule(1, "web", "8080:localhost:80")] },
        "load: listen web, connect prod #2
         0s bound web: nothing
         1s lost prod auth_refused: web is error (auth_refused)
         2s retry: web is suspended (auth_refused) until 10s, reply ok
         10s tick: connect prod #3, web is suspended (auth_refused)",
    );
}

#[test]
fn a_session_that_was_up_reconnects_whatever_was_in_vain_before() {
    check(&format!(
        "{BEGIN}
         1s lost prod auth_refused: web is error (auth_refused)
         1s retry: connect prod #3, web is suspended (auth_refused), reply ok
         1s lost prod auth_refused: web is error (auth_refused)
         1s retry: connect prod #4, web is suspended (auth_refused), reply ok
         2s connected prod: web is active
         3s lost prod connection_lost: web is suspended (connection_lost) until 3.001s
         3.001s tick: connect prod #5
         4s lost prod connection_lost at handshake: web is suspended (connection_lost) until 11s"
    ));
}

#[test]
fn a_try_that_reaches_no_server_costs_nothing() {
    check(&format!(
        "{BEGIN}
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         1s retry: connect prod #3, reply ok
         1s lost prod connection_refused: nothing
         1s retry: connect prod #4, reply ok
         1s lost prod connection_refused: nothing
         1s retry: connect prod #5, reply ok
         1s lost prod connection_refused: nothing
         1s retry: connect prod #6, reply ok"
    ));
}

#[test]
fn four_go_to_one_server_and_the_others_wait_for_their_logins() {
    check(
        "0s add a -L 1:h:1 a and b -L 2:h:2 b and c -L 3:h:3 c and d -L 4:h:4 d and e -L 5:h:5 e and f -L 6:h:6 f: listen a, listen b, listen c, listen d, listen e, listen f
         0s bound a: nothing
         0s bound b: nothing
         0s bound c: nothing
         0s bound d: nothing
         0s bound e: nothing
         0s bound f: save [a b c d e f]
         0s saved: a is new, b is new, c is new, d is new, e is new, f is new, connect a #7, connect b #8, connect c #9, connect d #10, connect e #11, connect f #12, reply added a starting and b starting and c starting and d starting and e starting and f starting
         1s knocks a at one: admit a #7
         1s knocks b at one: admit b #8
         1s knocks c at ONE: admit c #9
         1s knocks d at one: admit d #10
         1s knocks e at one: nothing
         1s knocks f at other: admit f #12
         2s connected b: admit e #11, b is active",
    );
}

#[test]
fn a_server_that_limits_us_is_left_alone_by_all_that_go_to_it() {
    check(&format!(
        "{TWO}
         1s knocks prod at one: admit prod #2
         1s lost prod server_busy: web is suspended (server_busy) until 31s
         2s knocks db at one: disconnect db #4, db is suspended (server_busy) until 31s
         2s lost db connection_lost #4: nothing
         31s tick: connect db #5, connect prod #6
         31s knocks prod at one: admit prod #6
         31s knocks db at one: nothing
         32s lost prod server_busy: disconnect db #5
         32s lost db connection_lost #5: nothing
         92s tick: connect db #7, connect prod #8
         92s knocks db at one: admit db #7
         92s knocks prod at one: nothing
         93s connected db: admit prod #8, db is active
         93s connected prod: web is active"
    ));
}

#[test]
fn a_person_who_asks_is_let_through_to_a_server_that_limits_us() {
    check(&format!(
        "{BEGIN}
         1s knocks prod at one: admit prod #2
         1s lost prod server_busy: web is suspended (server_busy) until 31s
         2s retry: connect prod #3, reply ok
         2s knocks prod at one: admit prod #3
         3s lost prod server_busy: nothing
         62s tick: nothing
         63s tick: connect prod #4"
    ));
}

#[test]
fn on_another_network_nobody_is_banned_yet() {
    check(&format!(
        "{BEGIN}
         1s knocks prod at one: admit prod #2
         1s lost prod server_busy: web is suspended (server_busy) until 31s
         2s roused: connect prod #3
         2s knocks prod at one: admit prod #3"
    ));
}

#[test]
fn a_server_that_closes_where_a_greeting_is_due_again_and_again_is_left_alone() {
    check(&format!(
        "{BEGIN}
         1s lost prod connection_lost at handshake: web is suspended (connection_lost) until 2s
         2s tick: connect prod #3
         2s lost prod timed_out at handshake: web is suspended (timed_out) until 4s
         4s tick: connect prod #4
         4s lost prod connection_lost at handshake: web is suspended (server_busy) until 34s
         34s tick: connect prod #5
         34s lost prod connection_lost at handshake: nothing
         93s tick: nothing
         94s tick: connect prod #6
         95s connected prod: web is active"
    ));
}

#[test]
fn when_the_network_is_back_for_one_the_others_try_at_once() {
    check(&format!(
        "{TWO}
         1s lost prod unreachable: web is suspended (unreachable) until 2s
         1s lost db name_not_resolved: db is suspended (name_not_resolved) until 2s
         2s tick: connect db #5, connect prod #6
         2s lost prod unreachable: nothing
         3s connected db: connect prod #7, db is active"
    ));
}

#[test]
fn what_the_network_did_not_fail_for_goes_on_waiting() {
    check(&format!(
        "{TWO}
         1s lost prod server_busy: web is suspended (server_busy) until 31s
         2s connected db: db is active"
    ));
}

#[test]
fn two_that_flap_do_not_chase_each_other() {
    check(&format!(
        "{TWO}
         1s connected prod: web is active
         1s lost db unreachable: db is suspended (unreachable) until 2s
         2s tick: connect db #5
         2s lost db unreachable: nothing
         3s lost prod connection_lost: web is suspended (connection_lost) until 3.001s
         3.001s tick: connect prod #6
         3.1s connected prod: connect db #7, web is active
         3.2s lost db unreachable: nothing
         3.3s lost prod connection_lost: web is suspended (connection_lost) until 3.301s
         3.301s tick: connect prod #8
         3.4s connected prod: web is active"
    ));
}

#[test]
fn a_port_that_speaks_no_ssh_is_left_to_a_person_after_three_tries() {
    check(&format!(
        "{BEGIN}
         1s lost prod not_ssh: web is suspended (not_ssh) until 2s
         2s tick: connect prod #3
         2s lost prod not_ssh: nothing
         4s tick: connect prod #4
         4s lost prod not_ssh: web is error (not_ssh)
         3600s tick: nothing
         3600s roused: connect prod #5, web is suspended (not_ssh)"
    ));
}

#[test]
fn damaged_data_three_times_in_ten_minutes_is_left_to_a_person() {
    check(&format!(
        "{BEGIN}
         1s connected prod: web is active
         60s lost prod protocol_error: web is suspended (protocol_error) until 60.001s
         61s tick: connect prod #3
         61s connected prod: web is active
         100s lost prod protocol_error: web is suspended (protocol_error) until 100.001s
         101s tick: connect prod #4
         101s connected prod: web is active
         200s lost prod protocol_error: web is error (protocol_error)"
    ));
}

#[test]
fn a_key_that_nobody_touched_is_asked_for_once_more() {
    check(&format!(
        "{BEGIN}
         1s lost prod agent_refused: web is suspended (agent_refused) until 61s
         61s tick: connect prod #3
         62s lost prod agent_refused: web is error (agent_refused)"
    ));
}

#[test]
fn an_account_that_is_closed_is_tried_every_five_minutes() {
    check(&format!(
        "{BEGIN}
         1s lost prod account_unavailable: web is suspended (account_unavailable) until 301s
         301s tick: connect prod #3"
    ));
}

#[test]
fn a_stop_cancels_an_attempt_that_waits_for_its_turn() {
    check(&format!(
        "{TWO}
         1s knocks prod at one: admit prod #2
         1s lost prod server_busy: web is suspended (server_busy) until 31s
         31s tick: connect prod #5
         31s knocks prod at one: admit prod #5
         31s knocks db at one: nothing
         32s stop db: save [web db (stopped)]
         32s saved: close db, disconnect db #4, db is stopped
         33s connected prod: web is active
         34s tick: nothing"
    ));
}

#[test]
fn an_attempt_that_waited_for_its_turn_has_all_its_time_afterwards() {
    check(&format!(
        "{TWO}
         1s knocks prod at one: admit prod #2
         1s lost prod server_busy: web is suspended (server_busy) until 31s
         31s tick: connect prod #5
         31s knocks prod at one: admit prod #5
         32s knocks db at one: nothing
         170s lost prod connection_lost at auth: admit db #4, web is suspended (connection_lost) until 172s
         181s tick: connect prod #6
         349s tick: nothing"
    ));
}

#[test]
fn what_is_final_is_tried_once_when_something_was_mended() {
    check(&format!(
        "{BEGIN}
         1s lost prod auth_refused: web is error (auth_refused)
         60s mended prod: connect prod #3, web is suspended (auth_refused)
         61s lost prod auth_refused: web is error (auth_refused)
         62s mended prod #2: nothing
         63s mended prod: connect prod #4, web is suspended (auth_refused)
         64s connected prod: web is active
         65s mended prod #3: nothing"
    ));
}

#[test]
fn nobody_looks_out_for_what_a_person_stopped() {
    check(&format!(
        "{BEGIN}
         1s lost prod host_key_changed: web is error (host_key_changed)
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s mended prod #2: nothing"
    ));
}
