use alknet_proto::explain::{Hop, KeyHolder, OfferedKey, Setting, Source, Verdict};

use super::super::tests::plain;
use super::*;
use crate::json::Explained;

const HOME: Option<&str> = Some("/home/me");

fn line(line: u32) -> Source {
    Source::File { path: "/home/me/.ssh/config".to_owned(), line }
}

fn setting(keyword: &str, values: &[&str], source: Source, verdict: Verdict) -> Setting {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Setting { keyword: keyword.to_owned(), values, source, verdict }
}

fn hop(name: &str, source: Source) -> Hop {
    let host = format!("{name}.example.org");
    Hop { name: name.to_owned(), user: "me".to_owned(), host, port: 22, command: None, source }
}

fn key(holder: KeyHolder, remark: Option<&str>) -> OfferedKey {
    OfferedKey {
        holder,
        algorithm: Some("ssh-ed25519".to_owned()),
        fingerprint: Some("SHA256:abc".to_owned()),
        comment: Some("me@home".to_owned()),
        remark: remark.map(str::to_owned),
    }
}

fn ignored(why: &str) -> Verdict {
    Verdict::Ignored { why: why.to_owned() }
}

/// Something of everything.
fn whole() -> Explanation {
    let refused = Verdict::Refused { why: "no socket is taken over from another program".to_owned() };
    let global = Source::File { path: "/etc/ssh/ssh_config".to_owned(), line: 50 };
    Explanation {
        destination: "prod".parse().unwrap(),
        settings: vec![
            setting("HostName", &["prod.example.org"], line(2), Verdict::Honoured),
            setting("Port", &["22"], Source::Default, Verdict::Honoured),
            setting("User", &["me"], Source::Destination, Verdict::Honoured),
            setting("ServerAliveInterval", &["15"], Source::Config, Verdict::Honoured),
            setting("UserKnownHostsFile", &["/home/me/.ssh/a", "/home/me/.ssh/b"], line(7), Verdict::Honoured),
            setting(
                "IdentityAgent",
                &["/run/agent"],
                Source::Environment("SSH_AUTH_SOCK".to_owned()),
                Verdict::Honoured,
            ),
            setting("ForwardX11", &["yes"], line(3), ignored("X11 is never forwarded")),
            setting("SendEnv", &["LANG", "LC_*"], global, ignored("a forward has no environment")),
            setting("Tunnel", &["no"], Source::Default, ignored("no network device is made")),
            setting("VisualHostKey", &["no"], Source::Default, ignored("nobody looks")),
            setting("ProxyUseFdpass", &["yes"], line(4), refused),
        ],
        hops: vec![
            Hop { command: Some("nc gate 22".to_owned()), ..hop("gate", line(5)) },
            Hop { host: "fd00::1".to_owned(), ..hop("prod", line(2)) },
        ],
        keys: vec![
            key(KeyHolder::Agent("/run/agent".to_owned()), None),
            key(KeyHolder::File("/home/me/.ssh/id_rsa".to_owned()), Some("it has a passphrase: ssh-add it")),
        ],
        files: vec!["/home/me/.ssh/config".to_owned()],
        notices: vec!["/home/me/.ssh/config:9: nothing is compressed".to_owned()],
    }
}

#[test]
fn a_destination_is_explained_in_groups_with_files_and_lines() {
    let shown = explanation(&whole(), HOME);

    let expected = "\
me@[fd00::1]:22 (prod)

hops (in the order in which they are connected to)
  1  me@gate.example.org:22  ~/.ssh/config:5
    through the command: nc gate 22
  2  me@[fd00::1]:22         ~/.ssh/config:2

keys (in the order in which they would be offered)
  agent          ssh-ed25519  SHA256:abc  me@home
  ~/.ssh/id_rsa  ssh-ed25519  SHA256:abc  me@home  not offered: it has a passphrase: ssh-add it

refused (no session while this stands there)
  ProxyUseFdpass  refused  ~/.ssh/config:4  yes
    no socket is taken over from another program

honoured
  HostName             honoured  ~/.ssh/config:2          prod.example.org
  User                 honoured  destination              me
  ServerAliveInterval  honoured  configuration of alknet  15
  UserKnownHostsFile   honoured  ~/.ssh/config:7          ~/.ssh/a ~/.ssh/b
  IdentityAgent        honoured  $SSH_AUTH_SOCK           /run/agent

ignored (does nothing here, and that does no harm)
  ForwardX11  ignored  ~/.ssh/config:3         yes
    X11 is never forwarded
  SendEnv     ignored  /etc/ssh/ssh_config:50  LANG LC_*
    a forward has no environment

defaults (honoured; nobody says otherwise)
  Port  honoured  default  22

ignored defaults (these do nothing here, and nobody said them)
  Tunnel no, VisualHostKey no

notes
  /home/me/.ssh/config:9: nothing is compressed
";
    assert_eq!(plain(&shown), expected);
}

