//! Several links of one destination: under load, and while one takes the place of another.

use crate::script::check;

#[test]
fn a_crowded_destination_gets_further_links_up_to_its_limit() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: prod may have more, web is active
         10s crowded prod: connect prod #3
         10s crowded prod: nothing
         11s connected prod: nothing
         12s crowded prod: connect prod #4
         13s connected prod: prod has no more
         14s crowded prod: nothing",
    );
}

#[test]
fn a_login_by_hand_is_asked_for_once_only() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod by hand: web is active
         10s crowded prod: nothing",
    );
}

#[test]
fn a_further_link_that_nothing_uses_is_ended_after_five_minutes() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: web is active
         10s crowded prod: connect prod #3
         11s connected prod: nothing
         12s link used prod #3: nothing
         99s link quiet prod #3: nothing
         399s tick: retire prod #3
         400s tick: disconnect prod #3",
    );
}

#[test]
fn a_further_link_that_fails_is_not_missed_and_waits_for_its_next_try() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: prod may have more, web is active
         10s crowded prod: connect prod #3
         11s lost prod server_busy #3: prod has no more
         12s crowded prod: nothing
         41s tick: prod may have more
         42s crowded prod: connect prod #4",
    );
}

#[test]
fn a_further_link_takes_the_place_of_a_first_one_that_is_lost() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: web is active
         10s crowded prod: connect prod #3
         11s connected prod: nothing
         12s lost prod connection_lost #2: nothing
         13s lost prod connection_lost #3: web is suspended (connection_lost) until 13.001s",
    );
}

#[test]
fn a_remote_forward_follows_to_the_link_that_takes_the_place_of_the_first() {
    check(
        "0s add back -R 9000:localhost:80 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         0s connected prod: ask the server to listen back
         0s bound back: back is active
         10s crowded prod: connect prod #3
         11s connected prod: nothing
         12s lost prod connection_lost #1: ask the server to listen back, back is starting
         12s bound back: back is active",
    );
}

#[test]
fn attempts_at_further_links_end_with_the_first_link() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: web is active
         10s crowded prod: connect prod #3
         12s lost prod connection_lost #2: disconnect prod #3, web is suspended (connection_lost) until 12.001s",
    );
}

#[test]
fn a_person_gets_a_fresh_link_and_the_old_one_ends_with_its_last_connection() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: web is active
         5s link used prod: nothing
         10s renew prod: connect prod #3
         11s connected prod: retire prod #2, reply ok
         99s link quiet prod #2: nothing
         100s tick: disconnect prod #2
         100s lost prod connection_lost #2: nothing",
    );
}

#[test]
fn a_link_that_was_replaced_ends_after_an_hour_at_the_latest() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: web is active
         5s link used prod: nothing
         10s worn prod: connect prod #3
         10s connected prod: retire prod #2
         3610s tick: disconnect prod #2",
    );
}

#[test]
fn a_remote_forward_moves_to_the_fresh_link_and_stays_active() {
    check(
        "0s add back -R 9000:localhost:80 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         0s connected prod: ask the server to listen back
         0s bound back: back is active
         5s link used prod: nothing
         10s renew prod: connect prod #3
         11s connected prod: retire prod #1, move back, reply ok
         11s closed back: ask the server to listen back
         11s bound back: nothing",
    );
}

#[test]
fn connections_left_on_the_old_link_are_cut_when_the_rule_is_removed_meanwhile() {
    check(
        "0s add back -R 9000:localhost:80 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         0s connected prod: ask the server to listen back
         0s bound back: back is active
         5s link used prod: nothing
         10s worn prod: connect prod #3
         11s connected prod: retire prod #1, move back
         11s stop back: save [back (stopped)]
         11s saved: cut back, disconnect prod #1, back is stopped
         11s closed back: reply ok",
    );
}

#[test]
fn a_fresh_link_that_does_not_come_leaves_the_old_one_alone() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: web is active
         10s renew prod: connect prod #3
         11s lost prod server_busy #3: reply server_busy",
    );
}

#[test]
fn a_person_who_wants_a_fresh_link_is_not_kept_waiting_when_the_old_one_ends() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: web is active
         10s renew prod: connect prod #3
         11s lost prod connection_lost #2: disconnect prod #3, web is suspended (connection_lost) until 11.001s, reply connection_lost
         11.001s tick: connect prod #4",
    );
}

