//! How a request ends: answered, refused, taken back.

use alknet_core::SavedRules;

use crate::saved::rule;
use crate::script::{check, check_from, check_watchers};

#[test]
fn a_taken_port_leaves_nothing_behind() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s refused web address_in_use: forget prod, forget web, reply address_in_use
         1s tick: nothing",
    );
}

#[test]
fn a_full_disk_takes_the_whole_request_back() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s unsaved: close web
         0s closed web: forget prod, forget web, reply not_saved
         30s tick: save []",
    );
}

#[test]
fn a_client_that_goes_away_takes_its_request_back() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s client gone: close web
         0s closed web: forget prod, forget web",
    );
}

#[test]
fn an_add_that_is_taken_back_while_the_disk_is_asked_leaves_it_as_it_was() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         1s abort: save [], close web
         2s closed web: nothing
         3s saved: forget prod, forget web",
    );
}

#[test]
fn an_add_that_was_late_is_answered_when_the_disk_has_what_is_true() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         30s tick: save [], close web
         31s closed web: nothing
         32s saved 1: nothing
         33s saved 2: forget prod, forget web, reply timed_out",
    );
}

#[test]
fn undone_changes_are_answered_also_when_the_disk_stays_full() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         30s tick: save [], close web
         31s closed web: nothing
         32s unsaved 2: forget prod, forget web, reply timed_out
         61s tick: nothing
         62s tick: save []
         62s unsaved: nothing
         91s tick: nothing
         92s tick: save []
         93s saved: nothing
         200s tick: nothing",
    );
}

#[test]
fn a_full_disk_keeps_what_should_have_been_removed() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s remove web: save []
         2s unsaved: reply not_saved
         3s list: reply [web active]
         32s tick: save [web]
         32s saved: nothing",
    );
}

#[test]
fn a_full_disk_keeps_running_what_should_have_been_stopped() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s unsaved: reply not_saved
         3s list: reply [web active]
         32s tick: save [web]",
    );
}

#[test]
fn a_full_disk_keeps_stopped_what_should_have_been_started() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s start web: listen web, web is starting
         3s bound web: save [web], web is active
         3s unsaved: close web, web is stopped, reply not_saved
         4s closed web: nothing
         33s tick: save [web (stopped)]",
    );
}

#[test]
fn what_failed_beside_newer_changes_is_corrected_at_once() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 5432:db:5432 prod: listen db
         2s bound db: save [web db]
         3s add ci -L 81:ci:80 prod: listen ci
         3s bound ci: save [web db ci]
         4s unsaved 2: save [web ci], close db
         4s closed db: forget db, reply not_saved
         5s saved: ci is new, reply added ci active",
    );
}

#[test]
fn a_save_serves_every_request_before_it() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 5432:db:5432 prod: listen db
         2s bound db: save [web db]
         3s add ci -L 81:ci:80 prod: listen ci
         3s bound ci: save [web db ci]
         4s saved: db is new, ci is new, reply added db active, reply added ci active",
    );
}

#[test]
fn several_forwards_are_all_added_or_none() {
    check(
        "0s add web -L 8080:localhost:80 prod and db -L 5432:db:5432 prod: listen web, listen db
         0s bound web: nothing
         0s refused db address_in_use: close web
         0s closed web: forget web, forget prod, forget db, reply address_in_use
         1s list: reply []",
    );
}

#[test]
fn a_remove_that_is_late_keeps_the_rule() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s remove web: save []
         32s tick: save [web]
         33s saved: reply timed_out
         34s list: reply [web active]",
    );
}

#[test]
fn a_stop_that_is_late_keeps_the_rule_running() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         32s tick: save [web]
         33s saved: reply timed_out
         34s list: reply [web active]",
    );
}

#[test]
fn a_start_that_is_refused_leaves_it_stopped() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s start web: listen web, web is starting
         3s refused web address_in_use: web is stopped, reply address_in_use
         30s tick: nothing
         31s list: reply [web stopped]",
    );
}

