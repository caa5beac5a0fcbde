//! Forwards of the ssh configuration, of commands and of units become rules that carry bytes.

use std::fs;

use alknet_tests::load::assert_echo;
use alknet_tests::ports::free_port;
use alknet_tests::{World, targets};
use serde_json::json;

use crate::real_world;

#[test]
fn a_unit_and_the_ssh_configuration_become_rules_that_carry_bytes() {
    let (world, _sshd) = real_world();
    let echo = targets::echo();
    let (of_unit, of_config, of_command) = (free_port(), free_port(), free_port());
    let target = format!("127.0.0.1:{}", echo.port());
    let unit = world.path("tunnel@prod.service");
    fs::write(
        &unit,
        format!(
            "[Service]\nEnvironment=AUTOSSH_GATETIME=0 TO={target}\nExecStart=/usr/bin/autossh -M 0 -N \\\n  \
             -o \"ServerAliveInterval 30\" \\\n  -L {of_unit}:${{TO}} %i\n"
        ),
    )
    .unwrap();
    world.append_ssh_config(&format!("  LocalForward {of_config} {target}\n"));
    let unit = unit.to_str().unwrap();

    let shown = world.ctl(["import", "--unit", unit]).ok().stdout;
    assert!(shown.contains(&format!("\nalknetctl add-forward prod -L {of_unit}:{target}\n")), "{shown}");
    assert!(world.forwards().is_empty(), "a dry run adds nothing");
    world.ctl(["import", "--unit", unit, "--apply"]).ok();
    world.ctl(["import", "--apply"]).ok();
    world.ctl(["import", "--apply", "--", "ssh", "-fNL", &format!("{of_command}:{target}"), "prod"]).ok();
    world.ctl(["wait", "--all"]).ok();

    for port in [of_unit, of_config, of_command] {
        assert_echo(port);
    }
    let again = world.ctl(["import", "--unit", unit, "--apply"]).ok().stdout;
    assert!(again.contains(&format!("exists already: -L {of_unit}:{target}")), "{again}");
    assert_eq!(world.forwards().len(), 3);
}

#[test]
fn the_forwards_of_one_command_are_added_all_or_none() {
    let world = World::with_daemon();
    let taken = targets::echo();
    let (free, other) = (free_port(), free_port());
    let unit = world.path("two.service");
    fs::write(
        &unit,
        format!(
            "[Service]\nExecStart=ssh -N -L {free}:a:1 -L {}:a:1 nowhere.invalid\nExecStart=ssh -N -D {other} \
             nowhere.invalid\n",
            taken.port()
        ),
    )
    .unwrap();

    let ended = world.ctl(["import", "--unit", unit.to_str().unwrap(), "--apply", "--json"]).exits(5);

    let sources = &ended.json()["sources"];
    assert_eq!(sources[0]["error"]["code"], "address_in_use");
    assert_eq!(sources[0]["added"], json!([]));
    assert_eq!(sources[1]["added"][0]["bind_port"], other);
    assert_eq!(world.forwards().len(), 1);
}

#[test]
fn a_command_is_looked_at_without_a_daemon() {
    let world = World::new();

    let shown = world.ctl(["import", "--", "autossh", "-M0", "-fNL", "8080:db:5432", "me@prod", "-p", "2222"]).ok();
    assert!(shown.stdout.contains("\nalknetctl add-forward me@prod:2222 -L 8080:db:5432\n"), "{}", shown.stdout);

    let same = world.ctl(["import", "autossh", "-M0", "-fNL", "8080:db:5432", "me@prod", "-p", "2222"]).ok();
    assert_eq!(same.stdout, shown.stdout);

    let refused = world.ctl(["import", "--", "ssh", "-N", "-J", "gate", "-L", "1:a:1", "prod"]).exits(2);
    assert!(refused.stderr.contains("put `ProxyJump gate` under `Host prod`"), "{}", refused.stderr);
    world.ctl(["import", "--apply", "--", "ssh", "-N", "-D", "0", "prod"]).exits(3);
    world.ctl(["import"]).exits(3);
}
