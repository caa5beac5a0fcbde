//! When a session tries, and when it leaves off trying.

use crate::script::{check, check_watchers};

#[test]
fn a_local_forward_comes_up_is_lost_and_comes_back() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         60s lost prod keepalive_lost: web is suspended (keepalive_lost) until 60.001s
         60.001s tick: connect prod #3
         61s connected prod: web is active",
    );
}

#[test]
fn a_failing_session_backs_off_for_ever() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         2s tick: connect prod #3
         2s lost prod connection_refused: nothing
         4s tick: connect prod #4
         4s lost prod connection_refused: nothing
         8s tick: connect prod #5
         8s lost prod connection_refused: nothing
         16s tick: connect prod #6
         16s lost prod connection_refused: web is suspended (connection_refused) until 32s
         32s tick: connect prod #7
         32s lost prod connection_refused: nothing
         61s tick: nothing
         62s tick: connect prod #8
         62s lost prod connection_refused: nothing
         92s tick: connect prod #9
         93s connected prod: web is active",
    );
}

#[test]
fn a_flapping_session_keeps_backing_off() {
    // The first five losses come back at once; the sixth keeps its place, and so does the seventh.
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s lost prod connection_lost: web is suspended (connection_lost) until 2.001s
         3s tick: connect prod #3
         3s connected prod: web is active
         4s lost prod connection_lost: web is suspended (connection_lost) until 4.001s
         5s tick: connect prod #4
         5s connected prod: web is active
         6s lost prod connection_lost: web is suspended (connection_lost) until 6.001s
         7s tick: connect prod #5
         7s connected prod: web is active
         8s lost prod connection_lost: web is suspended (connection_lost) until 8.001s
         9s tick: connect prod #6
         9s connected prod: web is active
         10s lost prod connection_lost: web is suspended (connection_lost) until 10.001s
         11s tick: connect prod #7
         11s connected prod: web is active
         12s lost prod connection_lost: web is suspended (connection_lost) until 13s
         13s tick: connect prod #8
         13s connected prod: web is active
         14s lost prod connection_lost: web is suspended (connection_lost) until 16s
         16s tick: connect prod #9
         16s connected prod: web is active
         50s lost prod connection_lost: web is suspended (connection_lost) until 50.001s",
    );
}

#[test]
fn a_changed_host_key_waits_for_a_person() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod host_key_changed: web is error (host_key_changed)
         3600s tick: nothing
         3601s retry: connect prod #3, web is suspended (host_key_changed), reply ok
         3602s connected prod: web is active",
    );
}

#[test]
fn news_of_an_earlier_attempt_changes_nothing() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s remove web: save []
         1s saved: close web, disconnect prod #2
         1s closed web: forget prod, web is gone, forget web, reply ok
         2s add web -L 8080:localhost:80 prod: listen web
         2s bound web: save [web]
         2s saved: web is new, connect prod #4, reply added web starting
         3s connected prod #2: nothing
         4s connected prod #4: web is active",
    );
}

#[test]
fn stop_wins_over_every_retry() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         1s stop web: save [web (stopped)]
         1s saved: close web, web is stopped
         1s closed web: reply ok
         60s tick: nothing
         61s start web: listen web, connect prod #4, web is starting
         61s bound web: save [web]
         61s saved: reply ok",
    );
}

#[test]
fn a_disconnected_session_comes_back_when_a_person_asks() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s disconnect prod: disconnect prod #2, web is suspended (disconnected), reply ok
         60s tick: nothing
         61s retry: connect prod #3, web is starting, reply ok",
    );
}

#[test]
fn a_lazy_forward_connects_with_its_first_connection() {
    check(
        "0s add web -L 8080:localhost:80 prod lazy idle=60: listen web
         0s bound web: save [web]
         0s saved: web is new, reply added web active
         10s used web: connect prod #2, web is starting
         11s connected prod: web is active
         20s quiet web: nothing
         79s tick: nothing
         80s tick: disconnect prod #2
         81s used web: connect prod #3, web is starting",
    );
}

#[test]
fn a_session_that_proved_stable_begins_anew_also_when_a_person_ended_it() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         2s tick: connect prod #3
         2s lost prod connection_refused: nothing
         4s tick: connect prod #4
         5s connected prod: web is active
         40s disconnect prod: disconnect prod #4, web is suspended (disconnected), reply ok
         41s retry prod: connect prod #5, web is starting, reply ok
         41s lost prod connection_refused: web is suspended (connection_refused) until 42s
         42s tick: connect prod #6",
    );
}

