//! Which blocks and which files apply.

use super::{World, text};

/// `text` with every HOME replaced by the home of the world.
fn ports(world: &World, config: &str, hosts: &[&str]) -> Vec<u16> {
    let config = config.replace("HOME", text(world.folder.path()));
    hosts.iter().map(|host| world.server(&config, host).port).collect()
}

#[test]
fn the_first_value_of_the_blocks_that_match_wins() {
    let world = World::new();
    let config = "Port 1\nHost web\nPort 2\nUser root\nHost *\nUser nobody\n";

    assert_eq!(ports(&world, config, &["web", "db"]), [1, 1]);
    assert_eq!(world.server(config, "web").user, "root");
    assert_eq!(world.server(config, "db").user, "nobody");
}

#[test]
fn hosts_match_by_pattern_and_not_where_one_is_negated() {
    let world = World::new();
    let config = "Host web? !web9 10.*\nPort 1\nHost !db *\nPort 2\nHost !db\nPort 3\nHost db\nPort 4\n";

    assert_eq!(ports(&world, config, &["web1", "web9", "10.1.2.3", "web", "db"]), [1, 2, 1, 2, 4]);
}

#[test]
fn blocks_of_match_do_not_leak() {
    let world = World::new();
    let config = "Host web\nUser a\nMatch host other exec \"true\"\nPort 1\nUser b\nMatch all\nPort 2\n\
        Match user root\nPort 3\nHost *\nPort 4\n";

    assert_eq!(ports(&world, config, &["web", "db"]), [2, 2]);
    assert_eq!(world.server(config, "web").user, "a");
    assert_eq!(ports(&world, "Match final\nPort 1\nHost db\nPort 2\n", &["web"]), [1]);
}

#[test]
fn included_files_count_where_they_are_included() {
    let world = World::new();
    world.write(".ssh/one", "Port 1\n");
    world.write("two", "Port 2\n");
    world.write(".ssh/conf.d/b.conf", "Port 4\n");
    world.write(".ssh/conf.d/a.conf", "Port 3\n");
    world.write(".ssh/conf.d/.hidden.conf", "Port 5\n");
    world.write(".ssh/conf.d/c.other", "Port 6\n");

    assert_eq!(ports(&world, "Include one\nPort 9\n", &["web"]), [1]);
    assert_eq!(ports(&world, "Include ~/two one\n", &["web"]), [2]);
    assert_eq!(ports(&world, "Include \"HOME/two\"\n", &["web"]), [2]);
    assert_eq!(ports(&world, "Include conf.d/*.conf\n", &["web"]), [3]);
    assert_eq!(ports(&world, "Include conf.?/[b]*.conf conf.?/b.*\n", &["web"]), [4]);
    assert_eq!(ports(&world, "Include missing no*thing\nPort 9\n", &["web"]), [9]);
    assert_eq!(ports(&world, "Port 9\nInclude one\n", &["web"]), [9]);
}

#[test]
fn a_block_of_an_included_file_ends_with_it_and_one_around_it_holds() {
    let world = World::new();
    world.write(".ssh/blocks", "Host db\nPort 1\nHost *\nUser included\n");

    let config = "Host web\nInclude blocks\nPort 2\nHost db\nPort 3\n";

    assert_eq!(ports(&world, config, &["web", "db"]), [2, 3]);
    assert_eq!(world.server(config, "web").user, "included");
    assert_eq!(world.server(config, "db").user, "me");
}

#[test]
fn names_of_files_differ_by_case() {
    let world = World::new();
    world.write(".ssh/conf.d/a.CONF", "Port 1\n");
    world.write(".ssh/conf.d/b.conf", "Port 2\n");

    assert_eq!(ports(&world, "Include conf.d/*.conf\n", &["web"]), [2]);
}

#[test]
fn files_that_include_each_other_are_a_mistake() {
    let world = World::new();
    world.write(".ssh/loop", "\nInclude loop\n");

    let message = world.mistake("Include loop\n");

    assert_eq!(message, format!("{}:2: files include each other more than 16 deep", text(&world.at(".ssh/loop"))));
}

#[test]
fn the_machines_file_comes_after_the_users() {
    let world = World::new();
    world.write("etc/ssh_config", "Include more\nPort 1\nUser global\n");
    world.write("etc/more", "ConnectTimeout 7\n");

    let server = world.server("Port 2\n", "web");

    assert_eq!((server.port, server.user.as_str()), (2, "global"));
    assert_eq!(server.connecting.timeout.map(|time| time.as_secs()), Some(7));
}

