//! What is given up when nobody answers.

use crate::script::check;

#[test]
fn a_listener_that_never_answers_is_an_answer() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         19s tick: nothing
         20s tick: close web, forget prod, forget web, reply timed_out
         21s bound web #1: nothing
         22s closed web #1: nothing",
    );
}

#[test]
fn a_rule_whose_listener_never_answers_is_tried_again() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s refused web address_in_use: web is suspended (address_in_use) until 7s
         7s tick: listen web
         27s tick: close web, web is suspended (timed_out) until 32s
         32s tick: listen web
         33s bound web: web is active",
    );
}

#[test]
fn a_server_that_never_answers_for_a_remote_forward_is_asked_again() {
    check(
        "0s add back -R 9000:localhost:22 prod: save [back]
         0s saved: back is new, connect prod #1, reply added back starting
         1s connected prod: ask the server to listen back
         21s tick: close back, back is suspended (timed_out) until 26s
         26s tick: ask the server to listen back
         27s bound back: back is active",
    );
}

#[test]
fn an_attempt_that_never_reports_is_given_up() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         179s tick: nothing
         180s tick: disconnect prod #2, web is suspended (timed_out) until 181s
         181s tick: connect prod #3
         182s connected prod: web is active",
    );
}

#[test]
fn a_listener_that_never_says_it_is_closed_is_let_go() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         21s tick: nothing
         22s tick: reply ok",
    );
}

#[test]
fn a_disk_that_never_answers_ends_the_request_when_what_it_began_is_undone() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         1s bound web: save [web]
         29s tick: nothing
         30s tick: save [], close web
         31s closed web: nothing
         32s saved: forget prod, forget web, reply timed_out",
    );
}

#[test]
fn a_request_that_waits_for_another_one_is_late_too() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s restart web: close web, web is starting
         3s stop web: nothing
         22s tick: listen web
         32s tick: reply timed_out
         33s tick: reply timed_out
         34s bound web: web is active",
    );
}

#[test]
fn a_request_that_waited_for_another_one_gets_its_turn() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s restart web: close web, web is starting
         3s stop web: nothing
         4s closed web: listen web
         5s bound web: save [web (stopped)], web is active, reply ok
         6s saved: close web, web is stopped
         7s closed web: reply ok",
    );
}

#[test]
fn a_request_that_was_taken_back_gets_no_turn() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s restart web: close web, web is starting
         3s stop web: nothing
         3s abort: nothing
         4s closed web: listen web
         5s bound web: web is active, reply ok
         40s tick: nothing",
    );
}

#[test]
fn news_of_an_earlier_listener_changes_nothing() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s restart web: close web, web is starting
         3s closed web #1: listen web
         4s bound web #1: nothing
         4s refused web address_in_use #1: nothing
         5s bound web #3: web is active, reply ok
         6s stop web: save [web (stopped)]
         6s saved: close web, web is stopped
         7s closed web #1: nothing
         8s closed web #3: reply ok",
    );
}

#[test]
fn a_listener_without_room_stays_active_and_says_why() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s short web: web is active (too_many_files)
         2s short web #99: nothing
         3s roomy web: web is active
         4s short web: web is active (too_many_files)
         5s lost prod connection_lost: web is suspended (connection_lost) until 5.001s
         5.001s tick: connect prod #3
         5.5s connected prod: web is active (too_many_files)
         6s restart web: close web, web is starting
         6s closed web: listen web
         6s bound web: web is active, reply ok
         6s short web #1: nothing",
    );
}
