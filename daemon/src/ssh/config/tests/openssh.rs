//! What ssh makes of the same configuration: value by value, and mistake by mistake.

mod configs;
mod mistakes;
mod peer;
mod printed;

use std::path::PathBuf;

use super::{World, text};
use crate::ssh::config::reading;
use crate::ssh::settings::Settings;
use peer::Peer;

/// Where ssh and alknet differ by intent while nobody says anything.
const OTHER_DEFAULTS: &[(&str, &str)] = &[
    ("connecttimeout", "10 s: a daemon has nobody who presses Ctrl-C"),
    ("serveraliveinterval", "15 s: a daemon has to notice that a server is gone"),
    ("identityfile", "the newer kinds of keys come first, and DSA and XMSS are not read"),
    ("sessiontype", "a session carries forwards and nothing else"),
    ("updatehostkeys", "known_hosts learns the first key of a server and no other"),
    ("ciphers", "AES-GCM comes first where the processor has AES"),
    ("kexalgorithms", "what is offered is what the library has"),
    ("macs", "no SHA-1 and no UMAC"),
    ("hostkeyalgorithms", "what the library has"),
    ("hostbasedacceptedalgorithms", "it is never offered"),
    ("pubkeyacceptedalgorithms", "what the library has"),
    ("casignaturealgorithms", "what the library has"),
    ("securitykeyprovider", "keys of tokens come from an agent"),
    ("xauthlocation", "X11 is never forwarded"),
    ("pkcs11provider", "keys of tokens come from an agent"),
    ("forwardx11trusted", "X11 is never forwarded, and Debian's ssh trusts it by default"),
    ("gssapikexalgorithms", "GSSAPI is never offered"),
];

/// Directives without effect here, whose words ssh prints in a way of its own.
const PRINTED_OTHERWISE: &[&str] = &["ipqos", "escapechar", "tunneldevice", "logverbose", "syslogfacility"];

/// ssh reads the home and the user from the user database, so both have to be those.
fn settings(world: &World, user: &str) -> Settings {
    Settings {
        home: directories::BaseDirs::new().unwrap().home_dir().to_owned(),
        user: user.to_owned(),
        global_known_hosts: vec![PathBuf::from("/etc/ssh/ssh_known_hosts"), PathBuf::from("/etc/ssh/ssh_known_hosts2")],
        ..world.settings()
    }
}

#[test]
fn ssh_makes_the_same_of_every_configuration() {
    let world = World::new();
    configs::write_parts(&world);
    let peer = Peer::new();
    let settings = settings(&world, &peer.user);
    let (mut n_configs, mut n_values, mut n_unknown) = (0, 0, 0);
    let mut wrong = Vec::new();

    for (hosts, config) in configs::all() {
        let config = config.replace("FOLDER", text(&world.at("parts")));
        world.write(".ssh/config", &config);
        let mut is_known = true;
        for host in hosts {
            let destination = host.parse().unwrap();
            let ours = reading::read(&destination, None, &settings);
            let theirs = match peer.explain(&world.at(".ssh/config"), host) {
                Ok(theirs) => theirs,
                // An older ssh, which does not know a directive.
                Err(said) if said.contains("Bad configuration option") || said.contains("Unsupported Match") => {
                    is_known = false;
                    continue;
                }
                Err(said) => {
                    wrong.push(format!("{host} with\n{config}ssh refuses it: {said}"));
                    continue;
                }
            };
            let ours = match ours {
                Ok(said) => printed::printed(&said, &settings, &peer),
                Err(reason) => {
                    wrong.push(format!("{host} with\n{config}alknet refuses it: {reason}"));
                    continue;
                }
            };
            for (keyword, values) in &ours.values {
                let theirs = theirs.get(keyword).cloned().unwrap_or_default();
                let is_ours = !ours.said.contains(keyword) && OTHER_DEFAULTS.iter().any(|(name, _)| name == keyword);
                if is_ours || PRINTED_OTHERWISE.contains(&keyword.as_str()) || !peer.knows(keyword) {
                    continue;
                }
                n_values += 1;
                if *values != theirs {
                    wrong.push(format!("{host} with\n{config}{keyword}\nhere: {values:?}\nssh:  {theirs:?}"));
                }
            }
        }
        if is_known {
            n_configs += 1;
        } else {
            n_unknown += 1;
        }
    }

    let message = format!(
        "compared with {}: {n_configs} configurations, {n_values} values, {} differences; {n_unknown} it does not know",
        peer.version,
        wrong.len()
    );
    say(&message);
    assert!(wrong.is_empty(), "{}\n{message}", wrong.join("\n\n"));
    assert!(150 <= n_configs, "{message}");
}

#[test]
fn ssh_refuses_the_same_lines() {
    let world = World::new();
    configs::write_parts(&world);
    let peer = Peer::new();
    let settings = settings(&world, &peer.user);
    let mut wrong = Vec::new();

    for line in mistakes::MISTAKES {
        let config = format!("# first\nHost other\n\n{}\n", line.replace("FOLDER", text(&world.at("parts"))));
        world.write(".ssh/config", &config);
        let ours = reading::read(&"web".parse().unwrap(), None, &settings);
        let theirs = peer.explain(&world.at(".ssh/config"), "web");
        match (ours, theirs) {
            (Err(reason), Err(_)) => {
                // What is wrong within an included file is said of that file.
                let files = [world.at(".ssh/config"), world.at("parts/bad"), world.at("parts/loop15")];
                let names_a_line = |file: &PathBuf| {
                    let rest = reason.message.strip_prefix(&format!("{}:", text(file)));
                    rest.and_then(|rest| rest.split_once(": ")).is_some_and(|(line, _)| line == "4" || line == "1")
                };
                if !files.iter().any(names_a_line) || reason.message.contains('\n') {
                    wrong.push(format!("{line}: not one line with file and number: {reason}"));
                }
            }
            (Ok(_), Err(said)) => wrong.push(format!("{line}: ssh refuses it and alknet does not: {said}")),
            (Err(reason), Ok(_)) => wrong.push(format!("{line}: alknet refuses it and ssh does not: {reason}")),
            (Ok(_), Ok(_)) => wrong.push(format!("{line}: both take it")),
        }
    }

    say(&format!("compared with {}: {} mistakes, {} differences", peer.version, mistakes::MISTAKES.len(), wrong.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Past the capture of the test runner, so that the numbers are seen also where nothing fails.
fn say(message: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{message}");
}