#[test]
fn a_configuration_that_cannot_be_read_is_not_an_empty_one() {
    let world = World::new();
    world.write(".ssh/folder/file", "");

    let folder = world.mistake("Include folder\n");
    assert_eq!(
        folder,
        format!(
            "{}:1: cannot read {}: it is a directory",
            text(&world.at(".ssh/config")),
            text(&world.at(".ssh/folder"))
        )
    );
}

#[cfg(unix)]
#[test]
fn what_other_users_may_write_is_not_believed() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world.write(".ssh/open", "Port 1\n");

    std::fs::set_permissions(world.at(".ssh/open"), std::fs::Permissions::from_mode(0o664)).unwrap();

    let message = world.mistake("Include open\n");
    assert_eq!(
        message,
        format!(
            "{}:1: cannot read {}: other users may write it",
            text(&world.at(".ssh/config")),
            text(&world.at(".ssh/open"))
        )
    );
}

#[test]
fn what_no_line_may_hold_is_named_with_its_line() {
    let world = World::new();
    let file = world.at(".ssh/config");
    let long = "x".repeat(1024 * 1024);

    let nul = world.mistake("# one\nUser a\0b\n");
    assert_eq!(nul, format!("{}:2: the line contains a NUL byte", text(&file)));
    for line in [format!("User {long}"), format!("Host {long}"), format!("# {long}"), format!("NoSuchThing {long}")] {
        let message = world.mistake(&format!("# one\n\n{line}\n"));
        assert!(message.starts_with(&format!("{}:3: the line has 1024 KiB", text(&file))), "{message}");
    }
    world.write(".ssh/config", "");
    std::fs::write(&file, b"User \xff\xfe\nPort 7\n").unwrap();
    assert_eq!(world.resolve("web").unwrap().port, 7, "another encoding is no mistake");
}

#[test]
fn a_missing_file_does_no_harm_and_is_named() {
    let world = World::new();

    let server = world.server("Port 7\nInclude missing ~/gone no*thing\n", "web");

    assert_eq!(server.port, 7);
    let place = format!("{}:2: Include names ", text(&world.at(".ssh/config")));
    let [first, second] = server.notices.as_slice() else { panic!("{:?}", server.notices) };
    assert!(first.starts_with(&place) && first.ends_with(".ssh/missing, which does not exist"), "{first}");
    assert!(second.starts_with(&place) && second.ends_with("gone, which does not exist"), "{second}");
}

#[test]
fn a_command_in_a_match_runs_only_where_it_is_allowed() {
    let world = World::new();
    let config = "Host other\nMatch host web exec \"test %h = web\"\nPort 7\nMatch exec false\nPort 8\n";

    let message = world.mistake(config);
    assert!(
        message.starts_with(&format!("{}:2: Match exec is refused: ", text(&world.at(".ssh/config")))),
        "{message}"
    );

    let mut settings = world.settings();
    settings.ssh_options.may_run_match_exec = true;
    let resolve = |host: &str| crate::ssh::config::resolve(&host.parse().unwrap(), &settings).1.unwrap().port;
    assert_eq!((resolve("web"), resolve("db")), (7, 22));
}

#[test]
fn what_alknets_own_configuration_says_comes_first() {
    let world = World::new();
    world.write(".ssh/config", "Port 1\nUser you\nServerAliveInterval 60\n");
    let mut settings = world.settings();
    settings.ssh_options.lines = vec!["Port 9".to_owned(), "ServerAliveInterval 3".to_owned()];
    let resolve = |host: &str| crate::ssh::config::resolve(&host.parse().unwrap(), &settings).1.unwrap();

    let server = resolve("web");

    assert_eq!((server.port, server.user.as_str()), (9, "you"));
    assert_eq!(server.keepalive.interval.as_secs(), 3);
    assert_eq!(resolve("web:5").port, 5, "the destination comes before all");
    settings.ssh_options.lines = vec!["Prot 9".to_owned()];
    let wrong = crate::ssh::config::resolve(&"web".parse().unwrap(), &settings).1.unwrap_err();
    assert_eq!(wrong.message, "alknet's configuration, option `Prot 9`: `prot` is no directive of ssh");
}