#[test]
fn a_session_that_was_short_lived_keeps_its_place_when_a_person_ends_it() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         2s tick: connect prod #3
         2s lost prod connection_refused: nothing
         4s tick: connect prod #4
         5s connected prod: web is active
         6s disconnect prod: disconnect prod #4, web is suspended (disconnected), reply ok
         7s retry prod: connect prod #5, web is starting, reply ok
         7s lost prod connection_refused: web is suspended (connection_refused) until 11s
         11s tick: connect prod #6",
    );
}

#[test]
fn a_forward_that_is_added_stopped_asks_for_no_session() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s disconnect prod: disconnect prod #2, web is suspended (disconnected), reply ok
         3s add db -L 5432:db:5432 prod stopped: save [web db (stopped)]
         3s saved: db is new, reply added db stopped
         4s list: reply [web suspended db stopped]
         5s start db: listen db, connect prod #4, web is starting, db is starting
         5s bound db: save [web db]
         5s saved: reply ok",
    );
}

#[test]
fn a_forward_that_is_added_asks_for_its_session() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s disconnect prod: disconnect prod #2, web is suspended (disconnected), reply ok
         3s add db -L 5432:db:5432 prod: listen db
         3s bound db: save [web db]
         3s saved: db is new, connect prod #4, web is starting, reply added db starting",
    );
}

#[test]
fn everybody_retries_only_where_time_may_help() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s add db -L 5432:db:5432 db: listen db
         0s bound db: save [web db]
         0s saved: db is new, connect db #4, reply added db starting
         0s add ci -L 81:ci:80 ci: listen ci
         0s bound ci: save [web db ci]
         0s saved: ci is new, connect ci #6, reply added ci starting
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         1s lost db auth_refused: db is error (auth_refused)
         1s disconnect ci: disconnect ci #6, ci is suspended (disconnected), reply ok
         1.5s everybody retries: connect prod #7",
    );
}

#[test]
fn a_person_retries_one_destination_or_all() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s add db -L 5432:db:5432 db: listen db
         0s bound db: save [web db]
         0s saved: db is new, connect db #4, reply added db starting
         1s lost prod auth_refused: web is error (auth_refused)
         1s lost db auth_refused: db is error (auth_refused)
         2s retry db: connect db #5, db is suspended (auth_refused), reply ok
         3s retry nowhere: reply not_found
         4s retry: connect prod #6, web is suspended (auth_refused), reply ok",
    );
}

#[test]
fn a_disconnect_of_no_session_is_refused() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s disconnect nowhere: reply not_found",
    );
}

#[test]
fn a_session_that_needs_an_answer_waits_for_it() {
    check_watchers(
        "0s watch 7: 7 hears at 0 [] []
         0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: 7 hears web is new, connect prod #2, 7 hears session prod is connecting, reply added web starting
         1s lost prod needs_input: 7 hears session prod is needs_input, 7 hears web is error (needs_input)
         2s sessions: reply [prod needs_input since 1s after 1 failures]
         3600s tick: 7 hears a heartbeat at 4",
    );
}

#[test]
fn a_busy_server_is_left_alone() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod server_busy: web is suspended (server_busy) until 31s
         30s tick: nothing
         31s tick: connect prod #3",
    );
}

#[test]
fn one_destination_lost_disturbs_no_other() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 5432:db:5432 db: listen db
         2s bound db: save [web db]
         2s saved: db is new, connect db #4, reply added db starting
         3s connected db: db is active
         4s lost prod keepalive_lost: web is suspended (keepalive_lost) until 4.001s
         5s tick: connect prod #5
         5s connected prod: web is active",
    );
}

#[test]
fn a_session_lasts_while_any_forward_wants_it() {
    check(
        "0s idle for 60 s: nothing
         0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 5432:db:5432 prod: listen db
         2s bound db: save [web db]
         2s saved: db is new, reply added db active
         3s stop web: save [web (stopped) db]
         3s saved: close web, web is stopped
         3s closed web: reply ok
         4s stop db: save [web (stopped) db (stopped)]
         4s saved: close db, db is stopped
         4s closed db: reply ok
         63s tick: nothing
         64s tick: disconnect prod #2",
    );
}

