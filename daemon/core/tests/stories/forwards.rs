//! What opens and closes for a forward.

use crate::script::check;

#[test]
fn a_remote_forward_is_asked_for_on_every_session() {
    check(
        "0s add back -R 9000:localhost:22 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         1s connected prod: ask the server to listen back
         1s bound back: back is active
         60s lost prod connection_lost: back is suspended (connection_lost) until 60.001s
         61s tick: connect prod #3
         62s connected prod: ask the server to listen back
         62s bound back: back is active",
    );
}

#[test]
fn a_remote_port_that_is_taken_is_asked_for_again_while_the_session_stays() {
    check(
        "0s add back -R 9000:localhost:22 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         1s connected prod: ask the server to listen back
         1s refused back remote_port_in_use: back is suspended (remote_port_in_use) until 2s
         2s tick: ask the server to listen back
         2s refused back remote_port_in_use: nothing
         4s tick: ask the server to listen back
         4s bound back: back is active",
    );
}

#[test]
fn a_remote_forward_added_to_a_live_session_waits_for_the_server() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add back -R 9000:localhost:22 prod: ask the server to listen back
         3s refused back remote_port_in_use: forget back, reply remote_port_in_use
         4s tick: nothing",
    );
}

#[test]
fn a_restart_closes_and_opens_again() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s restart web: close web, web is starting
         2s closed web: listen web
         2s bound web: web is active, reply ok",
    );
}

#[test]
fn a_listener_that_dies_while_it_is_open_is_opened_again() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         9s refused web address_in_use: web is suspended (address_in_use) until 14s
         14s tick: listen web
         14s bound web: web is active",
    );
}

#[test]
fn a_listener_that_may_never_open_waits_for_a_person() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         9s refused web permission_denied: web is error (permission_denied)
         3600s tick: nothing
         3601s retry: listen web, web is starting, reply ok
         3601s bound web: web is active",
    );
}

#[test]
fn a_remote_forward_that_dies_while_it_is_open_is_asked_for_again() {
    check(
        "0s add back -R 9000:localhost:22 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         1s connected prod: ask the server to listen back
         1s bound back: back is active
         9s refused back remote_port_in_use: back is suspended (remote_port_in_use) until 10s
         10s tick: ask the server to listen back
         10s bound back: back is active",
    );
}

#[test]
fn a_free_port_stays_the_same_over_restarts_and_a_new_one_is_saved() {
    check(
        "0s add web -L 0:localhost:80 prod: listen web
         0s bound web 41001: save [web on 41001]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         1s show web: reply web on 41001 active after [starting>active]
         2s restart web: close web, web is starting
         2s closed web: listen web on 41001
         2s bound web 41001: web is active, reply ok
         3s restart web: close web, web is starting
         3s closed web: listen web on 41001
         3s bound web 41002: save [web on 41002], web is active, reply ok
         3s saved: nothing
         4s show web: reply web on 41002 active after [starting>active active>starting starting>active active>starting starting>active]",
    );
}

#[test]
fn a_free_port_of_an_ephemeral_forward_is_not_saved() {
    check(
        "0s add web -L 0:localhost:80 prod ephemeral: listen web
         0s bound web 41001: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s restart web: close web, web is starting
         2s closed web: listen web on 41001
         2s bound web 41002: web is active, reply ok
         2s show web: reply web on 41002 active after [starting>active active>starting starting>active]
         3s stop web: close web, web is stopped
         3s closed web: reply ok
         4s start web: listen web on 41002, web is starting
         4s bound web 41003: web is active, reply ok
         5s remove web: close web
         5s closed web: web is gone, forget web, reply ok",
    );
}

#[test]
fn a_free_port_that_changes_while_the_disk_is_asked_is_saved() {
    check(
        "0s add web -L 0:localhost:80 prod: listen web
         0s bound web 41001: save [web on 41001]
         1s refused web address_in_use: nothing
         7s saved: web is new, listen web on 41001, connect prod #3, web is starting, reply added web starting
         8s bound web 41002: save [web on 41002]
         8s saved: nothing",
    );
}

