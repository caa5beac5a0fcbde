use super::*;

fn file(path: &str) -> Result<String, String> {
    match path {
        "/etc/default/tunnel-prod" => Ok("# ports\nPORT=8080\nTARGET=\"db:5432\"\nOPTS=-N -T\n".to_owned()),
        other => Err(format!("cannot read {other}: it is not there")),
    }
}

/// `LINE: DESTINATION FORWARDS; left WHAT, WHAT; stop WHAT: WHY` for each command.
fn shown(name: &str, text: &str) -> Vec<String> {
    let asked = Unit { path: "t.service", name, home: Some("/home/me"), user: Some("me"), read: &file };
    let show = |source: &Source| {
        let mut shown = source.name.clone();
        if let Some(destination) = &source.destination {
            shown.push_str(&format!(" {destination}"));
        }
        for forwarding in &source.forwards {
            shown.push_str(&format!(" {forwarding}"));
        }
        let left: Vec<&str> = source.left_out.iter().map(|remark| remark.what.as_str()).collect();
        if !left.is_empty() {
            shown.push_str(&format!("; left {}", left.join(", ")));
        }
        for obstacle in &source.obstacles {
            shown.push_str(&format!("; stop {}: {}", obstacle.what, obstacle.why));
        }
        shown
    };
    unit(&asked, text).iter().map(show).collect()
}

#[test]
fn a_unit_becomes_rules_with_what_systemd_would_fill_in() {
    for (name, text, expected) in [
        (
            "t.service",
            "[Service]\nExecStart=/usr/bin/autossh -M 0 -N -L 8080:db:5432 prod\n",
            vec!["t.service:2 prod -L 127.0.0.1:8080:db:5432; left -M 0"],
        ),
        (
            "t.service",
            "[Unit]\nExecStart=ssh -N -D 9 no\n[Service]\n# one\nExecStart=/usr/bin/ssh -N \\\n  # a comment between\n  -L 1:a:1 \\\n  -D \"2\" prod\n[Install]\nExecStart=x\n",
            vec!["t.service:5 prod -L 127.0.0.1:1:a:1 -D 127.0.0.1:2"],
        ),
        (
            "t.service",
            "[Service]\nExecStart=ssh -N -D 1 a\nExecStart=-/bin/ssh -N -D 2 b\nExecStart=ssh -N -D 3 c ; ssh -N -D 4 d\n",
            vec![
                "t.service:2 a -D 127.0.0.1:1",
                "t.service:3 b -D 127.0.0.1:2",
                "t.service:4 c -D 127.0.0.1:3",
                "t.service:4 d -D 127.0.0.1:4",
            ],
        ),
        (
            "t.service",
            "[Service]\nExecStart=ssh -N -D 1 a\nExecStart=\nExecStart=@/bin/ssh ssh -N -D 2 b\n",
            vec!["t.service:4 b -D 127.0.0.1:2"],
        ),
        (
            "t.service",
            "[Service]\nEnvironment=AUTOSSH_GATETIME=0 \"AUTOSSH_PORT=0\"\nEnvironment='WHERE=me@prod'\nExecStart=autossh -N -D 1 ${WHERE}\n",
            vec!["t.service:4 me@prod -D 127.0.0.1:1; left AUTOSSH_GATETIME=0, AUTOSSH_PORT=0"],
        ),
        (
            "tunnel@prod.service",
            "[Service]\nEnvironmentFile=-/etc/default/tunnel-%i\nExecStart=ssh $OPTS -i %h/.ssh/%u -L ${PORT}:${TARGET} %i\n",
            vec!["t.service:3 prod -L 127.0.0.1:8080:db:5432; left -i /home/me/.ssh/me"],
        ),
        (
            "t.service",
            "[Service]\nUser=tunnel\nExecStartPre=/bin/sleep 5\nExecStart=ssh -N -D 1 a\n",
            vec!["t.service:4 a -D 127.0.0.1:1; left User=tunnel, ExecStartPre=/bin/sleep 5"],
        ),
        (
            "t.service",
            "[Service]\nUser=me\nExecStart=:ssh -N -D 1 a$b\n",
            vec!["t.service:3 -D 127.0.0.1:1; stop a$b: the host of the destination contains '$', which no host may"],
        ),
    ] {
        assert_eq!(shown(name, text), expected, "{text}");
    }
}

#[test]
fn what_systemd_alone_knows_is_told() {
    for (text, expected) in [
        ("", "t.service; stop t.service: this unit has no ExecStart= in a [Service] section"),
        ("ExecStart=ssh -N -D 1 a\n", "t.service; stop t.service: this unit has no ExecStart= in a [Service] section"),
        (
            "[Service]\nExecStart=ssh -N -D 1 %i\n",
            "t.service:2; stop %i: it needs an instance: copy the file to t@INSTANCE.service, and import that",
        ),
        ("[Service]\nExecStart=ssh -N -D 1 %H\n", "t.service:2; stop %H: what %H stands for is not known here"),
        ("[Service]\nExecStart=ssh -N -D 1 ${W}\n", "t.service:2; stop ${W}: the unit does not say what $W is"),
        ("[Service]\nExecStart=ssh 'a\n", "t.service:2; stop ExecStart=ssh 'a: a quote is opened and not closed"),
        ("[Service]\nExecStart=/bin/true\n", "t.service:2; stop /bin/true: this is neither ssh nor autossh"),
        (
            "[Service]\nEnvironmentFile=/none\nExecStart=ssh -N -D 1 a\n",
            "t.service:3 a -D 127.0.0.1:1; left EnvironmentFile=/none",
        ),
    ] {
        assert_eq!(shown("t.service", text), [expected], "{text}");
    }
}
