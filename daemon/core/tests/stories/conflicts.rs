//! What another forward has already, and what it has not.

use std::time::{Duration, Instant};

use alknet_core::{Action, Call, ClientId, Event, Model, Moment};
use alknet_proto::{Code, ForwardSpec, Forwarding, Operation, Reason, RequestId, Stage};

use crate::script::check;

#[test]
fn a_name_is_given_once() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add web -L 8081:localhost:80 prod: reply name_in_use
         2s add db -L 5432:db:5432 prod and db -L 5433:db:5432 prod: reply name_in_use
         3s add db -L 5432:db:5432 prod: listen db
         3s bound db: save [web db]
         3s saved: db is new, reply added db active",
    );
}

#[test]
fn a_local_port_is_held_once_over_all_destinations() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 8080:db:80 db: reply address_in_use
         2s add socks -D 8080 db: reply address_in_use
         3s add db -L 8081:db:80 db and socks -D 8081 prod: reply address_in_use",
    );
}

#[test]
fn a_stopped_forward_holds_no_port() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s stop web: save [web (stopped)]
         2s saved: close web, web is stopped
         2s closed web: reply ok
         3s add db -L 8080:db:80 prod: listen db
         3s bound db: save [web (stopped) db]
         3s saved: db is new, reply added db active
         4s start web: listen web, web is starting
         4s refused web address_in_use: web is stopped, reply address_in_use",
    );
}

#[test]
fn a_forward_that_is_added_stopped_may_name_a_held_port() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add db -L 8080:db:80 prod stopped and ci -L 8080:ci:80 prod stopped: save [web db (stopped) ci (stopped)]
         2s saved: db is new, ci is new, reply added db stopped and ci stopped",
    );
}

#[test]
fn a_stopped_forward_beside_one_that_is_not_may_name_its_port() {
    check(
        "0s add db -L 8080:db:80 prod stopped and ci -L 8080:ci:80 prod: listen ci
         0s bound ci: save [db (stopped) ci]
         0s saved: db is new, ci is new, connect prod #2, reply added db stopped and ci starting",
    );
}

#[test]
fn a_remote_port_is_held_once_on_each_destination() {
    check(
        "0s add a -R 9000:localhost:22 prod: save [a]
         0s saved: a is new, connect prod #1, reply added a starting
         1s add b -R 9000:localhost:23 prod: reply remote_port_in_use
         2s add b -R 9000:localhost:22 db: save [a b]
         2s saved: b is new, connect db #2, reply added b starting
         3s add c -R 9001:localhost:22 db and d -R 9001:localhost:22 prod: save [a b c d]
         3s saved: c is new, d is new, reply added c starting and d starting
         4s add e -R 9002:a:1 db and f -R 9002:a:1 db: reply remote_port_in_use",
    );
}

#[test]
fn a_remote_port_and_a_local_one_do_not_meet() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s add back -R 8080:localhost:22 prod: ask the server to listen back
         2s bound back: save [web back]
         2s saved: back is new, reply added back active
         3s add c -L 81:a:1 prod and d -R 81:a:1 prod: listen c, ask the server to listen d",
    );
}

#[test]
fn any_port_never_conflicts() {
    check(
        "0s add a -L 0:a:80 prod and b -L 0:a:80 prod: listen a, listen b
         0s bound a 41001: nothing
         0s bound b 41002: save [a on 41001 b on 41002]
         0s saved: a is new, b is new, connect prod #3, reply added a starting and b starting
         1s add c -L 0:a:80 prod: listen c
         1s bound c 41003: save [a on 41001 b on 41002 c on 41003]
         1s saved: c is new, reply added c starting",
    );
}

#[test]
fn a_forward_that_is_still_being_added_holds_its_name_and_port() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s add web -L 8081:localhost:80 prod: reply name_in_use
         0s add db -L 8080:localhost:80 prod: reply address_in_use",
    );
}

#[test]
fn a_forward_that_is_being_removed_holds_its_name_and_port() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s connected prod: web is active
         2s remove web: save []
         2s saved: close web
         2s add web -L 8081:localhost:80 prod: reply name_in_use
         2s add db -L 8080:localhost:80 prod: reply address_in_use
         3s closed web: web is gone, forget web, reply ok
         4s add web -L 8080:localhost:80 prod: listen web",
    );
}

#[test]
fn a_name_that_is_made_up_steps_back_before_one_that_is_chosen() {
    check(
        "0s add - -L 8080:a:80 prod and prod-8080 -L 8081:a:80 prod and - -L 8082:a:80 prod: listen unnamed, listen prod-8080, listen unnamed
         0s bound unnamed 8082: nothing
         0s bound prod-8080: nothing
         0s abort: close unnamed, close prod-8080, close unnamed",
    );
}

