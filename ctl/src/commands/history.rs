//! `history`: outages and availability.

use alknet_proto::history::ForwardKey;
use alknet_proto::{Operation, Output};
use jiff::Timestamp;

use crate::args::HistoryArgs;
use crate::client::{Address, Client, unexpected};
use crate::exit::{Exit, Failure};
use crate::history::History;
use crate::printer::Printer;
use crate::render::{self, Look};

pub(super) async fn run(args: &HistoryArgs, address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let since = args.since.before(Timestamp::now());
    let history = ask(args, since, &address.connect().await?).await?;
    if printer.json {
        printer.json(&history)?;
    } else if printer.quiet {
        let names: String = history.forwards.iter().map(|forward| format!("{}\n", forward.name)).collect();
        printer.text(&names)?;
    } else if history.forwards.is_empty() {
        printer.line("no forwards in this time")?;
    } else {
        printer.text(&render::history(&history, &Look::of_this_system()))?;
    }
    if 0 < history.skipped_lines {
        let n = history.skipped_lines;
        printer.note(match n {
            1 => "1 line of the daemon's journal of outages cannot be read and is left out".to_owned(),
            _ => format!("{n} lines of the daemon's journal of outages cannot be read and are left out"),
        });
    }
    Ok(Exit::Done)
}

async fn ask(args: &HistoryArgs, since: Timestamp, client: &Client) -> Result<History, Failure> {
    let mut forwards = Vec::new();
    let mut after = None;
    loop {
        let operation = Operation::History { selectors: args.selectors.all(), since, after };
        let mut page = match client.call(operation).await? {
            Output::History(page) => page,
            other => return Err(unexpected("forwards/history", &other).into()),
        };
        let goes_on = page.more && !page.forwards.is_empty();
        forwards.append(&mut page.forwards);
        if !goes_on {
            return Ok(History::new(page.since, page.until, forwards, page.skipped_lines));
        }
        after = forwards.last().map(|last| ForwardKey { id: last.id, name: last.name.clone() });
    }
}
