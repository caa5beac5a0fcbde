//! Single directives: which value counts, and which is a mistake.

use std::path::PathBuf;
use std::time::Duration;

use super::{World, text};
use crate::ssh::config::Way;

#[test]
fn without_a_configuration_everything_has_its_default() {
    let world = World::new();

    let server = world.resolve("web").unwrap();

    assert_eq!((server.host.as_str(), server.port, server.user.as_str()), ("web", 22, "me"));
    assert_eq!(server.keys, ["id_ed25519", "id_ecdsa", "id_rsa"].map(|name| world.at(".ssh").join(name)));
    assert_eq!(server.known.user_files, ["known_hosts", "known_hosts2"].map(|name| world.at(".ssh").join(name)));
    assert_eq!(server.known.global_files, [world.at("etc/ssh_known_hosts")]);
    assert_eq!(server.agent, Some(PathBuf::from("/agent")));
    assert!(!server.names_keys && !server.only_these_keys && !server.known.accept_new);
    assert_eq!(server.connecting.timeout, None);
}

#[test]
fn what_the_destination_says_wins_over_the_configuration() {
    let world = World::new();
    let config = "Host web\nUser root\nPort 2222\nHostName 10.0.0.1\n";

    let named = world.server(config, "alice@web:22");
    let unnamed = world.server(config, "web");

    assert_eq!((named.host.as_str(), named.port, named.user.as_str()), ("10.0.0.1", 22, "alice"));
    assert_eq!((unnamed.host.as_str(), unnamed.port, unnamed.user.as_str()), ("10.0.0.1", 2222, "root"));
}

#[test]
fn tokens_and_the_home_are_filled_in() {
    let world = World::new();
    let home = world.folder.path();
    let cases = [
        ("~/key", "key".to_owned()),
        ("%d/key", "key".to_owned()),
        ("key", "key".to_owned()),
        ("\"~/a key\"", "a key".to_owned()),
        ("~/%n-%h-%p-%r-%u", "web-web.org-2222-you-me".to_owned()),
        ("~/100%%", "100%".to_owned()),
    ];

    for (written, expected) in cases {
        let config = format!("Host web\nHostName %h.org\nPort 2222\nUser you\nIdentityFile {written}\n");
        assert_eq!(world.server(&config, "web").keys, [home.join(expected)], "{written}");
    }
    assert_eq!(world.server("IdentityFile /etc/key\n", "web").keys, [PathBuf::from("/etc/key")]);
}

#[test]
fn identity_files_add_up_and_none_is_none() {
    let world = World::new();
    let keys = |config: &str| world.server(config, "web").keys;

    assert_eq!(keys("IdentityFile /a\nIdentityFile /b\nIdentityFile /a\n"), ["/a", "/b"].map(PathBuf::from));
    assert!(keys("IdentityFile none\n").is_empty());
    assert!(world.server("IdentityFile none\n", "web").names_keys);
}

#[test]
fn the_agent_is_chosen_as_in_ssh() {
    let world = World::new();
    let agent = |value: &str| world.server(&format!("IdentityAgent {value}\n"), "web").agent;

    assert_eq!(agent("none"), None);
    assert_eq!(agent("SSH_AUTH_SOCK"), Some(PathBuf::from("/agent")));
    assert_eq!(agent("~/agent.sock"), Some(world.at("agent.sock")));
    assert_eq!(agent("$NO_SUCH_VARIABLE_OF_ALKNET"), None);
    assert_eq!(agent("\"~/with a space\""), Some(world.at("with a space")));
}

#[test]
fn times_are_read_as_in_ssh() {
    let world = World::new();
    let time = |value: &str| world.server(&format!("ConnectTimeout {value}\n"), "web").connecting.timeout;
    let seconds = |seconds| Some(Duration::from_secs(seconds));

    assert_eq!(
        (time("5"), time("1m30s"), time("2H"), time("1d"), time("none"), time("0")),
        (seconds(5), seconds(90), seconds(7200), seconds(86_400), None, None)
    );
}

#[test]
fn no_checking_at_all_means_to_store_the_first_key() {
    let world = World::new();
    let accepts = |value: &str| world.server(&format!("StrictHostKeyChecking {value}\n"), "web").known.accept_new;

    assert!(accepts("accept-new") && accepts("no") && accepts("off"));
    assert!(!accepts("yes") && !accepts("ask"));
}

