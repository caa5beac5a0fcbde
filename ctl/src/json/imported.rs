//! `import --json`: what was found, what it would become or became, and what is not carried over.

use alknet_proto::{Fault, ForwardKind, ForwardStatus, Forwarding};
use serde::Serialize;

use super::ErrorBody;
use crate::import::{Imported, Remark};
use crate::render;

/// Every source of one import.
#[derive(Serialize)]
pub(crate) struct Imports<'a> {
    applied: bool,
    sources: Vec<SourceObject<'a>>,
    /// The first thing that went wrong; with it the exit code is not 0.
    error: Option<ErrorBody<'a>>,
}

#[derive(Serialize)]
struct SourceObject<'a> {
    source: &'a str,
    destination: Option<String>,
    forwards: Vec<ForwardObject>,
    /// What adds those that are not there; null where there is nothing to add.
    command: Option<String>,
    left_out: &'a [Remark],
    not_imported: &'a [Remark],
    added: &'a [ForwardStatus],
    error: Option<ErrorBody<'a>>,
}

#[derive(Serialize)]
struct ForwardObject {
    kind: ForwardKind,
    spec: String,
    exists: bool,
}

impl<'a> Imports<'a> {
    /// `applied`: the rules were to be added, and not only shown.
    pub(crate) fn new(applied: bool, imported: &'a [Imported], failure: Option<&'a Fault>) -> Self {
        let sources = imported.iter().map(SourceObject::from).collect();
        Imports { applied, sources, error: failure.map(ErrorBody::from) }
    }
}

impl<'a> From<&'a Imported> for SourceObject<'a> {
    fn from(one: &'a Imported) -> Self {
        let of = |(forwarding, exists): (&Forwarding, &bool)| ForwardObject {
            kind: forwarding.kind(),
            spec: forwarding.spec(),
            exists: *exists,
        };
        SourceObject {
            source: &one.source.name,
            destination: one.source.destination.as_ref().map(ToString::to_string),
            forwards: one.source.forwards.iter().zip(&one.exists).map(of).collect(),
            command: render::add_line(&one.specs()),
            left_out: &one.source.left_out,
            not_imported: &one.source.obstacles,
            added: &one.added,
            error: one.fault.as_ref().map(ErrorBody::from),
        }
    }
}
