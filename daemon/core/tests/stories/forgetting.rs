//! When nobody asks for the counters of a forward or a session again.

use crate::script::check;

#[test]
fn a_session_is_forgotten_when_it_ends_after_its_last_forward() {
    check(
        "0s idle for 60 s: nothing
         0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 5432:db:5432 prod: listen db
         2s bound db: save [web db]
         2s saved: db is new, reply added db active
         3s remove web: save [db]
         3s saved: close web
         3s closed web: web is gone, forget web, reply ok
         4s remove db: save []
         4s saved: close db
         4s closed db: db is gone, forget db, reply ok
         64s tick: disconnect prod #2, forget prod",
    );
}

#[test]
fn a_stopped_forward_keeps_its_session_in_mind() {
    check(
        "0s idle for 60 s: nothing
         0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         62s tick: disconnect prod #2
         63s sessions: reply [prod idle since 2s after 0 failures]
         64s remove web: save []
         64s saved: forget prod, web is gone, forget web, reply ok
         65s sessions: reply []",
    );
}

#[test]
fn forwards_that_are_removed_together_forget_their_session_once() {
    check(
        "0s add web -L 8080:localhost:80 prod and db -L 5432:db:5432 prod: listen web, listen db
         0s bound web: nothing
         0s bound db: save [web db]
         0s saved: web is new, db is new, connect prod #3, reply added web starting and db starting
         1s remove --all: save []
         1s saved: close web, close db, disconnect prod #3
         1s closed web: nothing
         1s closed db: web is gone, forget web, forget prod, db is gone, forget db, reply ok",
    );
}

#[test]
fn a_session_is_kept_for_a_forward_that_is_being_added() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 5432:db:5432 prod: listen db
         3s remove web: save []
         3s saved: close web
         3s closed web: web is gone, forget web, reply ok
         4s bound db: save [db]
         4s saved: db is new, reply added db active",
    );
}

#[test]
fn an_add_that_failed_is_forgotten_and_the_session_of_others_is_not() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 5432:db:5432 prod: listen db
         2s refused db address_in_use: forget db, reply address_in_use
         3s sessions: reply [prod active since 1s after 0 failures]",
    );
}
