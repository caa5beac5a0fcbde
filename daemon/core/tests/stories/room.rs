//! How many SSH connections there may be in all.

use crate::script::check;

#[test]
fn a_destination_too_many_waits_until_another_one_has_ended() {
    check(
        "0s allow 2 sessions: nothing
         0s add a -L 8080:localhost:80 one: listen a
         0s bound a: save [a]
         0s saved: a is new, connect one #2, reply added a starting
         0s connected one: a is active
         1s add b -L 8081:localhost:80 two: listen b
         1s bound b: save [a b]
         1s saved: b is new, connect two #4, reply added b starting
         1s connected two: b is active
         2s add c -L 8082:localhost:80 three: listen c
         2s bound c: save [a b c]
         2s saved: c is new, c is suspended (session_limit) until 62s, reply added c suspended
         62s tick: nothing
         63s disconnect one: disconnect one #2, connect three #6, a is suspended (disconnected), reply ok
         64s connected three: c is active",
    );
}

#[test]
fn there_is_no_further_link_where_there_are_as_many_as_there_may_be() {
    check(
        "0s allow 2 sessions: nothing
         0s add a -L 8080:localhost:80 one: listen a
         0s bound a: save [a]
         0s saved: a is new, connect one #2, reply added a starting
         0s connected one: one may have more, a is active
         1s add b -L 8081:localhost:80 two: listen b
         1s bound b: save [a b]
         1s saved: b is new, connect two #4, reply added b starting
         1s connected two: one has no more, b is active
         2s crowded one: nothing
         3s renew one: reply session_limit
         4s allow 3 sessions: one may have more, two may have more
         5s crowded one: connect one #5, two has no more",
    );
}
