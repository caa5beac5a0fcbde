//! Compares what the daemon makes of the ssh configuration with what `ssh -G` prints.

use std::collections::BTreeMap;

use alknet_proto::explain::{Setting, Source};

/// What `ssh -G` printed: the values of each keyword, in lower case, one for each line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dump(BTreeMap<String, Vec<String>>);

/// How the two compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// How many directives have the same value.
    pub(crate) n_same: usize,
    /// What somebody said and what comes out differently.
    pub(crate) differences: Vec<Difference>,
    /// What nobody said, where the two have other defaults.
    pub(crate) own_defaults: Vec<Difference>,
}

/// One directive with two values.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Difference {
    /// As ssh_config(5) writes it, where the daemon knows it.
    pub(crate) keyword: String,
    /// What the daemon makes of it; none where it has no value.
    pub(crate) ours: Vec<String>,
    /// Where the daemon's value comes from.
    #[serde(skip)]
    pub(crate) source: Option<Source>,
    /// What ssh makes of it; none where it prints none.
    pub(crate) ssh: Vec<String>,
}

/// Where the two believe the user's home to be. ssh believes the user database and not `HOME`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Homes<'a> {
    pub(crate) ours: Option<&'a str>,
    pub(crate) ssh: Option<&'a str>,
}

impl Dump {
    /// Reads what `ssh -G` printed.
    pub(crate) fn read(text: &str) -> Dump {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            if !keyword.is_empty() {
                values.entry(keyword.to_ascii_lowercase()).or_default().push(value.to_owned());
            }
        }
        Dump(values)
    }

    fn of(&self, keyword: &str) -> &[String] {
        self.0.get(keyword).map_or(&[], Vec::as_slice)
    }
}

/// Compares `ours` with what ssh printed. `bare` is what it prints without any configuration: its defaults.
pub(crate) fn compare(ours: &[Setting], ssh: &Dump, bare: &Dump, homes: Homes<'_>) -> Comparison {
    let mut comparison = Comparison::default();
    let mut by_keyword: BTreeMap<String, Vec<&Setting>> = BTreeMap::new();
    for setting in ours {
        by_keyword.entry(setting.keyword.to_ascii_lowercase()).or_default().push(setting);
    }
    for keyword in ssh.0.keys() {
        by_keyword.entry(keyword.clone()).or_default();
    }
    for (keyword, settings) in by_keyword {
        if STEERING.contains(&keyword.as_str()) {
            continue;
        }
        let said = values_of(&keyword, &settings);
        let theirs = ssh.of(&keyword);
        let normal_ours = normal(&keyword, &said, homes.ours);
        let mut normal_theirs = normal(&keyword, theirs, homes.ssh);
        if keyword == "dynamicforward" {
            // ssh prints a local forward that listens at a socket a second time, as a dynamic one.
            let sockets: Vec<&str> =
                ssh.of("localforward").iter().filter_map(|value| value.split(' ').next()).collect();
            normal_theirs.retain(|value| !(value.starts_with('/') && sockets.contains(&value.as_str())));
        }
        if normal_ours == normal_theirs {
            comparison.n_same += usize::from(!normal_ours.is_empty());
            continue;
        }
        let is_default_of_ssh = theirs == bare.of(&keyword);
        let is_said = settings.iter().any(|setting| match setting.source {
            Source::File { .. } | Source::Destination => true,
            Source::Default | Source::Config | Source::Environment(_) => false,
        });
        if settings.is_empty() && is_default_of_ssh {
            continue;
        }
        let difference = Difference {
            keyword: settings.first().map_or(keyword, |setting| setting.keyword.clone()),
            ours: said,
            source: settings.first().map(|setting| setting.source.clone()),
            ssh: theirs.to_vec(),
        };
        if is_said || !is_default_of_ssh {
            comparison.differences.push(difference);
        } else {
            comparison.own_defaults.push(difference);
        }
    }
    comparison
}

/// All values of a directive. A forward is one, though it has two words.
fn values_of(keyword: &str, settings: &[&Setting]) -> Vec<String> {
    if FORWARDS.contains(&keyword) {
        return settings.iter().map(|setting| setting.values.join(" ")).collect();
    }
    settings.iter().flat_map(|setting| setting.values.clone()).collect()
}

