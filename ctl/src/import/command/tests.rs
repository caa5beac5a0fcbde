use super::*;

/// Words as a simple shell makes them: spaces between, single quotes around.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// `DESTINATION FORWARDS [--accept-new]; left WHAT, WHAT; stop WHAT: WHY`
fn shown(line: &str) -> String {
    let source = command(&words(line));
    let mut shown = source.destination.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
    for forwarding in &source.forwards {
        shown.push_str(&format!(" {forwarding}"));
    }
    if source.accept_new {
        shown.push_str(" --accept-new");
    }
    let left: Vec<&str> = source.left_out.iter().map(|remark| remark.what.as_str()).collect();
    if !left.is_empty() {
        shown.push_str(&format!("; left {}", left.join(", ")));
    }
    for obstacle in &source.obstacles {
        shown.push_str(&format!("; stop {}: {}", obstacle.what, obstacle.why));
    }
    shown
}

const NEEDED: &str = "without it the session could reach another server or trust more; a rule has no place for it";

#[test]
fn command_lines_become_rules() {
    for (line, expected) in [
        // The forwards.
        ("ssh -N -L 8080:db:5432 prod", "prod -L 127.0.0.1:8080:db:5432"),
        ("ssh -NL 8080:db:5432 prod", "prod -L 127.0.0.1:8080:db:5432"),
        ("ssh -NL8080:db:5432 prod", "prod -L 127.0.0.1:8080:db:5432"),
        ("ssh -L 8080:db:5432 -N prod", "prod -L 127.0.0.1:8080:db:5432"),
        ("ssh prod -N -L 8080:db:5432", "prod -L 127.0.0.1:8080:db:5432"),
        ("ssh -N -L 1:a:1 -L 2:b:2 prod", "prod -L 127.0.0.1:1:a:1 -L 127.0.0.1:2:b:2"),
        (
            "ssh -N -D 1080 -R 9000:localhost:22 -L 1:a:1 prod",
            "prod -D 127.0.0.1:1080 -R 127.0.0.1:9000:localhost:22 -L 127.0.0.1:1:a:1",
        ),
        ("ssh -N -R 1080 prod", "prod -R 127.0.0.1:1080"),
        ("ssh -N -R 0:localhost:22 prod", "prod -R 127.0.0.1:0:localhost:22"),
        ("ssh -N -L '[::1]:8080:[fd00::2]:80' prod", "prod -L [::1]:8080:[fd00::2]:80"),
        ("ssh -N -L :8080:db:80 prod", "prod -L *:8080:db:80"),
        ("ssh -N -L '*:8080:db:80' prod", "prod -L *:8080:db:80"),
        ("ssh -N -L /tmp/a.sock:/run/b.sock prod", "prod -L /tmp/a.sock:/run/b.sock"),
        ("ssh -N -L 8080:/run/b.sock prod", "prod -L 127.0.0.1:8080:/run/b.sock"),
        ("ssh -N -g -L 8080:db:80 prod", "prod -L *:8080:db:80"),
        ("ssh -N -L 8080:db:80 -g prod", "prod -L *:8080:db:80"),
        ("ssh -Ng -D 1080 prod", "prod -D *:1080"),
        ("ssh -Ng -L 127.0.0.1:8080:db:80 prod", "prod -L 127.0.0.1:8080:db:80"),
        ("ssh -Ng -L /tmp/a:/tmp/b prod", "prod -L /tmp/a:/tmp/b"),
        ("ssh -Ng -R 9000:a:1 prod", "prod -R 127.0.0.1:9000:a:1"),
        ("ssh -N -o GatewayPorts=yes -L 8080:db:80 prod", "prod -L *:8080:db:80"),
        ("ssh -N -o GatewayPorts=no -g -L 8080:db:80 prod", "prod -L 127.0.0.1:8080:db:80"),
        ("ssh -N -o 'LocalForward 8080 db:80' prod", "prod -L 127.0.0.1:8080:db:80"),
        ("ssh -N '-oLocalForward=8080 db:80' prod", "prod -L 127.0.0.1:8080:db:80"),
        ("ssh -N -o 'remoteforward=9000 localhost:22' prod", "prod -R 127.0.0.1:9000:localhost:22"),
        ("ssh -N -o DynamicForward=1080 prod", "prod -D 127.0.0.1:1080"),
        // Who and where.
        ("ssh -N -D 1 me@prod", "me@prod -D 127.0.0.1:1"),
        ("ssh -N -D 1 -l me prod", "me@prod -D 127.0.0.1:1"),
        ("ssh -N -D 1 -l me you@prod", "me@prod -D 127.0.0.1:1"),
        ("ssh -N -D 1 you@prod -l me", "you@prod -D 127.0.0.1:1"),
        ("ssh -N -D 1 -o User=me prod", "me@prod -D 127.0.0.1:1"),
        ("ssh -N -D 1 -p 2222 prod", "prod:2222 -D 127.0.0.1:1"),
        ("ssh -N -D 1 -p2222 prod", "prod:2222 -D 127.0.0.1:1"),
        ("ssh -N -D 1 prod -p 2222", "prod:2222 -D 127.0.0.1:1"),
        ("ssh -N -D 1 -oPort=2222 -p 3333 prod", "prod:2222 -D 127.0.0.1:1"),
        ("ssh -N -D 1 ssh://me@prod:2222", "me@prod:2222 -D 127.0.0.1:1"),
        ("ssh -N -D 1 -p 3 ssh://prod:2222", "prod:3 -D 127.0.0.1:1"),
        ("ssh -N -D 1 -p 22 me@::1", "me@[::1]:22 -D 127.0.0.1:1"),
        ("ssh -N -D 1 me@corp@prod", "me@corp@prod -D 127.0.0.1:1"),
        ("ssh -N -D 1 -- prod", "prod -D 127.0.0.1:1"),
        // Before the program.
        ("/usr/bin/ssh -N -D 1 prod", "prod -D 127.0.0.1:1"),
        ("LANG=C exec nohup ssh -N -D 1 prod", "prod -D 127.0.0.1:1"),
        ("env AUTOSSH_GATETIME=0 autossh -M 0 -N -D 1 prod", "prod -D 127.0.0.1:1; left AUTOSSH_GATETIME=0, -M 0"),
        // autossh
        ("autossh -M 0 -N -L 8080:db:5432 prod", "prod -L 127.0.0.1:8080:db:5432; left -M 0"),
        ("autossh -M0 -fN -D 1 prod", "prod -D 127.0.0.1:1; left -M 0, -f"),
        ("/usr/bin/autossh -fNM 20000:7 -D 1 prod", "prod -D 127.0.0.1:1; left -f, -M 20000:7"),
        ("autossh -f -N -D 1 prod", "prod -D 127.0.0.1:1; left -f"),
        (
            "autossh -M 0 -o ServerAliveInterval=30 -o 'ServerAliveCountMax 3' -N -D 1 prod",
            "prod -D 127.0.0.1:1; left -M 0, -o ServerAliveInterval=30, -o ServerAliveCountMax 3",
        ),
        // What is not needed, or belongs elsewhere.
        ("ssh -fNTnqvx -D 1 prod", "prod -D 127.0.0.1:1; left -f"),
        ("ssh -N -C -A -X -D 1 prod", "prod -D 127.0.0.1:1; left -C, -A, -X"),
        ("ssh -N -i ~/.ssh/key -D 1 prod", "prod -D 127.0.0.1:1; left -i ~/.ssh/key"),
        ("ssh -4 -N -b 10.0.0.1 -D 1 prod", "prod -D 127.0.0.1:1; left -4, -b 10.0.0.1"),
        ("ssh -M -S /tmp/ctl -N -D 1 prod", "prod -D 127.0.0.1:1; left -M, -S /tmp/ctl"),
        (
            "ssh -N -oExitOnForwardFailure=yes -oBatchMode=yes -D 1 prod",
            "prod -D 127.0.0.1:1; left -o ExitOnForwardFailure=yes, -o BatchMode=yes",
        ),
        ("ssh -o StrictHostKeyChecking=accept-new -N -D 1 prod", "prod -D 127.0.0.1:1 --accept-new"),
        (
            "ssh -o StrictHostKeyChecking=no -N -D 1 prod",
            "prod -D 127.0.0.1:1 --accept-new; left -o StrictHostKeyChecking=no",
        ),
        ("ssh -oStrictHostKeyChecking=yes -N -D 1 prod", "prod -D 127.0.0.1:1"),
        ("ssh -D 1 prod sleep 10 -x", "prod -D 127.0.0.1:1; left sleep 10 -x"),
        ("ssh -D 1 prod -N uptime", "prod -D 127.0.0.1:1; left uptime"),
        ("ssh -N -o ProxyJump=none -D 1 prod", "prod -D 127.0.0.1:1; left -o ProxyJump=none"),
    ] {
        assert_eq!(shown(line), expected, "{line}");
    }
}

