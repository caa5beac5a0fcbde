//! What the lines that apply have said so far: the first value of each directive wins, and some add up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use alknet_proto::{Code, Reason, Stage};

use super::directive::{Directive, Syntax, Verdict};
use super::spot::{Source, Spot, invalid};
use super::table;
use crate::ssh::pattern;

/// A value, as ssh writes it, and who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) source: Source,
    /// The words of the line, as written.
    pub(super) words: Vec<String>,
}

impl Value {
    /// Names the place of a value that something is wrong with.
    pub(super) fn at<T>(&self, result: Result<T, String>) -> Result<T, Reason> {
        result.map_err(|what| invalid(&self.source, what))
    }
}

/// A line that there can be no session with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// As the manual spells it.
    pub(super) directive: &'static str,
    /// Where the line stands.
    pub(super) source: Source,
    /// A fragment.
    pub(super) why: String,
    /// What to do about it.
    pub(super) hint: String,
}

impl Refusal {
    /// The same as the reason why a session cannot be.
    pub(super) fn reason(&self) -> Reason {
        let message = format!("{}: {} is refused: {}", self.source, self.directive, self.why);
        Reason::new(Stage::Config, Code::InvalidConfig, message).with_hint(&self.hint)
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    values: BTreeMap<&'static str, Vec<Value>>,
    /// Conditions that were not looked into.
    pub(super) refusals: Vec<Refusal>,
    /// What a person should know, though it prevents nothing.
    pub(super) notices: Vec<String>,
    /// The files that were read, each once.
    pub(super) files: Vec<PathBuf>,
    /// Every name behind a Host that is no pattern, whichever applies.
    pub(super) hosts: Vec<String>,
}

impl Found {
    /// The first value of a directive; `name` as the manual spells it.
    pub(super) fn first(&self, name: &'static str) -> Option<&Value> {
        self.all(name).first()
    }

    /// All values of a directive, in order.
    pub(super) fn all(&self, name: &'static str) -> &[Value] {
        debug_assert!(table::DIRECTIVES.iter().any(|row| row.name == name), "{name} is in the table");
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The text of the first value, or what holds by default.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        let default = || table::find(name).and_then(|row| row.default);
        self.first(name).map(|value| value.text.as_str()).or_else(default)
    }

    /// Whether a directive of the kind yes or no says yes.
    pub(super) fn is_yes(&self, name: &'static str) -> bool {
        matches!(self.text(name), Some("yes" | "true"))
    }

    /// Takes the values of a line that applies; `words` are those of the line.
    pub(super) fn take(
        &mut self,
        directive: &'static Directive,
        texts: Vec<String>,
        words: &[String],
        source: &Source,
    ) {
        if texts.is_empty() {
            return;
        }
        let adds_up = matches!(
            directive.syntax,
            Syntax::EachFile | Syntax::Names | Syntax::LocalForward | Syntax::RemoteForward | Syntax::DynamicForward
        );
        if self.values.contains_key(directive.name) && !adds_up || self.is_settled_by_another(directive.name) {
            return;
        }
        let values = self.values.entry(directive.name).or_default();
        for text in texts {
            let is_name = matches!(directive.syntax, Syntax::Names);
            if let Some(removed) = text.strip_prefix('-').filter(|_| is_name) {
                values.retain(|value| !pattern::matches(removed, &value.text));
                continue;
            }
            let is_there = |value: &Value| match directive.syntax {
                Syntax::Assignments => value.text.split('=').next() == text.split('=').next(),
                _ => value.text == text,
            };
            // Of several files or domains on one line each counts, also one that is named twice.
            let may_repeat = matches!(directive.syntax, Syntax::Names | Syntax::Files | Syntax::Domains);
            if may_repeat || !values.iter().any(is_there) {
                values.push(Value { text, source: source.clone(), words: words.to_vec() });
            }
        }
    }

    /// ProxyJump and ProxyCommand are two words for one thing: the first of both counts, but `ProxyJump none` leaves
    /// the way open for a command.
    fn is_settled_by_another(&self, name: &str) -> bool {
        match name {
            "ProxyJump" => self.values.contains_key("ProxyCommand"),
            "ProxyCommand" => self.first("ProxyJump").is_some_and(|jump| jump.text != "none"),
            _ => false,
        }
    }

    /// Says what was not said.
    pub(super) fn set(&mut self, name: &'static str, text: String, source: Source) {
        self.values.entry(name).or_insert_with(|| vec![Value { text, source, words: Vec::new() }]);
    }

    /// Writes the value of a directive anew; who said it stays.
    pub(super) fn replace(&mut self, name: &'static str, text: String) {
        if let Some(first) = self.values.get_mut(name).and_then(|values| values.first_mut()) {
            first.text = text;
        }
    }

    /// A condition that cannot be looked into, so that nobody knows what applies.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        if !self.refusals.contains(&refusal) {
            self.refusals.push(refusal);
        }
    }

    pub(super) fn notice(&mut self, spot: &Spot, what: &str) {
        let notice = format!("{spot}: {what}");
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// Every line that there can be no session with.
    pub(super) fn all_refusals(&self) -> Vec<Refusal> {
        let of_values = table::DIRECTIVES.iter().filter_map(|row| self.refusal_of(row));
        self.refusals.iter().cloned().chain(of_values).collect()
    }

    fn refusal_of(&self, row: &'static Directive) -> Option<Refusal> {
        let first = self.first(row.name)?;
        let refusal = |why: &str, hint: String| {
            Some(Refusal { directive: row.name, source: first.source.clone(), why: why.to_owned(), hint })
        };
        match row.verdict {
            Verdict::Refused { unless, why } if !first.text.eq_ignore_ascii_case(unless) => {
                refusal(why, format!("take the line away for this host, or say `{} {unless}` before it", row.name))
            }
            Verdict::Honoured(_) if row.name == "BindInterface" && !cfg!(target_os = "linux") => {
                refusal("this system binds no connection to an interface", "say BindAddress instead".to_owned())
            }
            Verdict::Honoured(_) | Verdict::Ignored(_) | Verdict::Refused { .. } => None,
        }
    }
}
