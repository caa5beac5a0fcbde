//! What the ssh configuration makes of a destination, and whether ssh makes the same of it.

use std::process::Command;

use alknet_tests::World;
use serde_json::{Value, json};

use crate::real_world;

fn setting<'a>(explained: &'a Value, keyword: &str) -> &'a Value {
    let settings = explained["settings"].as_array().unwrap();
    settings.iter().find(|setting| setting["keyword"] == keyword).unwrap_or_else(|| panic!("no {keyword}: {explained}"))
}

#[test]
fn every_value_has_its_file_and_line_without_a_rule_and_without_a_session() {
    let world = World::with_daemon();
    world.append_ssh_config("Host web\n  HostName web.example.org\n  ForwardX11 yes\n  ProxyUseFdpass yes\n");

    let shown = world.ctl(["explain", "me@web"]).ok().stdout;

    for line in ["me@web.example.org:22 (me@web)", "~/.ssh/config:2", "~/.ssh/config:3", "~/.ssh/config:4"] {
        assert!(shown.contains(line), "no {line} in:\n{shown}");
    }
    let explained = world.ctl(["explain", "me@web", "--json"]).ok().json();
    let file = json!(world.ssh_file("config").to_str());
    let said = |keyword: &str| {
        let setting = setting(&explained, keyword);
        (setting["source"].clone(), setting["file"].clone(), setting["line"].clone(), setting["verdict"].clone())
    };
    assert_eq!(said("HostName"), (json!("file"), file.clone(), json!(2), json!("honoured")));
    assert_eq!(said("ForwardX11"), (json!("file"), file.clone(), json!(3), json!("ignored")));
    assert_eq!(said("ProxyUseFdpass"), (json!("file"), file, json!(4), json!("refused")));
    assert_eq!(said("User"), (json!("destination"), Value::Null, Value::Null, json!("honoured")));
    assert!(world.forwards().is_empty());
}

#[test]
fn ssh_makes_the_same_of_the_configuration() {
    let (world, sshd) = real_world();
    world.append_ssh_config(
        "  IdentityFile ~/.ssh/id_ed25519\n  ServerAliveInterval 1m\n  LocalForward 8080 db:80\n\
         Host *\n  UserKnownHostsFile ~/.ssh/known_hosts ~/.ssh/more\n  Compression yes\n",
    );

    let explained = world.ctl(["explain", "prod", "--compare", "--json"]).ok().json();

    assert_eq!(explained["compared"]["differences"], json!([]), "{explained}");
    assert!(20 < explained["compared"]["same"].as_u64().unwrap());
    assert_eq!(explained["hops"][0]["port"], sshd.port());
    let key = &explained["keys"][0];
    let printed = Command::new("ssh-keygen").arg("-lf").arg(world.ssh_file("id_ed25519")).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains(key["fingerprint"].as_str().unwrap()), "{printed} {key}");
    assert!(world.ctl(["explain", "prod", "--compare"]).ok().stdout.contains("no difference to ssh -G"));
}

#[test]
fn without_ssh_there_is_the_explanation_and_nothing_to_compare_with() {
    let world = World::with_daemon();
    let mut command = world.ctl_command();
    command.args(["explain", "prod", "--compare"]).env("PATH", world.path("nowhere"));

    let ended = alknet_tests::CtlOutput::of(command).exits(1);

    assert!(ended.stdout.contains("@prod:22 (prod)"), "{}", ended.stdout);
    assert!(ended.stderr.contains("error: ssh is not installed"), "{}", ended.stderr);
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_its_line() {
    let world = World::with_daemon();
    world.append_ssh_config("Host web\n  Port zero\n");

    let ended = world.ctl(["explain", "web", "--json"]).exits(1);

    assert_eq!(ended.error_code(), "invalid_config");
    assert!(ended.stderr.contains("config:2: "), "{}", ended.stderr);
}
