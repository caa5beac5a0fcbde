//! Who hears of what, in order, and from where on.

use crate::script::check_watchers;

#[test]
fn a_watcher_of_everything_hears_everything() {
    check_watchers(
        "0s watch 7: 7 hears at 0 [] []
         0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: 7 hears web is new, connect prod #2, 7 hears session prod is connecting, reply added web starting
         1s connected prod: 7 hears session prod is active, 7 hears web is active
         2s lost prod keepalive_lost: 7 hears session prod is suspended, 7 hears web is suspended (keepalive_lost) until 2.001s
         3s tick: connect prod #3, 7 hears session prod is connecting
         4s unwatch 7: nothing
         5s connected prod: nothing",
    );
}

#[test]
fn a_watcher_hears_of_its_forwards_and_their_sessions_only() {
    check_watchers(
        "0s add web -L 80:a:80 prod @a and db -L 81:a:80 db @b: listen web, listen db
         0s bound web: nothing
         0s bound db: save [web db]
         0s saved: connect db #3, connect prod #4, reply added web starting and db starting
         1s watch 2 web: 2 hears at 4 [web] [prod]
         1s watch 3 9e37: 3 hears at 4 [web] [prod]
         1s watch 4 @b: 4 hears at 4 [db] [db]
         1s watch 5 d*: 5 hears at 4 [db] [db]
         1s watch 6 --host=prod: 6 hears at 4 [web] [prod]
         1s watch 8 --all: 8 hears at 4 [web db] [db prod]
         1s watch 9 nothing: reply not_found
         2s connected prod: 2 hears session prod is active, 3 hears session prod is active, 6 hears session prod is active, 8 hears session prod is active, 2 hears web is active, 3 hears web is active, 6 hears web is active, 8 hears web is active
         3s connected db: 4 hears session db is active, 5 hears session db is active, 8 hears session db is active, 4 hears db is active, 5 hears db is active, 8 hears db is active
         4s refused web address_in_use: 2 hears web is suspended (address_in_use) until 9s, 3 hears web is suspended (address_in_use) until 9s, 6 hears web is suspended (address_in_use) until 9s, 8 hears web is suspended (address_in_use) until 9s",
    );
}

#[test]
fn a_watcher_hears_of_the_end_of_its_forwards_and_their_session() {
    check_watchers(
        "0s add web -L 80:a:80 prod @a and db -L 81:a:80 db @b: listen web, listen db
         0s bound web: nothing
         0s bound db: save [web db]
         0s saved: connect db #3, connect prod #4, reply added web starting and db starting
         1s connected prod: nothing
         2s watch 2 web: 2 hears at 6 [web] [prod]
         2s watch 3 9e37: 3 hears at 6 [web] [prod]
         2s watch 4 @a: 4 hears at 6 [web] [prod]
         2s watch 5 w*: 5 hears at 6 [web] [prod]
         2s watch 6 --host=prod: 6 hears at 6 [web] [prod]
         2s watch 8 @b: 8 hears at 6 [db] [db]
         3s remove web: save [db]
         3s saved: close web, 2 hears session prod is idle, 3 hears session prod is idle, 4 hears session prod is idle, 5 hears session prod is idle, 6 hears session prod is idle
         3s closed web: 2 hears web is gone, 3 hears web is gone, 4 hears web is gone, 5 hears web is gone, 6 hears web is gone, forget web, reply ok",
    );
}

#[test]
fn a_watcher_by_tag_hears_of_what_is_added_later() {
    check_watchers(
        "0s add web -L 80:a:80 prod @a: listen web
         0s bound web: save [web]
         0s saved: connect prod #2, reply added web starting
         1s watch 2 @a: 2 hears at 2 [web] [prod]
         1s watch 3 web: 3 hears at 2 [web] [prod]
         2s add db -L 81:a:80 db @a: listen db
         2s bound db: save [web db]
         2s saved: 2 hears db is new, connect db #4, 2 hears session db is connecting, reply added db starting",
    );
}

#[test]
fn a_watcher_that_was_too_slow_hears_so_and_then_everything() {
    check_watchers(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: connect prod #2, reply added web starting
         1s connected prod: nothing
         2s add db -L 81:a:80 db @b: listen db
         2s bound db: save [web db]
         2s saved: connect db #4, reply added db starting
         3s watch 2 @b: 2 hears at 6 [db] [db]
         4s caught up 2: 2 hears that it lagged at 6, 2 hears at 6 [db] [db]
         5s caught up 3: nothing",
    );
}

#[test]
fn a_watcher_goes_on_where_it_was() {
    check_watchers(
        "0s watch 7: 7 hears at 0 [] []
         0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: 7 hears web is new, connect prod #2, 7 hears session prod is connecting, reply added web starting
         1s connected prod: 7 hears session prod is active, 7 hears web is active
         2s unwatch 7: nothing
         2s lost prod keepalive_lost: nothing
         3s tick: connect prod #3
         4s watch 7 since 5: 7 hears web is suspended (keepalive_lost) until 2.001s, 7 hears session prod is connecting
         5s watch 2 since 8: 2 hears at 7 [web] [prod]
         6s watch 3 since 9: 3 hears at 7 [web] [prod]
         7s watch 4 since 0: 4 hears web is new, 4 hears session prod is connecting, 4 hears session prod is active, 4 hears web is active, 4 hears session prod is suspended, 4 hears web is suspended (keepalive_lost) until 2.001s, 4 hears session prod is connecting
         8s connected prod: 2 hears session prod is active, 3 hears session prod is active, 4 hears session prod is active, 7 hears session prod is active, 2 hears web is active, 3 hears web is active, 4 hears web is active, 7 hears web is active",
    );
}