#[test]
fn what_could_reach_another_server_stops_the_whole_command() {
    for (line, what) in [
        ("ssh -N -D 1 -J gate prod", "-J gate"),
        ("ssh -N -D 1 -o ProxyCommand='nc -X 5 %h %p' prod", "-o ProxyCommand="),
        ("ssh -N -D 1 -o 'ProxyCommand=nc -X 5 %h %p' prod", "-o ProxyCommand=nc -X 5 %h %p"),
        ("ssh -N -D 1 -oProxyJump=gate prod", "-o ProxyJump=gate"),
        ("ssh -N -D 1 -oHostName=10.0.0.1 prod", "-o HostName=10.0.0.1"),
        ("ssh -N -D 1 -oHostKeyAlias=other prod", "-o HostKeyAlias=other"),
        ("ssh -N -D 1 -P work prod", "-P work"),
    ] {
        let source = command(&words(line));

        assert!(source.rules().is_none(), "{line}");
        assert!(source.obstacles.iter().any(|obstacle| obstacle.what == what), "{line}: {:?}", source.obstacles);
    }
    let source = command(&words("ssh -N -D 1 -J gate prod"));
    assert_eq!(
        source.obstacles,
        [Remark::new("-J gate", NEEDED)
            .with_hint("put `ProxyJump gate` under `Host prod` in ~/.ssh/config, and leave it out here")]
    );
}