#[test]
fn known_hosts_may_be_several_files_or_none() {
    let world = World::new();

    let two = world.server("UserKnownHostsFile ~/a \"~/b c\"\nGlobalKnownHostsFile none\n", "web");

    assert_eq!(two.known.user_files, [world.at("a"), world.at("b c")]);
    assert!(two.known.global_files.is_empty());
}

#[test]
fn a_line_that_would_be_less_safe_without_effect_is_refused_where_it_applies() {
    let world = World::new();
    let file = world.at(".ssh/config");

    for (directive, line) in [
        ("KnownHostsCommand", "KnownHostsCommand /bin/keys %h"),
        ("ProxyUseFdpass", "ProxyUseFdpass yes"),
        ("CanonicalizePermittedCNAMEs", "CanonicalizePermittedCNAMEs *:*"),
        ("RefuseConnection", "RefuseConnection \"not from here\""),
    ] {
        let message = world.mistake(&format!("Host web\n\n  {line}\n"));
        assert!(message.starts_with(&format!("{}:3: {directive} is refused: ", text(&file))), "{message}");
        world.server(&format!("Host other\n{line}\n"), "web");
    }
    world.server("KnownHostsCommand none\nKnownHostsCommand /bin/keys\n", "web");
}

#[test]
fn the_way_is_the_one_that_is_said_first() {
    let world = World::new();
    let way = |config: &str| match world.server(config, "web").way {
        Way::Direct => "direct".to_owned(),
        Way::Command(command) => command,
        Way::Jump(hop) => format!("{}@{}:{}", hop.user, hop.host, hop.port),
    };

    assert_eq!(way("ProxyJump none\nProxyJump bastion\n"), "direct");
    assert_eq!(way("ProxyCommand none\nProxyJump bastion\n"), "direct");
    assert_eq!(way("ProxyJump none\nProxyCommand nc\n"), "nc");
    assert_eq!(way("Host web\nProxyCommand nc %h %p\nProxyJump bastion\n"), "nc web 22");
    assert_eq!(way("Host web\nProxyJump bastion\nProxyCommand nc %h %p\n"), "me@bastion:22");
    assert_eq!(way("Host web\nProxyJump you@b:2\nHost b\nHostName bastion.org\nPort 3\n"), "you@bastion.org:2");
    assert_eq!(way("Host web\nHostName w.org\nPort 7\nUser u\nProxyCommand nc %h:%p %n %r %%\n"), "nc w.org:7 web u %");
}

#[test]
fn jump_hosts_stand_one_behind_the_other_and_never_in_a_circle() {
    let world = World::new();
    let hops = |config: &str, destination: &str| {
        let mut names = Vec::new();
        let mut server = world.server(config, destination);
        while let Way::Jump(hop) = server.way {
            names.insert(0, hop.name.clone());
            server = *hop;
        }
        names.join(" ")
    };

    assert_eq!(hops("Host web\nProxyJump a,b\n", "web"), "a b");
    assert_eq!(hops("Host web\nProxyJump a,b\nHost a\nProxyJump first\n", "web"), "first a b");
    assert_eq!(hops("Host web\nProxyJump a,b\nHost b\nProxyJump other\n", "web"), "a b", "the list is the way to b");
    assert_eq!(hops("Host *.org\nProxyJump a\n", "x.org"), "a");

    let circle = world.mistake("Host *\nProxyJump bastion\n");
    assert!(circle.contains("leads over"), "{circle}");
    let circle = world.mistake("Host web b\nProxyJump a\nHost a\nProxyJump b\n");
    assert!(circle.contains("more than 8 hosts"), "{circle}");
}

#[test]
fn a_command_never_sees_what_a_shell_would_act_upon() {
    let world = World::new();

    for line in ["HostName w$(id)", "HostName `id`", "User a;id", "User -oProxyCommand=x", "HostKeyAlias a|b"] {
        let message = world.mistake(&format!("{line}\nProxyCommand nc %h %p\n"));
        assert!(message.contains("ProxyCommand is not run for"), "{line}: {message}");
    }
    let message = world.mistake("ProxyJump 'a;id'\n");
    assert!(message.contains("is no host to jump over"), "{message}");
    let message = world.mistake("ProxyCommand nc %d\n");
    assert!(message.contains("`%d` has no meaning"), "{message}");
}