#[test]
fn a_watcher_that_goes_on_hears_of_its_forwards_only() {
    check_watchers(
        "0s add web -L 80:a:80 prod @a and db -L 81:a:80 db @b and ci -L 82:a:80 ci @a stopped: listen web, listen db
         0s bound web: nothing
         0s bound db: save [web db ci (stopped)]
         0s saved: connect db #3, connect prod #4, reply added web starting and db starting and ci stopped
         1s connected prod: nothing
         2s connected db: nothing
         3s remove web: save [db ci (stopped)]
         3s saved: close web
         3s closed web: forget web, reply ok
         4s watch 2 @a since 0: 2 hears web is new, 2 hears ci is new, 2 hears web is active, 2 hears web is gone
         5s watch 3 @b since 4: 3 hears session db is active, 3 hears db is active
         6s watch 4 @a since 99: 4 hears at 11 [ci] [ci]
         7s watch 5 w* since 0: 5 hears web is new, 5 hears web is active, 5 hears web is gone
         8s watch 6 web since 0: 6 hears web is new, 6 hears web is active, 6 hears web is gone
         9s watch 7 x* since 0: reply not_found
         10s watch 8 web since 99: reply not_found",
    );
}

#[test]
fn a_watcher_that_begins_while_a_forward_goes_sees_it_go() {
    check_watchers(
        "0s add web -L 80:a:80 prod: listen web
         0s bound web: save [web]
         0s saved: connect prod #2, reply added web starting
         1s connected prod: nothing
         2s remove web: save []
         2s saved: close web
         2s list: reply []
         2s watch 2: 2 hears at 5 [web] [prod]
         2s closed web: 2 hears web is gone, forget web, reply ok",
    );
}

#[test]
fn a_watcher_hears_the_daemon_live() {
    check_watchers(
        "0s watch 7: 7 hears at 0 [] []
         5s watch 8: 8 hears at 0 [] []
         14s tick: nothing
         15s tick: 7 hears a heartbeat at 0, 8 hears a heartbeat at 0
         16s unwatch 7: nothing
         29s tick: nothing
         30s tick: 8 hears a heartbeat at 0
         31s unwatch 8: nothing
         60s tick: nothing
         61s watch 9: 9 hears at 0 [] []
         75s tick: nothing
         76s tick: 9 hears a heartbeat at 0",
    );
}

#[test]
fn a_forward_nobody_sees_yet_is_told_to_nobody() {
    check_watchers(
        "0s watch 7: 7 hears at 0 [] []
         0s add web -L 80:a:80 prod: listen web
         0s refused web address_in_use: forget prod, forget web, reply address_in_use
         1s list: reply []
         1s watch 8: 8 hears at 0 [] []",
    );
}

#[test]
fn a_watcher_that_asks_for_figures_gets_them_of_its_forwards_in_its_own_time() {
    check_watchers(
        "0s add web -L 80:a:80 prod @a and db -L 81:a:80 db @b: listen web, listen db
         0s bound web: nothing
         0s bound db: save [web db]
         0s saved: connect db #3, connect prod #4, reply added web starting and db starting
         1s watch 2 figures 2000: 2 hears at 4 [web db] [db prod], begin the rates of 2
         1s watch 3 @b figures 5000: 3 hears at 4 [db] [db], begin the rates of 3
         1s watch 4 @b: 4 hears at 4 [db] [db]
         2.9s tick: nothing
         3s tick: 2 hears the figures of [web db]
         5s tick: 2 hears the figures of [web db]
         6s tick: 3 hears the figures of [db]
         6.5s add ci -L 82:a:80 ci @b: listen ci
         6.5s bound ci: save [web db ci]
         6.5s saved: 2 hears ci is new, 3 hears ci is new, 4 hears ci is new, connect ci #6, 2 hears session ci is connecting, 3 hears session ci is connecting, 4 hears session ci is connecting, reply added ci starting
         7s tick: 2 hears the figures of [web db ci]
         8s unwatch 2: nothing
         11s tick: 3 hears the figures of [db ci]",
    );
}

#[test]
fn figures_that_are_late_do_not_come_in_a_burst() {
    check_watchers(
        "0s watch 2 figures 1000: 2 hears at 0 [] [], begin the rates of 2
         1.2s tick: 2 hears the figures of []
         2s tick: 2 hears the figures of []
         9.8s tick: 2 hears the figures of []
         10.2s tick: nothing
         10.3s tick: 2 hears the figures of []",
    );
}

#[test]
fn figures_cannot_come_more_often_than_ten_times_a_second_or_less_than_once_a_day() {
    check_watchers(
        "0s watch 2 figures 99: reply invalid_request
         0s watch 3 figures 0: reply invalid_request
         0s watch 4 figures 86400001: reply invalid_request
         0s watch 5 figures 100: 5 hears at 0 [] [], begin the rates of 5
         0.1s tick: 5 hears the figures of []",
    );
}