/// These decide what applies and are no values; `host` is the name that was asked for.
const STEERING: [&str; 5] = ["host", "match", "include", "ignoreunknown", "tag"];

/// One line of ssh has all of them.
const LISTS: [&str; 6] = [
    "userknownhostsfile",
    "globalknownhostsfile",
    "permitremoteopen",
    "canonicaldomains",
    "canonicalizepermittedcnames",
    "channeltimeout",
];

/// The order says nothing.
const SETS: [&str; 7] =
    ["sendenv", "setenv", "localforward", "remoteforward", "dynamicforward", "permitremoteopen", "channeltimeout"];

const FORWARDS: [&str; 3] = ["localforward", "remoteforward", "dynamicforward"];

const TIMES: [&str; 4] = ["connecttimeout", "serveraliveinterval", "forwardx11timeout", "controlpersist"];

/// Values in which large and small letters differ.
const WITH_CASE: [&str; 20] = [
    "user",
    "identityfile",
    "certificatefile",
    "userknownhostsfile",
    "globalknownhostsfile",
    "revokedhostkeys",
    "identityagent",
    "controlpath",
    "setenv",
    "sendenv",
    "proxycommand",
    "proxyjump",
    "knownhostscommand",
    "localcommand",
    "remotecommand",
    "localforward",
    "remoteforward",
    "dynamicforward",
    "securitykeyprovider",
    "pkcs11provider",
];

/// The same text for the same meaning.
fn normal(keyword: &str, values: &[String], home: Option<&str>) -> Vec<String> {
    let is_list = LISTS.contains(&keyword);
    let joined: Vec<String> = if is_list { vec![values.join(" ")] } else { values.to_vec() };
    let mut normal: Vec<String> = joined
        .iter()
        .flat_map(|value| if is_list { words(value) } else { vec![value.trim().to_owned()] })
        .map(|value| in_home(&value, home))
        .map(|value| if FORWARDS.contains(&keyword) { without_brackets(&value) } else { value })
        .map(|value| if WITH_CASE.contains(&keyword) { value } else { value.to_ascii_lowercase() })
        .map(|value| match value.as_str() {
            "true" => "yes".to_owned(),
            "false" => "no".to_owned(),
            _ if TIMES.contains(&keyword) => seconds(&value).unwrap_or(value),
            _ => value,
        })
        .collect();
    let is_nothing = matches!(normal.as_slice(), [only] if only.is_empty() || only.eq_ignore_ascii_case("none"));
    if is_nothing {
        normal.clear();
    }
    if SETS.contains(&keyword) {
        normal.sort();
    }
    normal
}

/// `9000 [db]:80` and `9000 db:80` are one forward, and `[socks]:0` is no target.
fn without_brackets(value: &str) -> String {
    let bare = value.replace(['[', ']'], "");
    bare.strip_suffix(" socks:0").unwrap_or(&bare).to_owned()
}

fn words(value: &str) -> Vec<String> {
    value.split_whitespace().map(str::to_owned).collect()
}

/// `/home/me/x`, `%d/x` and `~/x` are one file.
fn in_home(value: &str, home: Option<&str>) -> String {
    let rest = home.and_then(|home| value.strip_prefix(home.trim_end_matches('/')));
    match rest.or_else(|| value.strip_prefix("%d")) {
        Some(rest) if rest.starts_with('/') => format!("~{rest}"),
        Some(_) | None => value.to_owned(),
    }
}

/// `1m30s` is 90; a time of 0 is none.
fn seconds(value: &str) -> Option<String> {
    let mut sum: u64 = 0;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next();
        let length = match unit {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        sum = sum.checked_add(number.checked_mul(length)?)?;
        rest = &rest[digits + unit.map_or(0, char::len_utf8)..];
    }
    (!value.is_empty()).then(|| if sum == 0 { "none".to_owned() } else { sum.to_string() })
}

#[cfg(test)]
mod tests {
    use alknet_proto::explain::Verdict;

    use super::*;

    fn said(keyword: &str, values: &[&str], source: Source) -> Setting {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Setting { keyword: keyword.to_owned(), values, source, verdict: Verdict::Honoured }
    }

    fn line() -> Source {
        Source::File { path: "/home/me/.ssh/config".to_owned(), line: 3 }
    }