#[test]
fn whoever_asked_while_the_server_had_to_be_spared_is_told_to_ask_again() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s knocks prod at one: admit prod #2
         0s lost prod auth_refused: web is error (auth_refused)
         1s retry prod: connect prod #3, web is suspended (auth_refused), reply ok
         1s knocks prod at one: admit prod #3
         1s lost prod auth_refused: web is error (auth_refused)
         2s retry prod: connect prod #4, web is suspended (auth_refused), reply ok
         2s knocks prod at one: admit prod #4
         2s lost prod auth_refused: web is error (auth_refused)
         10s retry prod: connect prod #5, web is suspended (auth_refused), reply ok
         10s knocks prod at one: admit prod #5
         10s connected prod: prod may have more, web is active
         10s renew prod: connect prod #6
         10s knocks prod at one: admit prod #6
         10s crowded prod: prod has no more
         20s tick: prod may have more
         20s crowded prod: connect prod #7",
    );
}

#[test]
fn every_link_is_asked_whether_it_is_still_there() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: web is active
         5s link used prod: nothing
         6s crowded prod: connect prod #3
         6s connected prod: nothing
         7s renew prod: connect prod #4
         8s connected prod: retire prod #2, reply ok
         9s roused: ask prod #4, ask prod #2, ask prod #3",
    );
}

#[test]
fn a_further_link_that_is_worn_takes_nothing_new() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod: prod may have more, web is active
         6s crowded prod: connect prod #3
         6s connected prod: nothing
         7s link used prod #3: nothing
         8s worn prod #3: retire prod #3
         9s worn prod #3: nothing
         10s link quiet prod #3: nothing
         11s tick: disconnect prod #3",
    );
}

#[test]
fn nobody_is_asked_for_a_login_that_only_a_worn_key_calls_for() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s connected prod by hand: web is active
         9s worn prod: nothing
         9s renew prod: connect prod #3",
    );
}

#[test]
fn connections_on_the_old_link_outlive_a_fresh_one_that_is_lost_while_a_rule_moves() {
    check(
        "0s add back -R 9000:localhost:80 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         0s connected prod: ask the server to listen back
         0s bound back: back is active
         5s link used prod: nothing
         10s worn prod: connect prod #3
         11s connected prod: retire prod #1, move back
         12s lost prod connection_lost: back is suspended (connection_lost) until 12.001s
         12.001s tick: connect prod #4
         12.001s connected prod: nothing
         12.001s closed back: ask the server to listen back
         12.001s bound back: back is active",
    );
}

#[test]
fn a_rule_that_moves_to_a_server_that_refuses_leaves_nothing_behind_when_it_is_stopped() {
    check(
        "0s add back -R 9000:localhost:80 prod and web -L 8080:localhost:80 prod: listen web
         0s bound web: save [back web]
         0s saved: back is new, web is new, connect prod #2, reply added back starting and web starting
         0s connected prod: ask the server to listen back, web is active
         0s bound back: back is active
         5s link used prod: nothing
         10s worn prod: connect prod #4
         11s connected prod: retire prod #2, move back
         11s closed back: ask the server to listen back
         11s refused back remote_port_in_use: back is suspended (remote_port_in_use) until 12s
         11s stop back: save [back (stopped) web]
         11s saved: cut back, back is stopped, reply ok",
    );
}

#[test]
fn a_rule_that_never_listened_is_not_active_because_its_link_is_replaced() {
    check(
        "0s add back -R 9000:localhost:80 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         0s connected prod: ask the server to listen back
         5s worn prod: connect prod #3
         6s connected prod: retire prod #1, move back
         6s closed back: ask the server to listen back
         6s bound back: back is active",
    );
}

#[test]
fn a_rule_that_moves_stays_active_where_its_old_link_ends_before_the_server_answers() {
    check(
        "0s add back -R 9000:localhost:80 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         0s connected prod: ask the server to listen back
         0s bound back: back is active
         5s worn prod: connect prod #3
         6s connected prod: retire prod #1, move back
         7s tick: disconnect prod #1, ask the server to listen back
         8s bound back: nothing",
    );
}
