//! What became of a source: what is a rule already, what would be added, what was.

use alknet_proto::operation::MAX_ADDED_AT_ONCE;
use alknet_proto::status::Ends;
use alknet_proto::{Code, Destination, Fault, ForwardSpec, ForwardStatus, Forwarding};

use super::{Remark, Source};

/// A source, beside the rules that are there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Imported {
    /// Where it came from.
    pub(crate) source: Source,
    /// Which of its forwards are rules already, in the same order.
    pub(crate) exists: Vec<bool>,
    /// What was added; nothing in a dry run.
    pub(crate) added: Vec<ForwardStatus>,
    /// Why nothing was added although it should have been.
    pub(crate) fault: Option<Fault>,
}

impl Imported {
    /// Nothing was added yet.
    pub(crate) fn new(mut source: Source, rules: &[ForwardStatus]) -> Self {
        let n_forwards = source.forwards.len();
        if MAX_ADDED_AT_ONCE < n_forwards {
            let why = format!("it has {n_forwards} forwards, and one call adds at most {MAX_ADDED_AT_ONCE}");
            source.obstacles.push(Remark::new(source.name.clone(), why));
        }
        let is_rule = |forwarding: &Forwarding| {
            rules.iter().any(|rule| source.destination.as_ref().is_some_and(|to| is_same(rule, to, forwarding)))
        };
        let exists = source.forwards.iter().map(is_rule).collect();
        Imported { source, exists, added: Vec::new(), fault: None }
    }

    /// What there is to add: nothing where an obstacle stands or all are rules already.
    pub(crate) fn specs(&self) -> Vec<ForwardSpec> {
        let Some((destination, forwards)) = self.source.rules() else { return Vec::new() };
        let new = forwards.iter().zip(&self.exists).filter(|(_, exists)| !**exists);
        new.map(|(forwarding, _)| ForwardSpec {
            accept_new: self.source.accept_new,
            ..ForwardSpec::new(destination.clone(), forwarding.clone())
        })
        .collect()
    }

    /// Why it did not become rules, where it did not.
    pub(crate) fn failure(&self) -> Option<Fault> {
        if let Some(fault) = &self.fault {
            return Some(fault.clone());
        }
        let obstacle = self.source.obstacles.first()?;
        let fault = Fault::new(Code::InvalidSpec, format!("not imported: {}: {}", obstacle.what, obstacle.why));
        Some(obstacle.hint.iter().fold(fault, |fault, hint| fault.with_hint(hint)))
    }
}

fn is_same(rule: &ForwardStatus, destination: &Destination, forwarding: &Forwarding) -> bool {
    let ends = Ends {
        bind_address: rule.bind_address.clone(),
        bind_port: rule.bind_port,
        bind_path: rule.bind_path.clone(),
        target_host: rule.target_host.clone(),
        target_port: rule.target_port,
        target_path: rule.target_path.clone(),
    };
    rule.destination == *destination && rule.kind == forwarding.kind() && ends == Ends::from(forwarding)
}
