//! `add-forward`: adds forwards, and waits for them where that is asked for.

use std::time::Duration;

use alknet_proto::{ForwardId, ForwardStatus, Operation, Output};
use tokio::time::Instant;

use super::wait::{first_snapshot, until};
use crate::args::AddArgs;
use crate::client::{Address, Client, unexpected};
use crate::exit::{Exit, Failure};
use crate::goal::{Goal, View};
use crate::printer::Printer;
use crate::render;

pub(super) async fn run(args: &AddArgs, address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let operation = Operation::AddForwards(args.specs()?);
    let client = address.connect().await?;
    let forwards = match args.wait {
        None => {
            let (forwards, notices) = added(client.call(operation).await?)?;
            tell(&notices, printer);
            forwards
        }
        Some(limit) => add_and_wait(operation, limit, &client, printer).await?,
    };
    print(&forwards, printer)?;
    Ok(Exit::Done)
}

fn print(forwards: &[ForwardStatus], printer: &mut Printer) -> Result<(), Failure> {
    if printer.json {
        printer.json(forwards)?;
        return Ok(());
    }
    for forward in forwards {
        if printer.quiet {
            printer.line(&forward.name)?;
        } else {
            printer.line(render::added(forward))?;
        }
    }
    Ok(())
}

fn tell(notices: &[String], printer: &mut Printer) {
    for notice in notices {
        printer.note(notice);
    }
}

fn added(output: Output) -> Result<(Vec<ForwardStatus>, Vec<String>), Failure> {
    match output {
        Output::Added { forwards, notices } => Ok((forwards, notices)),
        other => Err(unexpected("forwards/add", &other).into()),
    }
}

/// Watches before it asks, so that no change is missed between the two.
///
/// `limit` begins when the forwards are added.
async fn add_and_wait(
    operation: Operation,
    limit: Duration,
    client: &Client,
    printer: &mut Printer,
) -> Result<Vec<ForwardStatus>, Failure> {
    let mut events = client.watch(Vec::new(), None, None).await?;
    let mut view = View::default();
    first_snapshot(&mut events, &mut view, Instant::now() + client.timeout()).await?;

    // The events are taken in meanwhile: a full queue of them would hold up the answer.
    let answer = async { added(client.call(operation).await?) };
    let mut answer = std::pin::pin!(answer);
    let (forwards, notices) = loop {
        tokio::select! {
            biased;
            answer = &mut answer => break answer?,
            event = events.next() => view.apply(&event?),
        }
    };
    tell(&notices, printer);

    let deadline = Instant::now() + limit;
    let ids: Vec<ForwardId> = forwards.iter().map(|forward| forward.id).collect();
    view.learn(forwards);
    let waited = until(Goal::Active, Some(&ids), &mut events, &mut view, deadline, limit).await;
    let stay = view.of(&ids).cloned().collect();
    match waited {
        Ok(()) => Ok(stay),
        Err(failure) => Err(failure.leaving(stay)),
    }
}
