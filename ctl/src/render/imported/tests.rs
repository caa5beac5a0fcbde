use alknet_proto::{Code, Fault};

use super::*;
use crate::import::{Source, command};
use crate::sample;

fn of(line: &str) -> Source {
    command(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

fn fresh(source: Source) -> Imported {
    Imported::new(source, &[])
}

const HOME: Option<&str> = Some("/home/me");

#[test]
fn a_dry_run_is_a_script_with_remarks() {
    let key = of("autossh -M 0 -f -N -i /home/me/.ssh/key -L 8080:db:5432 -D *:1080 me@prod -p 2222");
    let proxy = of("ssh -N -J gate -L 1:a:1 prod");
    let known = Source { name: "/home/me/tunnel.service:7".to_owned(), ..of("ssh -N -R 9000:localhost:22 prod") };
    let rule = alknet_proto::ForwardStatus {
        kind: alknet_proto::ForwardKind::Remote,
        bind_port: 9000,
        target_port: 22,
        ..sample::active("ssh")
    };
    let all = [fresh(key), fresh(proxy), Imported::new(known, &[rule])];

    let expected = "\
# autossh -M 0 -f -N -i ~/.ssh/key -L 8080:db:5432 -D *:1080 me@prod -p 2222
alknetctl add-forward me@prod:2222 -L 8080:db:5432 -D '*:1080'
#   left out: -M 0: alknetd asks the server itself whether it is there, without ports of its own
#   left out: -f: alknetd runs in the background by itself
#   left out: -i ~/.ssh/key: a rule has no place for it, the ssh configuration has
#     put `IdentityFile ~/.ssh/key` under `Host prod` in ~/.ssh/config

# ssh -N -J gate -L 1:a:1 prod
#   not imported: -J gate: without it the session could reach another server or trust more; a rule has no place for it
#     put `ProxyJump gate` under `Host prod` in ~/.ssh/config, and leave it out here

# ~/tunnel.service:7
#   exists already: -R 9000:localhost:22
";
    assert_eq!(imported(&all, false, HOME), expected);
}

#[test]
fn what_was_done_names_the_rules_and_what_failed() {
    let mut done = fresh(of("ssh -N -L 8080:localhost:80 prod"));
    done.added = vec![sample::active("prod-8080")];
    let mut refused = fresh(of("ssh -N -L 80:a:1 prod"));
    let fault = Fault::new(Code::AddressInUse, "port 80 on 127.0.0.1 is already used by another program");
    refused.fault = Some(fault.with_hint("choose another port"));

    let expected = "\
ssh -N -L 8080:localhost:80 prod
  added prod-8080: 127.0.0.1:8080 -> localhost:80 via prod (active)

ssh -N -L 80:a:1 prod
  not added: port 80 on 127.0.0.1 is already used by another program
    choose another port
";
    assert_eq!(imported(&[done, refused], true, HOME), expected);
}

#[test]
fn a_configuration_without_forwards_says_so() {
    assert_eq!(imported(&[], false, HOME), "no forwards in the ssh configuration\n");
}

#[test]
fn every_add_line_is_read_as_what_was_meant() {
    for line in [
        "ssh -N -L 8080:db:5432 prod",
        "ssh -N -L *:8080:db:5432 me@prod:22x",
        "ssh -N -L 127.0.0.1:8080:[fd00::2]:80 -p 22 me@::1",
        "ssh -N -L /tmp/127.0.0.1:/tmp/b prod",
        "ssh -N -R 1080 -oStrictHostKeyChecking=accept-new prod",
        "ssh -N -L 8080:/run/it's prod",
    ] {
        let meant = fresh(of(line)).specs();
        let Some(shown) = add_line(&meant) else { continue };

        let words = crate::import::words_of_a_shell(&shown);
        let read = match <crate::args::Cli as clap::Parser>::try_parse_from(words).unwrap().command {
            crate::args::Command::AddForward(args) => args.specs().unwrap(),
            other => panic!("{other:?}"),
        };

        assert_eq!(read, meant, "{shown}");
    }
}

#[test]
fn the_json_has_what_was_found_and_what_it_would_take() {
    let left = fresh(of("autossh -M 0 -N -L 8080:db:5432 prod"));
    let refused = fresh(of("ssh -N -J gate -L 1:a:1 prod"));

    let failure = refused.failure();
    let shown = serde_json::to_value(crate::json::Imports::new(false, &[left, refused], failure.as_ref())).unwrap();

    assert_eq!(shown["error"]["code"], "invalid_spec");
    assert_eq!(shown["applied"], false);
    let expected = serde_json::json!([
        {
            "source": "autossh -M 0 -N -L 8080:db:5432 prod",
            "destination": "prod",
            "forwards": [{ "kind": "local", "spec": "127.0.0.1:8080:db:5432", "exists": false }],
            "command": "alknetctl add-forward prod -L 8080:db:5432",
            "left_out": [{
                "what": "-M 0",
                "why": "alknetd asks the server itself whether it is there, without ports of its own",
                "hint": null,
            }],
            "not_imported": [],
            "added": [],
            "error": null,
        },
        {
            "source": "ssh -N -J gate -L 1:a:1 prod",
            "destination": "prod",
            "forwards": [{ "kind": "local", "spec": "127.0.0.1:1:a:1", "exists": false }],
            "command": null,
            "left_out": [],
            "not_imported": [{
                "what": "-J gate",
                "why": "without it the session could reach another server or trust more; a rule has no place for it",
                "hint": "put `ProxyJump gate` under `Host prod` in ~/.ssh/config, and leave it out here",
            }],
            "added": [],
            "error": null,
        },
    ]);
    assert_eq!(shown["sources"], expected);
}
