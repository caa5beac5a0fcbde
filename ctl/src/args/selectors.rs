//! Which forwards a verb is for.

use alknet_proto::{Destination, Selector};
use clap::Args;

const SELECTOR_HELP: &str = "An id, a name, the unique beginning of an id, a glob ('db-*') or @tag";
const HOST_HELP: &str = "Every forward to this destination";
const ALL_HELP: &str = "Every forward";

/// At least one selector: for verbs that change something or wait.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct SomeSelectors {
    #[arg(value_name = "SELECTOR", help = SELECTOR_HELP)]
    selectors: Vec<Selector>,
    #[arg(long = "host", value_name = "DESTINATION", help = HOST_HELP)]
    hosts: Vec<Destination>,
    #[arg(long, help = ALL_HELP)]
    all: bool,
}

/// Any number of selectors; none means all.
#[derive(Args, Debug)]
pub(crate) struct AnySelectors {
    #[arg(value_name = "SELECTOR", help = SELECTOR_HELP)]
    selectors: Vec<Selector>,
    #[arg(long = "host", value_name = "DESTINATION", help = HOST_HELP)]
    hosts: Vec<Destination>,
    #[arg(long, help = ALL_HELP)]
    all: bool,
}

/// What `restart` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  alknetctl restart web
  alknetctl restart --seamless prod")]
pub(crate) struct RestartArgs {
    /// Which forwards; with --seamless, also the destination of a session
    #[command(flatten)]
    pub(crate) selectors: SomeSelectors,
    /// Replace the sessions of these forwards or destinations without breaking a connection: new ones
    /// go to a fresh session, the old one ends with its last connection, after an hour at the latest
    #[arg(long)]
    pub(crate) seamless: bool,
}

impl SomeSelectors {
    /// All that was asked for, in one list.
    pub(crate) fn all(&self) -> Vec<Selector> {
        together(&self.selectors, &self.hosts, self.all)
    }
}

impl AnySelectors {
    /// All that was asked for, in one list; empty when nothing was.
    pub(crate) fn all(&self) -> Vec<Selector> {
        together(&self.selectors, &self.hosts, self.all)
    }
}

fn together(selectors: &[Selector], hosts: &[Destination], all: bool) -> Vec<Selector> {
    let hosts = hosts.iter().cloned().map(Selector::Host);
    selectors.iter().cloned().chain(hosts).chain(all.then_some(Selector::All)).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::{Cli, Command};

    fn removed(line: &str) -> Result<Vec<String>, clap::error::ErrorKind> {
        match Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.kind())?.command {
            Command::RemoveForward(selectors) => Ok(selectors.all().iter().map(ToString::to_string).collect()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn selectors_of_all_kinds_come_together() {
        assert_eq!(
            removed("alknetctl rm web db-* @blue --host me@prod --host test").unwrap(),
            ["web", "db-*", "@blue", "--host me@prod", "--host test"]
        );
        assert_eq!(removed("alknetctl rm --all").unwrap(), ["--all"]);
    }

    #[test]
    fn a_verb_that_changes_something_is_never_for_all_by_accident() {
        assert_eq!(removed("alknetctl rm"), Err(clap::error::ErrorKind::MissingRequiredArgument));
        assert_eq!(removed("alknetctl rm @"), Err(clap::error::ErrorKind::ValueValidation));
    }
}