#[test]
fn a_start_of_what_runs_is_done_already() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s start web: reply ok",
    );
}

#[test]
fn a_stop_of_what_is_stopped_writes_nothing() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s stop web: reply ok",
    );
}

#[test]
fn a_client_that_goes_away_does_not_stop_a_removal_that_the_disk_has() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s remove web: save []
         2s saved: close web
         2s client gone: nothing
         3s closed web: web is gone, forget web",
    );
}

#[test]
fn what_selects_nothing_is_refused() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop db: reply not_found
         2s stop @db: reply not_found
         2s stop --host=db: reply not_found
         2s remove d*: reply not_found
         2s remove --all: save []
         2s show --all: reply web on 8080 active after [starting>active]
         2s list @db: reply not_found",
    );
}

#[test]
fn a_forward_is_selected_in_every_way() {
    check(
        "0s add web -L 8080:localhost:80 prod @a and db -L 5432:db:5432 db @b: listen web, listen db
         0s bound web: nothing
         0s bound db: save [web db]
         0s saved: web is new, db is new, connect db #3, connect prod #4, reply added web starting and db starting
         1s list web: reply [web starting]
         1s list w*: reply [web starting]
         1s list @b: reply [db starting]
         1s list --host=db: reply [db starting]
         1s list --all: reply [web starting db starting]
         1s list 9e3779b1: reply [web starting]
         1s list 9: reply [web starting]
         1s list 3c: reply [db starting]
         1s show --all: reply ambiguous
         1s list db web db: reply [web starting db starting]",
    );
}

#[test]
fn a_prefix_of_several_ids_is_ambiguous() {
    check_from(
        ids(),
        "load: listen five, listen eighteen, connect prod #3
         1s show 1: reply ambiguous
         1s show 17: reply five on 8080 starting after []
         1s stop 1: reply ambiguous",
    );
}

#[test]
fn a_daemon_that_stops_answers_so_and_waits_for_nothing() {
    check_watchers(
        "0s watch 7: 7 hears at 0 [] []
         0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: 7 hears web is new, connect prod #2, 7 hears session prod is connecting, reply added web starting
         1s lost prod connection_refused: 7 hears session prod is suspended, 7 hears web is suspended (connection_refused) until 2s
         2s signal to stop: stop
         3s signal to stop: nothing
         4s add db -L 5432:db:5432 prod: reply daemon_stopping
         5s list: reply daemon_stopping
         1000s tick: 7 hears a heartbeat at 4",
    );
}

#[test]
fn a_client_may_shut_the_daemon_down() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s shut down: stop, reply ok
         3s shut down: reply daemon_stopping
         4s lost prod connection_lost: web is suspended (connection_lost) until 4.001s
         5s tick: nothing",
    );
}

#[test]
fn what_the_disk_has_had_is_not_forgotten() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         30s tick: save [], close web
         31s saved 2: nothing
         32s saved 1: nothing
         33s closed web: forget prod, forget web, reply timed_out",
    );
}

#[test]
fn a_full_disk_takes_back_every_request_that_waits_for_it() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 5432:db:5432 prod: listen db
         2s bound db: save [web db]
         3s add ci -L 81:ci:80 prod: listen ci
         3s bound ci: save [web db ci]
         4s unsaved 3: close db, close ci
         4s closed db: forget db, reply not_saved
         4s closed ci: forget ci, reply not_saved",
    );
}

#[test]
fn a_listener_that_was_told_to_close_may_be_refused_instead() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s abort: close web
         1s refused web address_in_use: forget prod, forget web",
    );
}

/// Two rules whose ids begin alike.
fn ids() -> SavedRules {
    SavedRules { revision: 0, next_id: 0, rules: vec![rule(5, "five", "8080:a:80"), rule(18, "eighteen", "8081:a:80")] }
}
