//! `explain --json`: flat objects, so that a program needs to know no enum.

use alknet_proto::Explanation;
use alknet_proto::explain::{Hop, KeyHolder, OfferedKey, Setting, Source};
use serde::Serialize;

use crate::compare::{Comparison, Difference};

/// Everything about a destination.
#[derive(Serialize)]
pub(crate) struct Explained<'a> {
    destination: String,
    settings: Vec<SettingObject<'a>>,
    hops: Vec<HopObject<'a>>,
    keys: Vec<KeyObject<'a>>,
    files: &'a [String],
    notices: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Compared<'a>>,
}

#[derive(Serialize)]
struct SettingObject<'a> {
    keyword: &'a str,
    values: &'a [String],
    #[serde(flatten)]
    source: SourceFields<'a>,
    verdict: &'static str,
    why: Option<&'a str>,
}

/// Where it comes from: a word, and the place where there is one.
#[derive(Serialize)]
pub(crate) struct SourceFields<'a> {
    source: &'static str,
    file: Option<&'a str>,
    line: Option<u32>,
    variable: Option<&'a str>,
}

#[derive(Serialize)]
struct HopObject<'a> {
    name: &'a str,
    user: &'a str,
    host: &'a str,
    port: u16,
    command: Option<&'a str>,
    #[serde(flatten)]
    source: SourceFields<'a>,
}

#[derive(Serialize)]
struct KeyObject<'a> {
    holder: &'static str,
    path: &'a str,
    algorithm: Option<&'a str>,
    fingerprint: Option<&'a str>,
    comment: Option<&'a str>,
    remark: Option<&'a str>,
}

#[derive(Serialize)]
struct Compared<'a> {
    same: usize,
    differences: &'a [Difference],
    own_defaults: &'a [Difference],
}

impl<'a> Explained<'a> {
    /// `comparison` is there where ssh was asked too.
    pub(crate) fn new(explanation: &'a Explanation, comparison: Option<&'a Comparison>) -> Self {
        let Explanation { destination, settings, hops, keys, files, notices } = explanation;
        Explained {
            destination: destination.to_string(),
            settings: settings.iter().map(SettingObject::from).collect(),
            hops: hops.iter().map(HopObject::from).collect(),
            keys: keys.iter().map(KeyObject::from).collect(),
            files,
            notices,
            compared: comparison.map(|comparison| Compared {
                same: comparison.n_same,
                differences: &comparison.differences,
                own_defaults: &comparison.own_defaults,
            }),
        }
    }
}

impl<'a> From<&'a Setting> for SettingObject<'a> {
    fn from(setting: &'a Setting) -> Self {
        let Setting { keyword, values, source, verdict } = setting;
        SettingObject { keyword, values, source: source.into(), verdict: verdict.word(), why: verdict.why() }
    }
}

impl<'a> From<&'a Source> for SourceFields<'a> {
    fn from(source: &'a Source) -> Self {
        let of = |source| SourceFields { source, file: None, line: None, variable: None };
        match source {
            Source::File { path, line } => SourceFields { file: Some(path), line: Some(*line), ..of("file") },
            Source::Default => of("default"),
            Source::Config => of("config"),
            Source::Destination => of("destination"),
            Source::Environment(name) => SourceFields { variable: Some(name), ..of("environment") },
        }
    }
}

impl<'a> From<&'a Hop> for HopObject<'a> {
    fn from(hop: &'a Hop) -> Self {
        let Hop { name, user, host, port, command, source } = hop;
        HopObject { name, user, host, port: *port, command: command.as_deref(), source: source.into() }
    }
}

impl<'a> From<&'a OfferedKey> for KeyObject<'a> {
    fn from(key: &'a OfferedKey) -> Self {
        let holder = match key.holder {
            KeyHolder::File(_) => "file",
            KeyHolder::Agent(_) => "agent",
        };
        KeyObject {
            holder,
            path: key.holder.path(),
            algorithm: key.algorithm.as_deref(),
            fingerprint: key.fingerprint.as_deref(),
            comment: key.comment.as_deref(),
            remark: key.remark.as_deref(),
        }
    }
}
