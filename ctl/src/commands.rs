//! The verbs: each asks the daemon and prints what it answers.

mod add;
mod change;
mod daemon;
mod explain;
mod history;
mod import;
mod list;
mod overview;
mod sessions;
mod wait;
mod watch;

use clap::CommandFactory;

use crate::args::{Cli, Command};
use crate::client::Address;
use crate::exit::{Exit, Failure};
use crate::json::Completions;
use crate::printer::Printer;

/// Does what the command line asks for, to its end.
///
/// # Errors
/// Why it was not done, with the exit code that says so.
pub(crate) async fn run(command: Command, address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    match command {
        Command::AddForward(args) => add::run(&args, address, printer).await,
        Command::RemoveForward(selectors) => change::run(change::Change::Remove, &selectors, address, printer).await,
        Command::Start(selectors) => change::run(change::Change::Start, &selectors, address, printer).await,
        Command::Stop(selectors) => change::run(change::Change::Stop, &selectors, address, printer).await,
        Command::Restart(args) if args.seamless => sessions::renew(&args.selectors.all(), address, printer).await,
        Command::Restart(args) => change::run(change::Change::Restart, &args.selectors, address, printer).await,
        Command::ListForwards(selectors) => list::list(&selectors, address, printer).await,
        Command::Show { selector } => list::show(selector, address, printer).await,
        Command::Wait(args) => wait::run(&args, address, printer).await,
        Command::Watch(args) => watch::run(&args, address, printer).await,
        Command::Status { check } => overview::run(check, address, printer).await,
        Command::History(args) => history::run(&args, address, printer).await,
        Command::ListSessions => sessions::list(address, printer).await,
        Command::Retry { destinations } => sessions::retry(destinations, address, printer).await,
        Command::Disconnect { destination } => sessions::disconnect(destination, address, printer).await,
        Command::Reload => daemon::reload(address, printer).await,
        Command::Ping => daemon::ping(address, printer).await,
        Command::Version => daemon::version(address, printer).await,
        Command::Shutdown => daemon::shutdown(address, printer).await,
        Command::Completions { shell } => completions(shell, printer),
        Command::Import(args) => import::run(&args, address, printer).await,
        Command::Explain { destination, compare } => explain::run(destination, compare, address, printer).await,
    }
}

fn completions(shell: clap_complete::Shell, printer: &mut Printer) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    // Into memory first: the generator panics where writing fails.
    clap_complete::generate(shell, &mut Cli::command(), "alknetctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    if printer.json {
        printer.json(&Completions { shell: shell.to_string(), script: &script })?;
    } else {
        printer.text(&script)?;
    }
    Ok(Exit::Done)
}
