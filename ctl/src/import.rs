//! Takes over the forwards of others: of the ssh configuration, of `ssh` and `autossh` command lines, of systemd units.
//!
//! Pure: texts in, rules out. Nothing is run, and what cannot be taken over says why.

mod command;
mod found;
mod options;
mod outcome;
mod quoting;
mod said;
mod ssh;
mod unit;

use alknet_proto::{Destination, Forwarding};

pub(crate) use command::command;
pub(crate) use found::of_configuration;
pub(crate) use outcome::Imported;
pub(crate) use unit::{Unit, unit};

/// One thing that forwards came from. Its rules are added together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// What a person knows it by: `prod in ~/.ssh/config`, `autossh …`, a file and a line.
    pub(crate) name: String,
    /// Where the forwards go; none where nobody can say.
    pub(crate) destination: Option<Destination>,
    /// The forwards, in their order.
    pub(crate) forwards: Vec<Forwarding>,
    /// Store the host key of a server that is not known yet.
    pub(crate) accept_new: bool,
    /// What is left out although the rules are made.
    pub(crate) left_out: Vec<Remark>,
    /// Why no rule is made of any of it. Without one, every forward becomes a rule.
    pub(crate) obstacles: Vec<Remark>,
}

/// Something that is not carried over.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Remark {
    /// As it stands there: `-o ProxyCommand=nc`.
    pub(crate) what: String,
    /// One line without a final period.
    pub(crate) why: String,
    /// What to do about it, where something can be done.
    pub(crate) hint: Option<String>,
}

impl Remark {
    /// Without a hint.
    pub(crate) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Remark { what: what.into(), why: why.into(), hint: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Remark { hint: Some(hint.into()), ..self }
    }
}

/// The words of a line in which only single quotes and `\\'` between them matter.
#[cfg(test)]
pub(crate) fn words_of_a_shell(line: &str) -> Vec<String> {
    quoting::of_systemd(line).expect("a line that was quoted before")
}

impl Source {
    /// Nothing was found in it yet.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Source {
            name: name.into(),
            destination: None,
            forwards: Vec::new(),
            accept_new: false,
            left_out: Vec::new(),
            obstacles: Vec::new(),
        }
    }

    /// Where to, and which: what rules are made of. `None` where an obstacle stands or nothing was found.
    pub(crate) fn rules(&self) -> Option<(&Destination, &[Forwarding])> {
        let destination = self.destination.as_ref()?;
        (self.obstacles.is_empty() && !self.forwards.is_empty()).then_some((destination, &self.forwards))
    }
}