#[test]
fn what_a_person_should_know_of_a_listener_is_in_the_answer() {
    check(
        "0s add web -L localhost:8080:localhost:80 prod and db -L 5432:db:5432 prod: listen web, listen db
         0s bound web ipv6-is-missing: nothing
         0s bound db and-here: save [web db]
         0s saved: web is new, db is new, connect prod #3, reply added web starting and db starting (ipv6-is-missing; and-here)
         1s show web: reply web on 8080 starting after []",
    );
}

#[test]
fn a_forward_remembers_what_became_of_it() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s lost prod connection_lost: web is suspended (connection_lost) until 2.001s
         3s tick: connect prod #3
         3s connected prod: web is active
         4s show web: reply web on 8080 active after [starting>active active>suspended suspended>active]",
    );
}

#[test]
fn a_restart_that_is_refused_leaves_the_rule() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s restart web: close web, web is starting
         2s closed web: listen web
         2s refused web address_in_use: web is suspended (address_in_use) until 7s, reply address_in_use
         7s tick: listen web
         7s bound web: web is active",
    );
}

#[test]
fn a_restart_leaves_stopped_what_was_stopped() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s restart web: reply ok, web left stopped
         4s show web: reply web on 8080 stopped after [starting>active active>stopped]
         5s start web: listen web, web is starting
         5s bound web: save [web], web is active
         5s saved: reply ok",
    );
}

#[test]
fn a_restart_of_all_restarts_what_runs_and_leaves_the_rest() {
    check(
        "0s add web -L 8080:localhost:80 prod and db -L 5432:db:5432 test stopped: listen web
         0s bound web: save [web db (stopped)]
         0s saved: web is new, db is new, connect prod #2, reply added web starting and db stopped
         1s connected prod: web is active
         2s restart --all: close web, web is starting
         2s closed web: listen web
         2s bound web: web is active, reply ok, db left stopped",
    );
}

#[test]
fn a_remote_forward_is_closed_on_its_session() {
    check(
        "0s add back -R 9000:localhost:22 prod and web -L 80:a:80 prod: listen web
         0s bound web: save [back web]
         0s saved: back is new, web is new, connect prod #2, reply added back starting and web starting
         1s connected prod: ask the server to listen back, web is active
         1s bound back: back is active
         2s stop back: save [back (stopped) web]
         2s saved: close back, back is stopped
         2s closed back: reply ok
         3s start back: ask the server to listen back, back is starting
         3s bound back: save [back web], back is active
         3s saved: reply ok",
    );
}

#[test]
fn a_remote_forward_whose_session_ends_while_it_closes_is_closed() {
    check(
        "0s add back -R 9000:localhost:22 prod and web -L 80:a:80 prod: listen web
         0s bound web: save [back web]
         0s saved: back is new, web is new, connect prod #2, reply added back starting and web starting
         1s connected prod: ask the server to listen back, web is active
         1s bound back: back is active
         2s stop back: save [back (stopped) web]
         2s saved: close back, back is stopped
         2s lost prod connection_lost: web is suspended (connection_lost) until 2.001s, reply ok",
    );
}

#[test]
fn a_port_that_the_server_gives_while_the_disk_is_asked_is_saved_too() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s add back -R 0:localhost:22 prod: save [web back]
         1s connected prod: ask the server to listen back, web is active
         1s bound back 41001: save [web back on 41001]
         1s saved: back is new, reply added back active",
    );
}

#[test]
fn a_remote_forward_that_was_open_begins_its_backoff_anew() {
    check(
        "0s add back -R 9000:localhost:22 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         1s connected prod: ask the server to listen back
         1s refused back remote_port_in_use: back is suspended (remote_port_in_use) until 2s
         2s tick: ask the server to listen back
         2s refused back remote_port_in_use: nothing
         4s tick: ask the server to listen back
         4s bound back: back is active
         5s refused back remote_port_in_use: back is suspended (remote_port_in_use) until 6s",
    );
}

#[test]
fn after_a_sleep_a_refused_listener_tries_at_once() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s refused web address_in_use: web is suspended (address_in_use) until 6s
         2s roused: listen web, web is starting
         2s refused web permission_denied: web is error (permission_denied)
         3s roused: nothing",
    );
}
