//! Which lines speak about a host: compared with ssh-keygen, line by line.

use std::path::Path;

use super::keygen::{keygen, line_of, make_key, run, text};
use crate::ssh::known_hosts::{KnownHosts, Named};

/// What may stand before a key; each becomes one line of the file.
const NAMES: [&str; 34] = [
    "web",
    "WEB",
    "Web.Example.ORG",
    "web,db",
    "db,web,10.0.0.1",
    "web.example.org,web",
    "*",
    "*.example.org",
    "*.EXAMPLE.org",
    "w?b",
    "we?",
    "web?",
    "*,!web",
    "!web,*",
    "!web",
    "*.example.org,!web.example.org",
    "!*.example.org,*",
    "[web]:2222",
    "[WEB]:2222",
    "[web]:22",
    "[web]:*",
    "[*]:2222",
    "[*.example.org]:2222,web",
    "*:2222",
    "*,![web]:2222",
    "10.0.0.1",
    "10.0.0.*",
    "[10.0.0.1]:2222",
    "::1",
    "[::1]:2222",
    "fe80::*",
    "w*b",
    "web.",
    "web,",
];

const HOSTS: [(&str, u16); 12] = [
    ("web", 22),
    ("web", 2222),
    ("web", 2223),
    ("db", 22),
    ("web.example.org", 22),
    ("web.example.org", 2222),
    ("other.example.org", 22),
    ("10.0.0.1", 22),
    ("10.0.0.1", 2222),
    ("::1", 22),
    ("::1", 2222),
    ("nobody", 22),
];

/// The lines that ssh-keygen finds.
fn openssh(file: &Path, host: &str, port: u16) -> Vec<usize> {
    let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
    let found = run("ssh-keygen", &["-F", &name, "-f", text(file)]);
    let found = String::from_utf8(found.stdout).unwrap();
    found
        .lines()
        .filter_map(|line| line.strip_prefix("# Host ")?.split_once(" found: line ").map(|(_, number)| number))
        .map(|number| number.split_whitespace().next().unwrap().parse().unwrap())
        .collect()
}

/// The lines that are found here.
fn ours(file: &Path, host: &str, port: u16) -> Vec<usize> {
    let known = KnownHosts::read(&[file.to_owned()], host, port).unwrap();
    known.lines.iter().filter(|line| line.named == Named::Exactly).map(|line| line.spot.line).collect()
}

fn assert_same(file: &Path) {
    for (host, port) in HOSTS {
        let (ours, openssh) = (ours(file, host, port), openssh(file, host, port));
        assert_eq!(ours, openssh, "{host} {port} in\n{}", std::fs::read_to_string(file).unwrap());
    }
}

#[test]
fn the_same_lines_speak_about_a_host_as_for_openssh() {
    let folder = tempfile::tempdir().unwrap();
    let key = line_of(&make_key(folder.path(), "key", "ed25519"));
    let file = folder.path().join("known_hosts");
    let lines: String = NAMES.iter().map(|names| format!("{names} {key}\n")).collect();

    std::fs::write(&file, lines).unwrap();

    assert_same(&file);
}

#[test]
fn the_form_of_a_line_matters_as_little_as_for_openssh() {
    let folder = tempfile::tempdir().unwrap();
    let key = line_of(&make_key(folder.path(), "key", "ed25519"));
    let (kind, base64) = key.split_once(' ').unwrap();
    let file = folder.path().join("known_hosts");
    let lines = [
        "# web ssh-ed25519 AAAA".to_owned(),
        String::new(),
        format!("  web {key}"),
        format!("\tweb {key}"),
        format!("web\t{kind}\t{base64}"),
        format!("web  {kind}   {base64}  a comment of words"),
        format!("web {key} # no comment of its own"),
        format!("   # web {key}"),
        format!("@revoked web {key}"),
        format!("@cert-authority *.example.org {key}"),
        format!("@revoked\tweb\t{kind}\t{base64}"),
        format!("@unknown web {key}"),
        "web".to_owned(),
        format!("web {key}\r"),
        format!("web {key}"),
    ];

    std::fs::write(&file, lines.join("\n")).unwrap();

    assert_same(&file);
}

#[test]
fn hashed_names_are_found_as_openssh_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let key = line_of(&make_key(folder.path(), "key", "ed25519"));
    let file = folder.path().join("known_hosts");
    let names = ["web", "web,db", "[web]:2222", "10.0.0.1", "[10.0.0.1]:2222", "::1", "web.example.org"];
    let lines: String = names.iter().map(|names| format!("{names} {key}\n")).collect();
    std::fs::write(&file, lines).unwrap();

    keygen(&["-q", "-H", "-f", text(&file)]);

    let hashed = std::fs::read_to_string(&file).unwrap();
    assert!(hashed.lines().all(|line| line.starts_with("|1|")), "{hashed}");
    assert_same(&file);
    assert_eq!(ours(&file, "WEB", 22), ours(&file, "web", 22), "upper case is hashed in lower case");
    assert!(!ours(&file, "web", 22).is_empty());
}

#[test]
fn a_damaged_line_is_remembered_and_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let key = line_of(&make_key(folder.path(), "key", "ed25519"));
    let file = folder.path().join("known_hosts");
    let lines = [
        "web ssh-ed25519".to_owned(),
        "|1|not base64|at all ssh-ed25519 AAAA".to_owned(),
        "|2|c2FsdA==|aGFzaA== ssh-ed25519 AAAA".to_owned(),
        "db ssh-ed25519 AAAA".to_owned(),
        "web ssh-ed25519 %%%%".to_owned(),
        key.replacen("ssh-ed25519", "web ssh-rsa", 1),
        "web ssh-future AAAACnNzaC1mdXR1cmU=".to_owned(),
        "\u{fffd}\u{0} \u{1}".to_owned(),
        format!("web {key}"),
    ];

    std::fs::write(&file, lines.join("\n")).unwrap();
    let known = KnownHosts::read(&[file], "web", 22).unwrap();

    let numbers = |spots: &[crate::ssh::known_hosts::Spot]| spots.iter().map(|spot| spot.line).collect::<Vec<_>>();
    assert_eq!(known.lines.iter().map(|line| line.spot.line).collect::<Vec<_>>(), [9]);
    assert_eq!(numbers(&known.malformed), [1, 2, 3, 5, 6, 8]);
    assert_eq!(numbers(&known.unusable), [5, 6, 7]);
}
