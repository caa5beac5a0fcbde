//! The command line as people and scripts use it: selectors, aliases, exit codes, what goes where.

use alknet_tests::{Peer, World};
use serde_json::Value;

use crate::real_world;

/// A world whose rules are stopped: what is tested is how they are picked.
fn world_of_stopped_rules() -> World {
    let world = World::with_daemon();
    for (name, port, tag, destination) in
        [("db-main", 1, "db", "one.invalid"), ("db-copy", 2, "db", "two.invalid"), ("web", 3, "site", "one.invalid")]
    {
        let spec = format!("0:localhost:{port}");
        world.ctl(["add-forward", "--stopped", "-L", &spec, "--name", name, "--tag", tag, destination]).ok();
    }
    world
}

fn names(world: &World, selectors: &[&str]) -> Vec<String> {
    let listed = world.ctl(["list-forwards", "--json"].iter().chain(selectors)).ok().json();
    listed.as_array().unwrap().iter().map(|forward| forward["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_kind_of_selector_picks_what_it_says() {
    let world = world_of_stopped_rules();
    let id = world.forward("web")["id"].as_str().unwrap().to_owned();

    for (selectors, expected) in [
        (vec![], vec!["db-main", "db-copy", "web"]),
        (vec!["--all"], vec!["db-main", "db-copy", "web"]),
        (vec!["web"], vec!["web"]),
        (vec![id.as_str()], vec!["web"]),
        (vec![&id[..4]], vec!["web"]),
        (vec!["db-*"], vec!["db-main", "db-copy"]),
        (vec!["d?-copy"], vec!["db-copy"]),
        (vec!["@db"], vec!["db-main", "db-copy"]),
        (vec!["--host", "one.invalid"], vec!["db-main", "web"]),
        (vec!["web", "@db"], vec!["db-main", "db-copy", "web"]),
    ] {
        let mut found = names(&world, &selectors);
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{selectors:?}");
    }
}

#[test]
fn a_selector_that_matches_nothing_is_exit_4() {
    let world = world_of_stopped_rules();

    for verb in ["list-forwards", "remove-forward", "start", "stop", "restart", "show"] {
        let refused = world.ctl([verb, "--json", "nothing"]).exits(4);
        assert_eq!(refused.error_code(), "not_found", "{verb}");
    }
    for selector in ["x*", "@nothing", "ffffffff"] {
        world.ctl(["remove-forward", selector]).exits(4);
    }
    assert_eq!(world.forwards().len(), 3, "one that matches nothing does nothing");
    world.ctl(["remove-forward", "web", "nothing"]).exits(4);
    assert_eq!(world.forwards().len(), 3, "nor do those beside it");
}

#[test]
fn an_ambiguous_prefix_is_exit_2() {
    let world = World::with_daemon();
    let mut add = vec!["add-forward", "--stopped", "nowhere.invalid"];
    let specs: Vec<String> = (1..=17).map(|port| format!("0:localhost:{port}")).collect();
    for spec in &specs {
        add.extend(["-L", spec]);
    }
    world.ctl(add).ok();
    let mut first: Vec<char> =
        world.forwards().iter().map(|f| f["id"].as_str().unwrap().chars().next().unwrap()).collect();
    first.sort_unstable();
    // Seventeen ids begin with one of sixteen digits.
    let twice = first.windows(2).find(|pair| pair[0] == pair[1]).unwrap()[0].to_string();

    let refused = world.ctl(["remove-forward", "--json", &twice]).exits(2);

    assert_eq!(refused.error_code(), "ambiguous");
    assert_eq!(world.forwards().len(), 17);
}

#[test]
fn the_short_names_do_the_same() {
    let world = World::with_daemon();
    world.ctl(["add", "--stopped", "--name", "web", "-L", "0:localhost:80", "nowhere.invalid"]).ok();
    assert_eq!(world.ctl(["ls", "--json"]).ok().json()[0]["name"], "web");
    world.ctl(["rm", "web"]).ok();
    assert_eq!(world.ctl(["ls", "--json"]).ok().stdout.trim(), "[]");
}

#[test]
fn without_a_daemon_everything_is_exit_3_and_says_how_to_start_one() {
    let world = World::new();

    for arguments in
        [&["ping"][..], &["list-forwards"], &["add-forward", "-L", "0:a:1", "prod"], &["watch"], &["status"]]
    {
        let refused = world.ctl(arguments).exits(3);
        assert!(refused.stderr.starts_with("error: "), "{refused:#?}");
        assert!(refused.stderr.contains("\n\nhint: ") && refused.stderr.contains("alknetd"), "{refused:#?}");
        assert_eq!(refused.stdout, "", "stdout is for data");
    }
    assert_eq!(world.ctl(["ping", "--json"]).exits(3).error_code(), "no_daemon");
}

#[test]
fn impossible_specs_never_leave_the_program() {
    let world = World::new();

    for arguments in [
        &["-L", "99999:localhost:80", "prod"][..],
        &["-L", "8080:localhost:0", "prod"],
        &["-L", "8080", "prod"],
        &["-L", "8080:localhost", "prod"],
        &["-D", "8080:localhost:80", "prod"],
        &["-L", "[::1:8080:localhost:80", "prod"],
        &["-L", "0:localhost:80", "-o"],
        &["-L", "0:localhost:80", "pr od"],
        &["-L", "0:localhost:80"],
        &["prod"],
        &["-L", "0:localhost:80", "prod", "--name", "a b"],
        &["-L", "0:localhost:80", "prod", "--tag", "-x"],
        &["-L", "0:localhost:80", "prod", "--on-suspend", "dance"],
        &["-L", "0:localhost:80", "-L", "0:localhost:81", "prod", "--name", "one-name"],
    ] {
        let refused = world.ctl(["add-forward"].iter().chain(arguments)).exits(2);
        assert!(refused.stderr.contains("error"), "{refused:#?}");
        assert_eq!(refused.stdout, "", "{arguments:?}");
    }
    world.ctl(["no-such-verb"]).exits(2);
}

#[test]
fn status_check_is_0_only_when_all_is_active() {
    let (world, mut sshd) = real_world();
    world.ctl(["status", "--check"]).ok();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    world.add("off", &["-L", "0:localhost:81", "prod", "--stopped"]);
    world.ctl(["status", "--check"]).ok();

    sshd.kill_all();
    world.wait_status("web", "suspended");

    world.ctl(["status", "--check"]).exits(3);
}

#[test]
fn wait_that_runs_out_is_124_and_leaves_the_rule() {
    let world = World::new();
    let peer = Peer::start(&world, "prod");
    peer.set(|faults| faults.greeting = alknet_tests::peer::Greeting::Silent);
    world.start();

    let late =
        world.ctl(["add-forward", "--json", "--name", "web", "-L", "0:localhost:80", "prod", "--wait=1"]).exits(124);

    assert_eq!(late.error_code(), "timed_out");
    assert!(late.took.as_secs() < 5, "took {:?}", late.took);
    assert_eq!(world.forwards().len(), 1);
    world.ctl(["wait", "web", "--timeout", "1"]).exits(124);
    peer.set(|faults| faults.greeting = alknet_tests::peer::Greeting::Ssh);
    peer.cut();
    world.ctl(["retry", "prod"]).ok();
    world.ctl(["wait", "web", "--for", "active", "--timeout", "20"]).ok();
}

#[test]
fn wait_knows_every_state() {
    let (world, mut sshd) = real_world();
    world.ctl(["add-forward", "--name", "web", "-L", "0:localhost:80", "prod", "--wait"]).ok();
    assert_eq!(world.forward("web")["status"], "active", "add-forward --wait answers when it is active");

    sshd.kill_all();
    world.ctl(["wait", "web", "--for", "suspended", "--timeout", "20"]).ok();
    world.ctl(["stop", "web"]).ok();
    world.ctl(["wait", "web", "--for", "stopped", "--timeout", "20"]).ok();
    world.ctl(["remove-forward", "web"]).ok();
    world.ctl(["wait", "web", "--for", "gone", "--timeout", "20"]).ok();
}

#[test]
fn a_rule_without_a_name_gets_a_readable_unique_one() {
    let world = World::with_daemon();
    let port = alknet_tests::ports::free_port();
    for spec in [format!("{port}:localhost:80"), format!("127.0.0.2:{port}:localhost:80")] {
        world.ctl(["add-forward", "--stopped", "-L", &spec, "prod"]).ok();
    }

    let listed = world.forwards();

    let (first, second) = (listed[0]["name"].as_str().unwrap(), listed[1]["name"].as_str().unwrap());
    assert_eq!(first, format!("prod-{port}"));
    assert_ne!(first, second);
    assert!(second.starts_with("prod-"), "{second}");
}

#[test]
fn tables_are_for_people_and_have_no_colour_in_a_pipe() {
    let (world, _sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    world.add("off", &["-D", "0", "prod", "--stopped"]);

    for verb in [&["list-forwards"][..], &["show", "web"], &["status"], &["list-sessions"]] {
        let shown = world.ctl(verb).ok();
        assert!(!shown.stdout.contains('\u{1b}'), "{shown:#?}");
        assert!(shown.stdout.contains("prod") && shown.stdout.contains("active"), "{shown:#?}");
    }
    let coloured = world.ctl(["list-forwards", "--color", "always"]).ok();
    assert!(coloured.stdout.contains('\u{1b}'), "{coloured:#?}");
    let mut plain = world.ctl_command();
    plain.arg("list-forwards").env("LANG", "C").env("LC_ALL", "C");
    let plain = alknet_tests::CtlOutput::of(plain).ok();
    assert!(plain.stdout.is_ascii(), "{plain:#?}");
}

#[test]
fn a_rule_that_is_not_active_says_why_in_one_line() {
    let (world, mut sshd) = real_world();
    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    sshd.kill_all();
    let forward = world.wait_forward("web", "a try was refused", |f| f["reason"]["code"] == "connection_refused");

    let shown = world.ctl(["list-forwards"]).ok();

    let message = forward["reason"]["message"].as_str().unwrap();
    assert!(shown.stdout.contains(message), "{message:?} is in\n{}", shown.stdout);
    assert!(shown.stdout.contains("suspended"), "{}", shown.stdout);
}

#[test]
fn watch_ends_when_the_state_is_reached() {
    let (world, _sshd) = real_world();
    world.add("web", &["-L", "0:localhost:80", "prod"]);

    let watched = world.ctl(["watch", "web", "--until", "active", "--json"]).ok();

    let first: Value = serde_json::from_str(watched.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["event"], "snapshot");
}
