//! `watch`: every change as it happens.

use std::time::Duration;

use alknet_proto::event::Flat;
use alknet_proto::{Code, Fault, ForwardStatus, Selector, StatusEvent};
use jiff::Timestamp;
use tokio::time::Instant;

use super::wait::ran_out;
use crate::args::WatchArgs;
use crate::client::{Address, Client};
use crate::exit::{Exit, Failure};
use crate::goal::{Goal, Verdict, View};
use crate::json::Stats;
use crate::printer::{Printer, stdout_closed};
use crate::render::{self, Look};

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
    let mut events = client.watch(selectors.clone(), args.since).await?;
    let mut resumed_behind = args.since;
    let mut reader_gone = std::pin::pin!(stdout_closed());
    let mut counters = std::pin::pin!(next_counters(&client, &selectors, args.stats));
    let mut counted: Vec<ForwardStatus> = Vec::new();
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
                print(&event, printer)?;
            }
            forwards = &mut counters => {
                let forwards = forwards?;
                print_counters(&counted, &forwards, printer)?;
                counted = forwards;
                counters.set(next_counters(&client, &selectors, args.stats));
            }
            () = &mut too_late => {
                let (Some(goal), Some(limit)) = (args.until, limit) else { continue };
                let unmet: Vec<ForwardStatus> = view.forwards().cloned().collect();
                return Err(ran_out(goal, &unmet, limit).into());
            }
        }
    }
}

fn print(event: &StatusEvent, printer: &mut Printer) -> Result<(), Failure> {
    if printer.json {
        printer.json(&Flat(event))?;
        return Ok(());
    }
    let lines = render::event(event, &Look::of_this_system());
    if !lines.is_empty() {
        printer.text(&lines)?;
    }
    Ok(())
}

fn print_counters(before: &[ForwardStatus], now: &[ForwardStatus], printer: &mut Printer) -> Result<(), Failure> {
    if printer.json {
        printer.json(&Stats::new(Timestamp::now(), now))?;
        return Ok(());
    }
    let lines = render::counted(before, now, &Look::of_this_system());
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

/// Waits one period and asks for the counters; for ever without a period.
async fn next_counters(
    client: &Client,
    selectors: &[Selector],
    period: Option<Duration>,
) -> Result<Vec<ForwardStatus>, Fault> {
    match period {
        Some(period) => tokio::time::sleep(period).await,
        None => std::future::pending().await,
    }
    existing(client, selectors).await
}

/// What the selectors pick; that may be nothing.
async fn existing(client: &Client, selectors: &[Selector]) -> Result<Vec<ForwardStatus>, Fault> {
    match client.forwards(selectors).await {
        Err(fault) if fault.code == Code::NotFound => Ok(Vec::new()),
        answer => answer,
    }
}
