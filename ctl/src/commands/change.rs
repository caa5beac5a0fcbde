//! `remove-forward`, `start`, `stop` and `restart`: what is done to forwards that are there.

use alknet_proto::Operation;
use alknet_proto::operation::ForwardRef;

use crate::args::SomeSelectors;
use crate::client::Address;
use crate::exit::{Exit, Failure};
use crate::json::Changed;
use crate::printer::Printer;

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// The rules go away.
    Remove,
    /// Stopped rules come back.
    Start,
    /// The rules stay and do nothing.
    Stop,
    /// Stopped and started.
    Restart,
}

impl Change {
    fn done(self) -> &'static str {
        match self {
            Change::Remove => "removed",
            Change::Start => "started",
            Change::Stop => "stopped",
            Change::Restart => "restarted",
        }
    }
}

pub(super) async fn run(
    change: Change,
    selectors: &SomeSelectors,
    address: &Address,
    printer: &mut Printer,
) -> Result<Exit, Failure> {
    let selectors = selectors.all();
    let operation = match change {
        Change::Remove => Operation::RemoveForwards(selectors),
        Change::Start => Operation::StartForwards(selectors),
        Change::Stop => Operation::StopForwards(selectors),
        Change::Restart => Operation::RestartForwards(selectors),
    };
    let forwards = address.connect().await?.change(operation).await?;
    if printer.json {
        printer.json(&forwards.iter().map(Changed::from).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    let (left, changed): (Vec<&ForwardRef>, Vec<&ForwardRef>) = forwards.iter().partition(|f| f.left_stopped);
    let done = change.done();
    let line = |name| if printer.quiet { format!("{name}\n") } else { format!("{done} {name}\n") };
    let lines: String = changed.iter().map(|forward| line(&forward.name)).collect();
    printer.text(&lines)?;
    if forwards.len() != 1 {
        printer.note(format!("{done} {} forwards", changed.len()));
    }
    for forward in left {
        let name = &forward.name;
        printer.note(format!("{name} is stopped and was left so; `alknetctl start {name}` brings it back"));
    }
    Ok(Exit::Done)
}