#[test]
fn a_mistake_names_its_file_and_line() {
    let world = World::new();
    let cases = [
        ("Port 0", "Port `0` is impossible"),
        ("Port 65536", "Port `65536` is impossible"),
        ("Port", "Port has no value"),
        ("User \"\"", "User has an empty value"),
        ("User a b", "User takes one value; `b` is too much"),
        ("User \"a", "a quote is opened and not closed"),
        ("HostName %x", "`%x` has no meaning"),
        ("IdentityFile ~/%", "ends with a single `%`"),
        ("IdentityFile ~other-of-alknet/key", "there is no user `other-of-alknet` here"),
        ("IdentityFile ${NO_SUCH_VARIABLE_OF_ALKNET}", "the environment has no `NO_SUCH_VARIABLE_OF_ALKNET`"),
        ("IdentityFile ${OPEN", "does not close it"),
        ("IdentitiesOnly maybe", "neither yes nor no"),
        ("StrictHostKeyChecking maybe", "is none of true, yes, false"),
        ("ConnectTimeout 5x", "`5x` is no time"),
        ("ConnectTimeout 99999999999999999999w", "is no time"),
        ("Host", "Host has no value"),
        ("Include", "Include has no value"),
    ];

    for (line, expected) in cases {
        let message = world.mistake(&format!("# first\n\n{line}\n"));
        assert!(message.starts_with(&format!("{}:3: ", text(&world.at(".ssh/config")))), "{line}: {message}");
        assert!(message.contains(expected), "{line}: {message}");
    }
}

#[test]
fn a_word_that_is_no_directive_is_a_mistake_unless_it_is_to_be_ignored() {
    let world = World::new();

    let message = world.mistake("Host other\nNoSuchThing yes\n");
    assert_eq!(message, format!("{}:2: `nosuchthing` is no directive of ssh", text(&world.at(".ssh/config"))));

    let config = "IgnoreUnknown NoSuch*,Other\nNoSuchThing yes\nother 1\nUseKeychain yes\nProtocol 2,1\nPort 23\n";
    assert_eq!(world.server(config, "web").port, 23);
}

#[test]
fn only_an_explicit_zero_switches_the_keepalive_off() {
    let world = World::new();
    let keepalive = |config: &str| {
        let keepalive = world.server(config, "web").keepalive;
        (keepalive.interval.as_secs(), keepalive.count, keepalive.silence().map(|silence| silence.as_secs()))
    };

    assert_eq!(keepalive(""), (15, 3, Some(60)));
    assert_eq!(keepalive("ServerAliveInterval none\n"), (15, 3, Some(60)));
    assert_eq!(keepalive("ServerAliveInterval 5\nServerAliveCountMax 2\n"), (5, 2, Some(15)));
    assert_eq!(keepalive("ServerAliveInterval 0\n"), (0, 3, None));
}

#[test]
fn algorithms_are_chosen_from_those_that_are_had_here() {
    let world = World::new();
    let ciphers = |value: &str| world.server(&format!("Ciphers {value}\n"), "web").offered.ciphers.join(" ");

    assert_eq!(ciphers("aes256-ctr,3des-cbc,aes128-ctr"), "aes256-ctr aes128-ctr");
    assert!(ciphers("^aes256-ctr").starts_with("aes256-ctr ") && ciphers("^aes256-ctr").contains("chacha20"));
    assert!(!ciphers("-aes*").contains("aes") && !ciphers("+3des-cbc").contains("3des"));
    let message = world.mistake("Ciphers 3des-cbc,aes256-cbc\n");
    assert!(message.contains("leaves nothing that is offered"), "{message}");
    let message = world.mistake("KexAlgorithms diffie-hellman-group14-sha1\n");
    assert!(message.contains("leaves nothing that is offered"), "{message}");
}

#[test]
fn the_ways_to_log_in_are_those_that_are_preferred_and_allowed() {
    let world = World::new();
    let methods = |config: &str| world.server(config, "web").login.methods.join(" ");

    assert_eq!(methods(""), "publickey keyboard-interactive password");
    assert_eq!(methods("PreferredAuthentications password,gssapi-with-mic,publickey\n"), "password publickey");
    assert_eq!(methods("PasswordAuthentication no\nKbdInteractiveAuthentication no\n"), "publickey");
    assert_eq!(methods("PubkeyAuthentication no\n"), "keyboard-interactive password");
}
