//! The ssh of this machine.

use std::collections::BTreeMap;
use std::path::Path;

use crate::ssh::config::tests::text;
use crate::ssh::tests::keygen::run;

/// What ssh prints: the values of each keyword, in lower case.
pub(super) type Values = BTreeMap<String, Vec<String>>;

pub(super) struct Peer {
    pub(super) version: String,
    /// Who runs it.
    pub(super) user: String,
    /// What it says of an empty configuration.
    plain: Values,
}

impl Peer {
    pub(super) fn new() -> Self {
        let version = run("ssh", &["-V"]);
        let version = String::from_utf8_lossy(&version.stderr).split(',').next().unwrap_or_default().trim().to_owned();
        let plain = explain(&["-G", "-F", "none", "nowhere"]).unwrap();
        Peer { version, user: plain["user"][0].clone(), plain }
    }

    /// # Errors
    /// What it complains about.
    pub(super) fn explain(&self, config: &Path, destination: &str) -> Result<Values, String> {
        explain(&["-G", "-F", text(config), destination])
    }

    /// Whether it prints such values at all.
    pub(super) fn knows(&self, keyword: &str) -> bool {
        const UNSAID: &[&str] = &[
            "bindaddress",
            "bindinterface",
            "certificatefile",
            "controlpath",
            "dynamicforward",
            "hostkeyalias",
            "identityagent",
            "ignoreunknown",
            "kbdinteractivedevices",
            "knownhostscommand",
            "localcommand",
            "localforward",
            "preferredauthentications",
            "proxycommand",
            "proxyjump",
            "remotecommand",
            "remoteforward",
            "revokedhostkeys",
            "sendenv",
            "setenv",
        ];
        self.plain.contains_key(keyword) || UNSAID.contains(&keyword)
    }

    /// The names that it has by default.
    pub(super) fn default_names(&self, keyword: &str) -> Vec<String> {
        self.plain[keyword][0].split(',').map(str::to_owned).collect()
    }

    /// All names that it has.
    pub(super) fn all_names(&self, query: &str) -> Vec<String> {
        let output = run("ssh", &["-Q", query]);
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

fn explain(arguments: &[&str]) -> Result<Values, String> {
    let output = run("ssh", arguments);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut values = Values::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        values.entry(keyword.to_lowercase()).or_default().push(value.to_owned());
    }
    Ok(values)
}
