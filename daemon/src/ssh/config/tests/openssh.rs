//! What ssh makes of the same configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{World, text};
use crate::ssh::config::Server;
use crate::ssh::tests::keygen::run;

/// Every configuration is asked for each of these.
const HOSTS: [&str; 6] = ["web", "WEB", "db.example.org", "10.0.0.1", "alice@web", "ssh://web:2022"];

const CONFIGS: [&str; 36] = [
    "",
    "Host web\nHostName web.example.org\nUser bob\nPort 2222\n",
    "Host Web\nPort 2\n",
    "Host web db.* 10.0.0.?\nPort 2\n",
    "Host * !web\nPort 2\n",
    "Host !web\nPort 2\n",
    "Host w*b *.org\n  Port=3\n  User = \"a b\"\n",
    "host=web\nPORT\t4\n\tuser\t\tname\n",
    "Host \"web\" 'db.example.org'\nPort 5\n",
    "Host web # web only\nPort 6 # the port\nUser a#b\n",
    "#Port 1\n   # Port 2\n\nPort 3\r\nUser name\r\n",
    "Port 1\nPort 2\nUser a\nUser b\n",
    "Host web\nPort 1\nHost *\nPort 2\nUser c\n",
    "Match user nobody-of-this-name\nPort 1\nHost *\nPort 2\n",
    "Match all\nPort 1\nHost web\nUser a\n",
    "Match all # really\nPort 1\n",
    "IdentityFile /a\nIdentityFile /b\nIdentityFile \"/c d\"\nIdentityFile /a\n",
    "IdentityFile ~/.ssh/other\nIdentitiesOnly yes\n",
    "IdentityFile none\n",
    "IdentityFile none\nIdentityFile /a\n",
    "IdentityFile /a\\ b\n",
    "IdentityFile \"/a \\\"b\\\" c\"\nUser 'it is'\n",
    "IdentityFile '/a\"b'\nIdentityFile \"/a'b\"\n",
    "IdentityFile /a\\b\nUser DOMAIN\\name\n",
    "IdentityFile /a\"b c\"d\n",
    "IdentitiesOnly no\nIdentitiesOnly yes\n",
    "UserKnownHostsFile /a /b\nUserKnownHostsFile /c\nGlobalKnownHostsFile /d\n",
    "UserKnownHostsFile /dev/null\nStrictHostKeyChecking no\n",
    "StrictHostKeyChecking accept-new\nStrictHostKeyChecking yes\n",
    "StrictHostKeyChecking yes\nStrictHostKeyChecking off\n",
    "ConnectTimeout 5\nConnectTimeout 6\n",
    "ConnectTimeout 1m30\n",
    "ConnectTimeout none\n",
    "Host web\nHostName %h.example.org\n",
    "HostName 10.1.2.3\nPort 22\n",
    "Include FOLDER/*.conf\nHost web\nInclude FOLDER/inner\nPort 9\n",
];

#[test]
fn ssh_makes_the_same_of_every_configuration() {
    let world = World::new();
    world.write("parts/a.conf", "Host web\nUser parts\nHost db.*\nPort 7\n");
    world.write("parts/b.conf", "User late\n");
    world.write("parts/inner", "Host *\nConnectTimeout 8\nHost other\nPort 1\n");
    let mut wrong = Vec::new();

    for config in CONFIGS {
        let config = config.replace("FOLDER", text(&world.at("parts")));
        world.write(".ssh/config", &config);
        for host in HOSTS {
            let ours = world.resolve(host).map(|server| summary(&server));
            let openssh = openssh(&world, host);
            if ours != Ok(openssh.clone()) {
                wrong.push(format!("{host} with\n{config}here: {ours:?}\nssh:  {openssh:?}"));
            }
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What both have in common, in ssh's words.
type Summary = BTreeMap<&'static str, String>;

fn summary(server: &Server) -> Summary {
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| text(path).to_owned()).collect::<Vec<_>>().join(" ");
    let keys = if server.names_keys { paths(&server.keys) } else { "defaults".to_owned() };
    BTreeMap::from([
        ("hostname", server.host.to_lowercase()),
        ("port", server.port.to_string()),
        ("user", server.user.clone()),
        ("identityfile", keys),
        ("identitiesonly", if server.only_these_keys { "yes" } else { "no" }.to_owned()),
        ("userknownhostsfile", paths(&server.known.user_files)),
        ("accept-new", server.known.accept_new.to_string()),
        ("connecttimeout", server.connecting.timeout.map_or("none".to_owned(), |time| time.as_secs().to_string())),
    ])
}

/// What `ssh -G` says. It knows no other home than the one in the user database.
fn openssh(world: &World, host: &str) -> Summary {
    let output = run("ssh", &["-G", "-F", text(&world.at(".ssh/config")), host]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    let home = directories::BaseDirs::new().unwrap().home_dir().to_owned();
    let ours = |value: &str| value.replace(text(&home), "~").replace('~', text(world.folder.path()));
    let values = |keyword: &str| -> Vec<&str> {
        output.lines().filter_map(|line| line.strip_prefix(keyword)?.strip_prefix(' ')).collect()
    };
    let value = |keyword: &str| values(keyword).first().copied().unwrap_or_default().to_owned();
    let keys: Vec<String> = values("identityfile").into_iter().filter(|key| *key != "none").map(ours).collect();
    let are_defaults = keys.iter().any(|key| Path::new(key).ends_with(".ssh/id_dsa"));
    let user = value("user");
    let is_accepting = ["accept-new", "false", "no", "off"].contains(&value("stricthostkeychecking").as_str());
    BTreeMap::from([
        ("hostname", value("hostname")),
        ("port", value("port")),
        ("user", if user == local_user() { "me".to_owned() } else { user }),
        ("identityfile", if are_defaults { "defaults".to_owned() } else { keys.join(" ") }),
        ("identitiesonly", value("identitiesonly")),
        ("userknownhostsfile", ours(&value("userknownhostsfile"))),
        ("accept-new", is_accepting.to_string()),
        ("connecttimeout", value("connecttimeout")),
    ])
}

fn local_user() -> String {
    let output = run("ssh", &["-G", "-F", "none", "nowhere"]);
    let output = String::from_utf8(output.stdout).unwrap();
    output.lines().find_map(|line| line.strip_prefix("user ")).unwrap().to_owned()
}
