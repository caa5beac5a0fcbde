//! Sessions that are logged in and that nobody wants: kept for a while, taken up again, or ended.

use crate::script::{check, check_watchers};

#[test]
fn a_session_stays_logged_in_after_its_last_rule_and_the_next_one_finds_it() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s remove web: save []
         2s saved: close web
         2s closed web: web is gone, forget web, reply ok
         3s sessions: reply [prod idle since 2s until 1802s after 0 failures]
         1801s add db -L 5432:db:5432 prod: listen db
         1801s bound db: save [db]
         1801s saved: db is new, reply added db active
         1802s sessions: reply [prod active since 1801s after 0 failures]
         5000s tick: nothing",
    );
}

#[test]
fn a_session_that_nobody_wants_ends_when_its_time_is_over_and_is_forgotten() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s remove web: save []
         2s saved: close web
         2s closed web: web is gone, forget web, reply ok
         1801s tick: nothing
         1802s tick: disconnect prod #2, forget prod
         1803s sessions: reply []",
    );
}

#[test]
fn a_stopped_rule_finds_its_session_when_it_is_started_again_and_its_time_begins_anew() {
    check(
        "0s idle for 60 s: nothing
         0s add back -R 8080:localhost:80 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         1s connected prod: ask the server to listen back
         1s bound back: back is active
         2s stop back: save [back (stopped)]
         2s saved: close back, back is stopped
         2s closed back: reply ok
         50s start back: ask the server to listen back, back is starting
         50s bound back: save [back], back is active
         50s saved: reply ok
         55s stop back: save [back (stopped)]
         55s saved: close back, back is stopped
         55s closed back: reply ok
         56s sessions: reply [prod idle since 55s until 115s after 0 failures]
         115s tick: disconnect prod #1
         116s sessions: reply [prod idle since 55s after 0 failures]",
    );
}

#[test]
fn without_an_idle_timeout_a_session_stays_until_somebody_ends_it() {
    check(
        "0s idle for ever: nothing
         0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s remove web: save []
         2s saved: close web
         2s closed web: web is gone, forget web, reply ok
         90000s tick: nothing
         90000s sessions: reply [prod idle since 2s after 0 failures]
         90001s disconnect prod: disconnect prod #2, forget prod, reply ok
         90002s sessions: reply []",
    );
}

#[test]
fn another_idle_timeout_holds_for_sessions_that_nobody_wants_already() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         10s idle for 30 s: nothing
         11s sessions: reply [prod idle since 2s until 32s after 0 failures]
         20s idle for ever: nothing
         40s tick: nothing
         50s idle for 30 s: disconnect prod #2",
    );
}

#[test]
fn a_link_that_is_lost_while_nobody_wants_it_is_not_brought_back_and_is_no_news() {
    check_watchers(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: connect prod #2, reply added web starting
         1s connected prod: nothing
         2s stop web: save [web (stopped)]
         2s saved: close web
         2s closed web: reply ok
         3s watch 2: 2 hears at 6 [web] [prod]
         4s lost prod connection_lost: nothing
         5s sessions: reply [prod idle since 2s after 0 failures]
         6s start web: listen web, connect prod #4, 2 hears session prod is connecting, 2 hears web is starting",
    );
}

#[test]
fn a_lost_session_that_no_rule_names_is_forgotten() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s remove web: save []
         2s saved: close web
         2s closed web: web is gone, forget web, reply ok
         3s lost prod auth_refused: forget prod
         4s sessions: reply []",
    );
}

#[test]
fn further_links_end_with_the_last_rule_and_no_more_come() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: prod may have more, web is active
         2s crowded prod: connect prod #3
         3s connected prod: nothing
         4s stop web: save [web (stopped)]
         4s saved: close web, disconnect prod #3, prod has no more, web is stopped
         4s closed web: reply ok
         5s crowded prod: nothing
         6s start web: listen web, prod may have more, web is starting
         6s bound web: save [web], web is active",
    );
}

#[test]
fn a_session_that_nobody_wants_is_not_replaced_when_it_is_worn() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s worn prod: nothing
         4s start web: listen web, web is starting
         5s worn prod: connect prod #4",
    );
}

#[test]
fn whoever_wants_a_fresh_session_does_not_get_the_one_that_nobody_wants() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s renew prod: disconnect prod #2, reply ok
         4s start web: listen web, connect prod #4, web is starting",
    );
}

#[test]
fn a_lost_network_is_noticed_by_a_session_that_nobody_wants_too() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s roused: ask prod #2",
    );
}

