//! `watch`: every change as it happens.

use alknet_proto::event::Flat;
use alknet_proto::{Code, Fault, ForwardStatus, Selector, StatusEvent};
use tokio::time::Instant;

use super::wait::ran_out;
use crate::args::WatchArgs;
use crate::client::{Address, Client};
use crate::exit::{Exit, Failure};
use crate::goal::{Goal, Verdict, View};
use crate::printer::{Printer, stdout_closed};
use crate::render::{self, Figures, Look};

pub(super) async fn run(args: &WatchArgs, address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let selectors = args.selectors.all();
    let start = Instant::now();
    let client = address.connect().await?;
    let mut view = View::default();
    let mut is_known = false;
    if args.since.is_some() && args.until.is_some() {
        // Events that go on behind a change do not say how everything else is.
        view.learn(existing(&client, &selectors).await?);
        is_known = true;
    }
    let mut events = client.watch(selectors, args.since, args.stats).await?;
    let mut resumed_behind = args.since;
    let mut reader_gone = std::pin::pin!(stdout_closed());
    let mut figures = Figures::default();
    let limit = address.asked_timeout().filter(|_| args.until.is_some());
    let mut too_late = std::pin::pin!(over(limit.map(|limit| start + limit)));

    loop {
        if let Some(goal) = args.until
            && is_known
            && goal.verdict(view.forwards()) == Verdict::Reached
        {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = &mut reader_gone => return Ok(Exit::Done),
            event = events.next() => {
                let event = match event {
                    Err(fault) if fault.code == Code::NotFound && args.until == Some(Goal::Gone) => {
                        return Ok(Exit::Done);
                    }
                    event => event?,
                };
                let is_snapshot = matches!(event, StatusEvent::Snapshot(_));
                if let Some(since) = resumed_behind.take()
                    && is_snapshot
                {
                    printer.note(format!("alknetd does not remember what came behind {since}; this is how things are"));
                }
                is_known |= is_snapshot;
                view.apply(&event);
                print(&event, &mut figures, printer)?;
            }
            () = &mut too_late => {
                let (Some(goal), Some(limit)) = (args.until, limit) else { continue };
                let unmet: Vec<ForwardStatus> = view.forwards().cloned().collect();
                return Err(ran_out(goal, &unmet, limit).into());
            }
        }
    }
}

fn print(event: &StatusEvent, figures: &mut Figures, printer: &mut Printer) -> Result<(), Failure> {
    if printer.json {
        printer.json(&Flat(event))?;
        return Ok(());
    }
    let look = Look::of_this_system();
    let lines = match event {
        StatusEvent::Stats(stats) => figures.lines(stats, &look),
        event => render::event(event, &look),
    };
    if !lines.is_empty() {
        printer.text(&lines)?;
    }
    Ok(())
}

/// Waits until the deadline; for ever without one.
async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What the selectors pick; that may be nothing.
async fn existing(client: &Client, selectors: &[Selector]) -> Result<Vec<ForwardStatus>, Fault> {
    match client.forwards(selectors).await {
        Err(fault) if fault.code == Code::NotFound => Ok(Vec::new()),
        answer => answer,
    }
}