#[test]
fn what_is_no_forwarding_is_told() {
    for (line, expected) in [
        ("", "?; stop : there is no ssh or autossh command in it"),
        ("ls -l", "?; stop ls: this is neither ssh nor autossh"),
        ("sudo ssh -N -D 1 prod", "?; stop sudo: it runs as another user, and alknetd runs as one"),
        ("sh -c 'ssh -N -D 1 prod'", "?; stop sh: a shell is not looked into"),
        ("sshpass -p x ssh -N -D 1 prod", "?; stop sshpass: it gives a password; a rule logs in with a key"),
        ("ssh", "?; stop the command: it names no host"),
        ("ssh -N -D 1", "? -D 127.0.0.1:1; stop the command: it names no host"),
        ("ssh -N prod", "prod; stop ssh -N prod: it asks for no forward itself"),
        ("ssh prod -D", "?; stop prod -D: -D has no value"),
        ("ssh --version", "?; stop --version: `--version` is no option of ssh"),
        ("ssh -Z prod", "?; stop -Z prod: `-Z` is no option of ssh"),
        (
            "ssh -N -L 8080 prod",
            "prod; stop -L 8080: `-L 8080` names no target: [bind_address:]port:host:hostport is needed",
        ),
        (
            "ssh -N -L 99999:a:1 prod",
            "prod; stop -L 99999:a:1: `99999:a:1` has an impossible port `99999`: 0 to 65535 are possible",
        ),
        ("ssh -N -D 1 -p 0 prod", "prod -D 127.0.0.1:1; stop -p 0: `0` is no port: 1 to 65535 are"),
        ("ssh -N -D 1 -p ssh prod", "prod -D 127.0.0.1:1; stop -p ssh: `ssh` is no port: 1 to 65535 are"),
        (
            "ssh -N -D 1 prod:2222",
            "? -D 127.0.0.1:1; stop prod:2222: ssh takes this for the name of a host, colon and all",
        ),
        ("ssh -N -D 1 a/b", "? -D 127.0.0.1:1; stop a/b: the host of the destination contains '/', which no host may"),
        (
            "ssh -N -D 1 -F other prod",
            "prod -D 127.0.0.1:1; stop -F other: alknetd reads ~/.ssh/config, and the host may mean something else in another file",
        ),
        ("ssh -W db:22 prod", "prod; stop -W db:22: standard input and output are forwarded, which no daemon has"),
        ("ssh -O exit prod", "prod; stop -O exit: a running ssh is told to do something"),
        (
            "ssh -N -D 1 -o Frobnicate=yes prod",
            "prod -D 127.0.0.1:1; stop -o Frobnicate=yes: ssh knows no such directive",
        ),
        ("ssh -N -D 1 -o Port prod", "prod -D 127.0.0.1:1; stop -o Port: Port has no value"),
        ("ssh -N -D 1 -o 'User=\"me' prod", "prod -D 127.0.0.1:1; stop -o User=\"me: a quote is opened and not closed"),
        (
            "ssh -N -D 1 -o ClearAllForwardings=yes prod",
            "prod -D 127.0.0.1:1; stop ClearAllForwardings: it clears the forwards of the command line too",
        ),
        (
            "ssh -N -L /tmp/%h:a:1 prod",
            "prod; stop -L /tmp/%h:a:1: ssh fills in `%` and `${NAME}` in paths, a rule does not: write the path out",
        ),
        ("ssh -s prod sftp", "prod; left sftp; stop -s: a subsystem is asked for, and no forward"),
    ] {
        assert_eq!(shown(line), expected, "{line}");
    }
}

#[test]
fn a_key_is_left_to_the_ssh_configuration_with_the_line_to_write() {
    let source = command(&words("autossh -M 0 -N -i '/home/me/my key' -L 1:a:1 me@prod"));

    let hint = "put `IdentityFile \"/home/me/my key\"` under `Host prod` in ~/.ssh/config";
    assert!(source.rules().is_some());
    assert_eq!(source.left_out[1].hint.as_deref(), Some(hint));
}

#[test]
fn a_command_may_be_one_text_with_quotes_of_its_own() {
    let source = command(&["ssh -N -o 'LocalForward 1 a:1' prod".to_owned()]);
    assert_eq!(source.rules().map(|(_, forwards)| forwards[0].to_string()), Some("-L 127.0.0.1:1:a:1".to_owned()));
}

#[test]
fn a_command_of_any_length_has_a_short_name() {
    let source = command(&words(&format!("ssh -N -D 1 prod {}", "x".repeat(5_000))));
    assert_eq!(source.name.chars().count(), MAX_NAME + 1);
}