#[test]
fn a_lazy_rule_beside_the_one_that_was_removed_finds_the_session_with_its_first_connection() {
    check(
        "0s add web -L 8080:localhost:80 prod and db -L 5432:db:5432 prod lazy: listen web, listen db
         0s bound web: nothing
         0s bound db: save [web db]
         0s saved: web is new, db is new, connect prod #3, db is starting, reply added web starting and db starting
         1s connected prod: web is active, db is active
         2s remove web: save [db]
         2s saved: close web
         2s closed web: web is gone, forget web, reply ok
         3s sessions: reply [prod idle since 2s until 1802s after 0 failures]
         4s used db: nothing
         5s sessions: reply [prod active since 4s after 0 failures]",
    );
}

#[test]
fn a_rule_whose_own_idle_timeout_is_over_lets_its_session_rest_at_once() {
    check(
        "0s add web -L 8080:localhost:80 prod and db -L 5432:db:5432 prod lazy idle=60: listen web, listen db
         0s bound web: nothing
         0s bound db: save [web db]
         0s saved: web is new, db is new, connect prod #3, db is starting, reply added web starting and db starting
         1s connected prod: web is active, db is active
         2s stop web: save [web (stopped) db]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s used db: nothing
         4s quiet db: nothing
         63s tick: nothing
         64s tick: disconnect prod #3",
    );
}

#[test]
fn the_session_that_nobody_wants_for_longest_gives_way_to_a_new_destination() {
    check(
        "0s allow 2 sessions: nothing
         0s add a -L 8080:localhost:80 one and b -L 8081:localhost:80 two: listen a, listen b
         0s bound a: nothing
         0s bound b: save [a b]
         0s saved: a is new, b is new, connect one #3, connect two #4, reply added a starting and b starting
         1s connected one: a is active
         1s connected two: b is active
         2s stop b: save [a b (stopped)]
         2s saved: close b, b is stopped
         2s closed b: reply ok
         3s stop a: save [a (stopped) b (stopped)]
         3s saved: close a, a is stopped
         3s closed a: reply ok
         4s add c -L 8082:localhost:80 three: listen c
         4s bound c: save [a (stopped) b (stopped) c]
         4s saved: c is new, disconnect two #4, connect three #6, reply added c starting
         5s sessions: reply [one idle since 3s until 1803s after 0 failures and three connecting since 4s after 0 failures and two idle since 2s after 0 failures]",
    );
}

#[test]
fn a_session_that_nobody_wants_gives_way_to_a_further_link_and_to_a_fresh_one() {
    check(
        "0s allow 2 sessions: nothing
         0s add a -L 8080:localhost:80 one and b -L 8081:localhost:80 two: listen a, listen b
         0s bound a: nothing
         0s bound b: save [a b]
         0s saved: a is new, b is new, connect one #3, connect two #4, reply added a starting and b starting
         1s connected one: a is active
         1s connected two: b is active
         2s stop b: save [a b (stopped)]
         2s saved: close b, one may have more, b is stopped
         2s closed b: reply ok
         3s crowded one: disconnect two #4, connect one #5
         4s connected one: one has no more
         5s renew one: reply session_limit",
    );
}

#[test]
fn a_rule_on_a_session_that_nobody_wanted_is_tried_there_before_it_is_kept() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s remove web: save []
         2s saved: close web
         2s closed web: web is gone, forget web, reply ok
         3s add back -R 9090:localhost:80 prod: ask the server to listen back
         3s refused back remote_port_in_use: forget back, reply remote_port_in_use
         4s sessions: reply [prod idle since 2s until 1802s after 0 failures]",
    );
}

#[test]
fn where_fewer_sessions_may_be_than_there_are_those_that_nobody_wants_go() {
    check(
        "0s add a -L 8080:localhost:80 one and b -L 8081:localhost:80 two: listen a, listen b
         0s bound a: nothing
         0s bound b: save [a b]
         0s saved: a is new, b is new, connect one #3, connect two #4, reply added a starting and b starting
         1s connected one: a is active
         1s connected two: b is active
         2s stop b: save [a b (stopped)]
         2s saved: close b, b is stopped
         2s closed b: reply ok
         3s allow 2 sessions: nothing
         4s allow 1 sessions: disconnect two #4",
    );
}

#[test]
fn a_person_who_disconnects_what_nobody_wants_keeps_it_down_until_a_rule_is_started() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s disconnect prod: disconnect prod #2, reply ok
         4s lost prod connection_lost #2: nothing
         5s start web: listen web, connect prod #4, web is starting",
    );
}

#[test]
fn a_fresh_link_that_is_under_way_is_given_up_with_the_last_rule() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s renew prod: connect prod #3
         3s stop web: save [web (stopped)]
         3s saved: close web, disconnect prod #3, web is stopped, reply connection_lost
         3s closed web: reply ok
         4s sessions: reply [prod idle since 3s until 1803s after 0 failures]",
    );
}