#[test]
fn the_free_losses_come_back_after_ten_minutes() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s lost prod connection_lost: web is suspended (connection_lost) until 2.001s
         3s tick: connect prod #3
         4s connected prod: web is active
         5s lost prod connection_lost: web is suspended (connection_lost) until 5.001s
         6s tick: connect prod #4
         7s connected prod: web is active
         8s lost prod connection_lost: web is suspended (connection_lost) until 8.001s
         9s tick: connect prod #5
         10s connected prod: web is active
         11s lost prod connection_lost: web is suspended (connection_lost) until 11.001s
         12s tick: connect prod #6
         13s connected prod: web is active
         14s lost prod connection_lost: web is suspended (connection_lost) until 14.001s
         15s tick: connect prod #7
         16s connected prod: web is active
         17s lost prod connection_lost: web is suspended (connection_lost) until 18s
         18s tick: connect prod #8
         18s connected prod: web is active
         618s lost prod connection_lost: web is suspended (connection_lost) until 618.001s
         619s tick: connect prod #9
         619s connected prod: web is active
         620s lost prod connection_lost: web is suspended (connection_lost) until 620.001s",
    );
}

#[test]
fn a_new_key_is_taken_only_where_somebody_asked() {
    check(
        "0s add web -L 8080:localhost:80 prod accept-new and db -L 5432:db:5432 db: listen web, listen db
         0s bound web: nothing
         0s bound db: save [web db]
         0s saved: web is new, db is new, connect db #3, connect prod #4 accepting a new key, reply added web starting and db starting
         1s remove web: save [db]
         1s saved: close web, disconnect prod #4
         1s closed web: forget prod, web is gone, forget web, reply ok
         2s add web -L 8080:localhost:80 prod: listen web
         2s bound web: save [db web]
         2s saved: web is new, connect prod #6, reply added web starting",
    );
}

#[test]
fn a_lazy_forward_without_an_end_keeps_its_session() {
    check(
        "0s add web -L 8080:localhost:80 prod lazy: listen web
         0s bound web: save [web]
         0s saved: web is new, reply added web active
         1s used web: connect prod #2, web is starting
         2s connected prod: web is active
         3s quiet web: nothing
         3600s tick: nothing",
    );
}

#[test]
fn a_forward_that_goes_idle_begins_connected() {
    check(
        "0s add web -L 8080:localhost:80 prod idle=60: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         60s tick: disconnect prod #2
         61s used web: connect prod #3, web is starting",
    );
}

#[test]
fn a_session_counts_its_failures_until_it_is_logged_in() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         2s tick: connect prod #3
         3s lost prod connection_refused: nothing
         3s sessions: reply [prod suspended since 3s after 2 failures]
         5s tick: connect prod #4
         6s connected prod: web is active
         7s sessions: reply [prod active since 6s after 0 failures]",
    );
}

#[test]
fn a_session_that_nobody_wants_has_no_failures_and_is_idle_for_as_long_as_it_is() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s lost prod connection_refused: web is suspended (connection_refused) until 2s
         2s stop web: save [web (stopped)], connect prod #3
         2s saved: close web, disconnect prod #3, web is stopped
         2s closed web: reply ok
         3s sessions: reply [prod idle since 2s after 0 failures]
         9s disconnect prod: reply ok
         9s sessions: reply [prod idle since 2s after 0 failures]",
    );
}

#[test]
fn after_a_sleep_the_living_are_asked_and_the_waiting_try_at_once() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         60s roused: ask prod #2
         65s lost prod keepalive_lost: web is suspended (keepalive_lost) until 65.001s
         66s tick: connect prod #3
         67s lost prod connection_refused: web is suspended (connection_refused) until 68s
         67.5s roused: connect prod #4",
    );
}

#[test]
fn after_a_sleep_what_waits_for_a_person_goes_on_waiting() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         0s add db -L 5432:db:5432 db: listen db
         0s bound db: save [web db]
         0s saved: db is new, connect db #4, reply added db starting
         1s lost prod auth_refused: web is error (auth_refused)
         1s disconnect db: disconnect db #4, db is suspended (disconnected), reply ok
         60s roused: nothing",
    );
}

#[test]
fn connections_do_not_wait_for_a_session_that_does_not_come_back_by_itself() {
    check(
        "0s add web -L 80:a:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s lost prod keepalive_lost: web is suspended (keepalive_lost) until 2.001s
         3s tick: connect prod #3
         3s lost prod host_key_changed: nobody waits for prod, web is error (host_key_changed)
         4s retry: connect prod #4, connections wait for prod, web is suspended (host_key_changed), reply ok
         5s lost prod host_key_changed: nobody waits for prod, web is error (host_key_changed)
         6s remove web: save []
         6s saved: close web, connections wait for prod
         6s closed web: forget prod, web is gone, forget web, reply ok",
    );
}