#[test]
fn a_direct_connection_says_so_and_leaves_out_what_there_is_nothing_of() {
    let bare = Explanation {
        settings: Vec::new(),
        hops: vec![hop("prod", Source::Destination)],
        keys: Vec::new(),
        notices: Vec::new(),
        ..whole()
    };

    let expected = "\
me@prod.example.org:22 (prod)

hops (in the order in which they are connected to)
  none: the connection is direct

keys (in the order in which they would be offered)
  none: ssh-add a key, or name one with IdentityFile
";
    assert_eq!(plain(&explanation(&bare, HOME)), expected);
}

#[test]
fn a_list_of_algorithms_is_shown_to_its_end_and_cannot_paint_the_terminal() {
    let long = format!("{}\u{1b}[2J,last", "curve25519-sha256,".repeat(60));
    let settings = vec![setting("KexAlgorithms", &[&long], line(2), Verdict::Honoured)];

    let shown = plain(&explanation(&Explanation { settings, ..whole() }, None));

    assert!(shown.contains(" [2J,last\n"), "{shown}");
}

#[test]
fn differences_show_both_values_and_where_ours_stands() {
    let difference = Difference {
        keyword: "Port".to_owned(),
        ours: vec!["2222".to_owned()],
        source: Some(line(4)),
        ssh: vec!["22".to_owned()],
    };
    let own = Difference { keyword: "Ciphers".to_owned(), source: Some(Source::Default), ..difference.clone() };
    let unknown = Difference { keyword: "ipqos".to_owned(), ours: Vec::new(), source: None, ..difference.clone() };
    let compared = Comparison { n_same: 40, differences: vec![difference, unknown], own_defaults: vec![own] };

    let expected = "
2 differences to ssh -G, 40 values are the same
  Port
    alknet  2222 (~/.ssh/config:4)
    ssh     22
  ipqos
    alknet  -
    ssh     22
  alknet has defaults of its own where nobody says anything (--json has them):
  Ciphers
";
    assert_eq!(plain(&comparison(&compared, HOME)), expected);
}

#[test]
fn no_difference_is_said_in_these_words() {
    let same = Comparison { n_same: 63, ..Comparison::default() };

    assert_eq!(plain(&comparison(&same, HOME)), "\nno difference to ssh -G: 63 values are the same\n");
}

#[test]
fn the_json_is_flat_and_names_file_and_line() {
    let explanation = whole();
    let shown = serde_json::to_value(Explained::new(&explanation, None)).unwrap();

    let first = r#"{"keyword":"HostName","values":["prod.example.org"],"source":"file","file":"/home/me/.ssh/config","line":2,"variable":null,"verdict":"honoured","why":null}"#;
    assert_eq!(shown["settings"][0], serde_json::from_str::<serde_json::Value>(first).unwrap());
    assert_eq!(shown["settings"][10]["verdict"], "refused");
    assert_eq!(shown["settings"][5]["variable"], "SSH_AUTH_SOCK");
    assert_eq!(shown["hops"][0]["command"], "nc gate 22");
    assert_eq!(shown["keys"][1]["path"], "/home/me/.ssh/id_rsa");
    assert!(shown.get("compared").is_none());
    let compared = serde_json::to_value(Explained::new(&explanation, Some(&Comparison::default()))).unwrap();
    assert_eq!(compared["compared"]["differences"], serde_json::json!([]));
}