#[test]
fn names_that_are_made_up_are_all_different() {
    check(
        "0s add - -R 0:a:80 prod and - -R 0:a:80 prod and prod-a-80-2 -R 0:a:80 prod: save [prod-a-80 prod-a-80-3 prod-a-80-2]
         0s saved: prod-a-80 is new, prod-a-80-3 is new, prod-a-80-2 is new, connect prod #1, reply added prod-a-80 starting and prod-a-80-3 starting and prod-a-80-2 starting
         1s add - -R 0:a:80 prod: save [prod-a-80 prod-a-80-3 prod-a-80-2 prod-a-80-4]
         1s saved: prod-a-80-4 is new, reply added prod-a-80-4 starting",
    );
}

#[test]
fn no_name_is_the_id_of_another_rule() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s add 9e3779b1 -L 8081:localhost:80 prod: reply name_in_use",
    );
}

#[test]
fn no_rule_gets_an_id_that_is_the_name_of_another_one() {
    let mut model = Model::new();
    let now = Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
    let spec = |name: &str| {
        let forwarding = Forwarding::parse_dynamic("0").unwrap();
        ForwardSpec { name: name.parse().ok(), ..ForwardSpec::new("prod".parse().unwrap(), forwarding) }
    };
    let specs = vec![spec("9e3779b1"), spec("web"), spec("daa66d13"), spec("db")];

    let call = Call { client: ClientId(1), request: RequestId(1) };
    let asked = Event::Requested { call, operation: Operation::AddForwards(specs), timeout: Duration::from_secs(30) };
    let actions = model.step(asked, now, 0.5);

    let listening = actions.iter().filter_map(|action| match action {
        Action::Listen(listen) => Some(listen.forward.to_string()),
        _ => None,
    });
    assert_eq!(listening.collect::<Vec<_>>(), ["3c6ef362", "78dde6c4", "17156075", "b54cda26"]);
}

#[test]
fn a_wide_address_of_a_server_is_said_before_the_server_is_there() {
    check(
        "0s add back -R *:9000:localhost:22 prod and in -R 9001:localhost:22 prod: save [back in]
         0s saved: back is new, in is new, connect prod #1, reply added back starting and in starting \
         (port 9000 on every address of prod is open to other machines, where its GatewayPorts allows it)",
    );
}

#[test]
fn a_wide_address_takes_its_port_from_every_narrow_one() {
    check(
        "0s add web -L 8080:localhost:80 prod: listen web
         0s bound web: save [web]
         0s saved: web is new, connect prod #2, reply added web starting
         1s add wide -L *:8080:localhost:80 prod: reply address_in_use
         2s add six -L [::1]:8080:localhost:80 prod: listen six
         2s bound six: save [web six]
         2s saved: six is new, reply added six starting
         3s add both -D localhost:8080 prod: reply address_in_use
         4s add one -D *:9000 prod and two -D 0.0.0.0:9000 prod: reply address_in_use",
    );
}

#[test]
fn a_port_that_another_rule_holds_is_refused_with_the_name_of_that_rule() {
    let mut model = Model::new();
    let now = Moment { steady: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
    let call = |request| Call { client: ClientId(1), request: RequestId(request) };
    let timeout = Duration::from_secs(30);
    let add = |request, name: &str, spec: &str, stopped| {
        let forwarding = Forwarding::parse_dynamic(spec).unwrap();
        let spec =
            ForwardSpec { name: name.parse().ok(), stopped, ..ForwardSpec::new("prod".parse().unwrap(), forwarding) };
        Event::Requested { call: call(request), operation: Operation::AddForwards(vec![spec]), timeout }
    };
    let listening = |actions: &[Action]| {
        let mut listens = actions.iter().filter_map(|action| match action {
            Action::Listen(listen) => Some((listen.forward, listen.epoch)),
            _ => None,
        });
        listens.next().unwrap()
    };
    let (web, epoch) = listening(&model.step(add(1, "web", "8080", false), now, 0.5));
    model.step(Event::ListenerBound { forward: web, epoch, port: Some(8080), notices: Vec::new() }, now, 0.5);
    model.step(Event::Saved { revision: 9 }, now, 0.5);
    model.step(add(3, "later", "*:8080", true), now, 0.5);
    model.step(Event::Saved { revision: 9 }, now, 0.5);
    let start = Operation::StartForwards(vec!["later".parse().unwrap()]);
    let asked = Event::Requested { call: call(5), operation: start, timeout };
    let (later, epoch) = listening(&model.step(asked, now, 0.5));

    let reason = Reason::new(Stage::Bind, Code::AddressInUse, "port 8080 is already used by another rule");
    let actions = model.step(Event::ListenerRefused { forward: later, epoch, reason }, now, 0.5);

    let refusals = actions.iter().filter_map(|action| match action {
        Action::Reply { result: Err(fault), .. } => Some(fault.message.as_str()),
        _ => None,
    });
    assert_eq!(refusals.collect::<Vec<_>>(), ["*:8080 is already used by the forward `web`"]);
}
