//! Files and arguments that cannot be used: one clear line, the right exit code, nothing lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use alknet_tests::{CtlOutput, Sshd, World};
use serde_json::{Value, json};

/// The first line names the problem; nothing looks like a debug print.
#[track_caller]
fn is_for_people(stderr: &str) {
    assert!(!stderr.trim().is_empty(), "it says why");
    for debug in ["Os {", "Err(", "Error(", "panicked", "RUST_BACKTRACE", "kind:", "os error", "struct "] {
        assert!(!stderr.contains(debug), "`{debug}` is not for people:\n{stderr}");
    }
}

#[test]
fn malformed_rules_are_named_and_never_overwritten() {
    let world = World::with_daemon();
    world.ctl(["add-forward", "--stopped", "-L", "0:localhost:80", "nowhere.invalid"]).ok();
    world.stop();
    let mut rules = fs::read_to_string(world.rules_path()).unwrap();
    let cut = rules.len() / 2;
    rules.truncate(cut);
    fs::write(world.rules_path(), &rules).unwrap();

    let (code, stderr) = world.daemon_fails(&[]);

    assert!([1, 2].contains(&code), "exit {code}\n{stderr}");
    is_for_people(&stderr);
    assert!(stderr.contains(&world.rules_path().display().to_string()), "it names the file:\n{stderr}");
    let line = rules.lines().count();
    let names_a_line = (1..=line)
        .any(|line| stderr.contains(&format!("rules.json:{line}")) || stderr.contains(&format!("line {line}")));
    assert!(names_a_line, "it names the line:\n{stderr}");
    assert_eq!(fs::read_to_string(world.rules_path()).unwrap(), rules);
    assert!(!world.socket().exists(), "it does not listen without its rules");
}

#[test]
fn rules_of_a_newer_version_are_left_alone() {
    let world = World::with_daemon();
    world.ctl(["add-forward", "--stopped", "-L", "0:localhost:80", "nowhere.invalid"]).ok();
    world.stop();
    let mut rules: Value = serde_json::from_str(&fs::read_to_string(world.rules_path()).unwrap()).unwrap();
    assert!(rules["version"].is_u64(), "the file says its version: {rules:#}");
    rules["version"] = json!(9999);
    rules["something_new"] = json!({ "from": "the future" });
    let rules = serde_json::to_string_pretty(&rules).unwrap();
    fs::write(world.rules_path(), &rules).unwrap();

    let (code, stderr) = world.daemon_fails(&[]);

    assert!([1, 2].contains(&code), "exit {code}\n{stderr}");
    is_for_people(&stderr);
    assert!(stderr.contains("9999") && stderr.contains("rules.json"), "{stderr}");
    assert_eq!(fs::read_to_string(world.rules_path()).unwrap(), rules);
}

#[test]
fn rules_with_something_impossible_in_them_are_refused() {
    let world = World::with_daemon();
    world.ctl(["add-forward", "--stopped", "--name", "web", "-L", "0:localhost:80", "nowhere.invalid"]).ok();
    world.stop();
    let rules = fs::read_to_string(world.rules_path()).unwrap();
    let broken = rules.replacen("localhost:80", "localhost:99999", 1);
    assert_ne!(broken, rules, "the file says what is forwarded as a spec:\n{rules}");
    fs::write(world.rules_path(), &broken).unwrap();

    let (code, stderr) = world.daemon_fails(&[]);

    assert!([1, 2].contains(&code), "exit {code}\n{stderr}");
    is_for_people(&stderr);
    assert!(stderr.contains("99999"), "{stderr}");
    assert_eq!(fs::read_to_string(world.rules_path()).unwrap(), broken);
}

#[test]
fn a_malformed_configuration_is_exit_2_with_file_and_line() {
    let world = World::new();
    fs::create_dir_all(world.config_path().parent().unwrap()).unwrap();

    for bad in ["\n\nthis is no toml\n", "\n\nno_such_option = 1\n"] {
        fs::write(world.config_path(), bad).unwrap();

        let (code, stderr) = world.daemon_fails(&[]);

        assert_eq!(code, 2, "{bad:?}\n{stderr}");
        is_for_people(&stderr);
        let place = format!("{}:3", world.config_path().display());
        assert!(stderr.contains(&place), "{bad:?}: it names {place}\n{stderr}");
    }
    let (code, stderr) = world.daemon_fails(&["--config", "/nonexistent/config.toml"]);
    assert_eq!(code, 2, "a file that was asked for has to be there\n{stderr}");
    is_for_people(&stderr);
}

#[test]
fn a_configuration_that_is_a_folder_is_refused() {
    let world = World::new();
    fs::create_dir_all(world.config_path()).unwrap();

    let (code, stderr) = world.daemon_fails(&[]);

    assert_eq!(code, 2, "{stderr}");
    is_for_people(&stderr);
    assert!(stderr.contains("config.toml: it is a directory"), "{stderr}");
}

#[test]
fn rules_that_are_no_text_are_left_alone() {
    let world = World::new();
    fs::create_dir_all(world.rules_path()).unwrap();
    let (code, stderr) = world.daemon_fails(&[]);
    assert!(code == 1 && stderr.contains("rules.json: it is a directory\n\nhint: "), "{code} {stderr}");
    is_for_people(&stderr);

    fs::remove_dir(world.rules_path()).unwrap();
    fs::write(world.rules_path(), b"{\n\xff}").unwrap();
    let (code, stderr) = world.daemon_fails(&[]);
    assert!(code == 1 && stderr.contains("rules.json: line 2 is not UTF-8 text\n\nhint: "), "{code} {stderr}");
    assert_eq!(fs::read(world.rules_path()).unwrap(), b"{\n\xff}");
}