    const HOMES: Homes<'_> = Homes { ours: Some("/tmp/me"), ssh: Some("/home/me/") };

    fn differing(ours: &[Setting], ssh: &str) -> Vec<String> {
        let comparison = compare(ours, &Dump::read(ssh), &Dump::default(), HOMES);
        comparison.differences.into_iter().map(|difference| difference.keyword).collect()
    }

    #[test]
    fn the_same_meaning_in_another_form_is_no_difference() {
        for (keyword, ours, ssh) in [
            ("HostName", vec!["Web.example.org"], "hostname web.example.org\n"),
            ("StrictHostKeyChecking", vec!["yes"], "stricthostkeychecking true\n"),
            ("ConnectTimeout", vec!["1m30s"], "connecttimeout 90\n"),
            ("ConnectTimeout", vec!["0"], "connecttimeout none\n"),
            ("ProxyJump", vec!["none"], ""),
            ("IdentityFile", vec!["/tmp/me/.ssh/a", "~/.ssh/b"], "identityfile ~/.ssh/a\nidentityfile %d/.ssh/b\n"),
            ("UserKnownHostsFile", vec!["~/.ssh/a", "/b"], "userknownhostsfile /home/me/.ssh/a /b\n"),
            ("SetEnv", vec!["B=2", "A=1"], "setenv A=1\nsetenv B=2\n"),
            ("LocalForward", vec!["[::1]:80", "db:80"], "localforward [::1]:80 [db]:80\n"),
            ("RemoteForward", vec!["9000"], "remoteforward 9000 [socks]:0\n"),
            ("LocalForward", vec!["/s /t"], "localforward /s /t\ndynamicforward /s\n"),
        ] {
            assert!(differing(&[said(keyword, &ours, line())], ssh).is_empty(), "{keyword} {ours:?}, {ssh}");
        }
    }

    #[test]
    fn another_meaning_is_a_difference_with_both_values() {
        let ours = [said("Port", &["2222"], line()), said("User", &["Me"], line())];

        let comparison = compare(&ours, &Dump::read("port 22\nuser me\ntag x\n"), &Dump::default(), HOMES);

        assert_eq!(comparison.n_same, 0);
        let difference = |keyword: &str, ours: &str, ssh: &str| Difference {
            keyword: keyword.to_owned(),
            ours: vec![ours.to_owned()],
            source: Some(line()),
            ssh: vec![ssh.to_owned()],
        };
        assert_eq!(comparison.differences, [difference("Port", "2222", "22"), difference("User", "Me", "me")]);
    }

    #[test]
    fn the_order_of_keys_matters() {
        let ours = said("IdentityFile", &["/a", "/b"], line());
        assert_eq!(differing(&[ours], "identityfile /b\nidentityfile /a\n"), ["IdentityFile"]);
    }

    #[test]
    fn defaults_that_differ_are_told_apart_from_what_was_said() {
        let ours = [
            said("ServerAliveInterval", &["15"], Source::Config),
            said("ConnectTimeout", &["10"], Source::Default),
            said("Port", &["22"], Source::Default),
        ];
        let bare = Dump::read("serveraliveinterval 0\nconnecttimeout none\nport 22\nloglevel INFO\n");

        let ssh = Dump::read("serveraliveinterval 0\nconnecttimeout 7\nport 22\nloglevel INFO\n");
        let comparison = compare(&ours, &ssh, &bare, HOMES);

        let names = |found: &[Difference]| found.iter().map(|d| d.keyword.clone()).collect::<Vec<_>>();
        // Somebody told ssh a timeout, and the daemon did not see it.
        assert_eq!(names(&comparison.differences), ["ConnectTimeout"]);
        assert_eq!(names(&comparison.own_defaults), ["ServerAliveInterval"]);
        assert_eq!(comparison.n_same, 1);
    }

    #[test]
    fn what_the_daemon_does_not_know_is_a_difference_only_where_somebody_said_it() {
        let bare = Dump::read("ipqos lowdelay\n");
        assert_eq!(compare(&[], &Dump::read("ipqos lowdelay\n"), &bare, HOMES), Comparison::default());
        let comparison = compare(&[], &Dump::read("ipqos none x\n"), &bare, HOMES);
        assert_eq!(comparison.differences.len(), 1);
    }
}