#[test]
fn a_shared_folder_is_refused_for_the_socket_and_left_as_it_is() {
    let world = World::new();
    let shared = world.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();

    for option in [["--socket", shared.join("x").to_str().unwrap()], ["--state-dir", shared.to_str().unwrap()]] {
        let (code, stderr) = world.daemon_fails(&option);

        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("can be written to by other users"), "{stderr}");
        assert!(stderr.contains("\n\nhint: ") && stderr.contains(option[0]) && !stderr.contains("chmod"), "{stderr}");
    }
}

#[test]
fn help_is_coloured_only_where_colours_are_forced() {
    let world = World::new();
    for (value, is_coloured) in [("1", true), ("0", false)] {
        let mut command = world.daemon_command();
        command.arg("--help").env("CLICOLOR_FORCE", value);

        let help = CtlOutput::of(command).ok().stdout;

        assert_eq!(help.contains('\u{1b}'), is_coloured, "CLICOLOR_FORCE={value}");
    }
}

#[test]
fn wrong_arguments_are_exit_2() {
    let world = World::new();

    for arguments in [&["--no-such-option"][..], &["--log-level", "loud"], &["--log-format", "xml"], &["extra"]] {
        let (code, stderr) = world.daemon_fails(arguments);
        assert_eq!(code, 2, "{arguments:?}\n{stderr}");
        is_for_people(&stderr);
        let lines: Vec<&str> = stderr.lines().collect();
        let [error, "", hint] = lines[..] else { panic!("{stderr}") };
        assert!(error.starts_with("error: ") && hint.starts_with("hint: "), "{stderr}");
    }
}

#[test]
fn an_over_long_socket_path_is_refused_by_both() {
    let world = World::new();
    let long = format!("/tmp/{}/alknetd.sock", "x".repeat(120));

    let (code, stderr) = world.daemon_fails(&["--socket", &long]);
    assert_eq!(code, 2, "{stderr}");
    is_for_people(&stderr);
    assert!(stderr.contains("107") || stderr.contains("103"), "it says how long a path may be:\n{stderr}");

    let refused = world.ctl(["--socket", &long, "ping"]).exits(2);
    is_for_people(&refused.stderr);
}

#[test]
fn a_malformed_ssh_configuration_is_named_with_file_and_line() {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    world.start();
    world.append_ssh_config("Host broken\n  HostName 127.0.0.1\n  Port many\n");
    let line = fs::read_to_string(world.ssh_file("config")).unwrap().lines().count();
    let place = format!("{}:{line}", world.ssh_file("config").display());

    let told = match world.ctl(["add-forward", "--json", "--name", "web", "-L", "0:localhost:80", "broken"]) {
        refused if refused.code != 0 => refused.stdout,
        _ => {
            let forward = world.wait_status("web", "error");
            assert_eq!(forward["reason"]["stage"], "config");
            forward["reason"].to_string()
        }
    };

    assert!(told.contains(&place), "{told} names {place}");
    drop(sshd);
}

#[test]
fn a_malformed_line_of_known_hosts_hides_no_good_one() {
    let world = World::new();
    fs::write(world.ssh_file("known_hosts"), "this is nothing\n|1|broken hash\nhost ssh-ed25519 AAAA!!!\n\n# note\n")
        .unwrap();
    let sshd = Sshd::start(&world, "prod");
    world.start();

    world.add_active("web", &["-L", "0:localhost:80", "prod"]);

    assert_eq!(sshd.logins(), 1);
}

#[test]
fn a_malformed_key_of_this_very_host_is_named_with_file_and_line() {
    let world = World::new();
    let sshd = Sshd::start_unknown(&world, "");
    world.add_host("prod", sshd.port(), None);
    let name = format!("[127.0.0.1]:{}", sshd.port());
    fs::write(world.ssh_file("known_hosts"), format!("# note\n{name} ssh-ed25519 AAAA!!!\n")).unwrap();
    world.start();

    world.add("web", &["-L", "0:localhost:80", "prod"]);

    let forward = world.wait_status("web", "error");
    assert_eq!(forward["reason"]["stage"], "host_key", "{forward:#}");
    let place = format!("{}:2", world.ssh_file("known_hosts").display());
    assert!(forward["reason"].to_string().contains(&place), "{forward:#} names {place}");
    assert_eq!(sshd.logins(), 0);
}

#[test]
fn a_key_that_cannot_be_read_is_named() {
    let world = World::new();
    let sshd = Sshd::start(&world, "prod");
    fs::write(world.ssh_file("id_ed25519"), "-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n").unwrap();
    world.append_ssh_config(&format!("Host *\n  IdentityFile {}\n", world.ssh_file("id_ed25519").display()));
    world.start();

    world.add("web", &["-L", "0:localhost:80", "prod"]);

    let forward = world.wait_status("web", "error");
    assert_eq!(forward["reason"]["stage"], "auth", "{forward:#}");
    assert!(forward["reason"].to_string().contains("id_ed25519"), "{forward:#}");
    drop(sshd);
}

#[test]
fn an_unknown_host_name_is_said_and_tried_again() {
    let world = World::with_daemon();

    world.add("web", &["-L", "0:localhost:80", "no-such-host.invalid"]);

    let forward = world.wait_status("web", "suspended");
    assert_eq!(forward["reason"]["stage"], "resolve", "{forward:#}");
    assert!(forward["reason"]["message"].as_str().unwrap().contains("no-such-host.invalid"), "{forward:#}");
    assert!(forward["retry_at"].is_string());
}
