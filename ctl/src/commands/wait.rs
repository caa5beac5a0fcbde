//! `wait`: until every selected forward is in a state at the same time.

use std::time::Duration;

use alknet_proto::{Code, Fault, ForwardId, ForwardStatus, StatusEvent};
use tokio::time::{Instant, timeout_at};

use crate::args::WaitArgs;
use crate::client::{Address, Events};
use crate::exit::{Exit, Failure};
use crate::goal::{Goal, Verdict, View};
use crate::printer::Printer;

/// The daemon gets this long to say how things are, even where nobody wants to wait.
const LEAST_FOR_THE_FIRST_ANSWER: Duration = Duration::from_secs(1);

pub(super) async fn run(args: &WaitArgs, address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let (goal, selectors) = (args.goal, args.selectors.all());
    let limit = address.timeout();
    let start = Instant::now();
    let address = &address.with_timeout(limit.max(LEAST_FOR_THE_FIRST_ANSWER));
    let client = address.connect().await?;

    if goal != Goal::Gone && client.forwards(&selectors).await?.is_empty() {
        // A watch begins with whatever there is; only a list says which selector picks nothing.
        return Err(Fault::new(Code::NotFound, "there is no forward to wait for")
            .with_hint("`alknetctl list-forwards` shows what there is")
            .into());
    }
    let mut events = client.watch(selectors, None, None).await?;
    let mut view = View::default();
    match first_snapshot(&mut events, &mut view, start + address.timeout()).await {
        // What nothing is known of is gone.
        Err(fault) if goal == Goal::Gone && fault.code == Code::NotFound => {}
        begun => {
            begun?;
            until(goal, None, &mut events, &mut view, start + limit, limit).await?;
        }
    }

    let forwards: Vec<ForwardStatus> = view.forwards().cloned().collect();
    print(goal, &forwards, printer)?;
    Ok(Exit::Done)
}

/// Takes in everything up to the first whole snapshot.
///
/// # Errors
/// The daemon's refusal to watch, and [`Code::TimedOut`] at the deadline.
pub(super) async fn first_snapshot(events: &mut Events, view: &mut View, deadline: Instant) -> Result<(), Fault> {
    loop {
        let Ok(event) = timeout_at(deadline, events.next()).await else {
            return Err(Fault::new(Code::TimedOut, "the daemon did not say in time how the forwards are"));
        };
        let event = event?;
        view.apply(&event);
        if matches!(event, StatusEvent::Snapshot(_)) {
            return Ok(());
        }
    }
}

fn print(goal: Goal, forwards: &[ForwardStatus], printer: &mut Printer) -> Result<(), Failure> {
    if printer.json {
        printer.json(forwards)?;
        return Ok(());
    }
    for forward in forwards {
        if printer.quiet {
            printer.line(&forward.name)?;
        } else {
            printer.line(format!("{} is {}", forward.name, goal.word()))?;
        }
    }
    Ok(())
}

/// Waits until the goal is reached, by `ids` or, without them, by all forwards of the view.
///
/// # Errors
/// [`Code::TimedOut`] at the deadline, [`Code::NotFound`] when nothing is left to wait for, and the
/// reason of a forward that does not get there before a person acts.
pub(super) async fn until(
    goal: Goal,
    ids: Option<&[ForwardId]>,
    events: &mut Events,
    view: &mut View,
    deadline: Instant,
    limit: Duration,
) -> Result<(), Failure> {
    loop {
        let waited_for: Vec<&ForwardStatus> = match ids {
            Some(ids) => view.of(ids).collect(),
            None => view.forwards().collect(),
        };
        let is_one_missing = ids.is_some_and(|ids| waited_for.len() < ids.len());
        match goal.verdict(waited_for.iter().copied()) {
            _ if is_one_missing => return Err(nothing_left(goal).into()),
            Verdict::Reached => return Ok(()),
            Verdict::Hopeless(forward) => {
                return Err(Failure::hopeless(&forward));
            }
            Verdict::Nothing => return Err(nothing_left(goal).into()),
            Verdict::NotYet => {}
        }
        let unmet = waited_for.into_iter().cloned().collect::<Vec<_>>();
        match timeout_at(deadline, events.next()).await {
            Ok(event) => view.apply(&event?),
            Err(_) => return Err(ran_out(goal, &unmet, limit).into()),
        }
    }
}

fn nothing_left(goal: Goal) -> Fault {
    Fault::new(Code::NotFound, format!("a forward was removed while this waited until it is {}", goal.word()))
        .with_hint("`alknetctl list-forwards` shows what there is")
}

/// Why a wait ends at its limit: which forwards are not there, and why.
pub(super) fn ran_out(goal: Goal, forwards: &[ForwardStatus], limit: Duration) -> Fault {
    let unmet = goal.unmet(forwards);
    let unmet = if unmet.is_empty() { "no forward is there".to_owned() } else { unmet };
    let fault = Fault::new(Code::TimedOut, format!("not {} within {} s: {unmet}", goal.word(), limit.as_secs_f64()));
    let reason = forwards.iter().find_map(|forward| forward.reason.as_ref());
    let hint = reason
        .and_then(|reason| reason.hint.as_deref())
        .unwrap_or("the rules stay and the daemon keeps trying; `alknetctl list-forwards` shows how they are");
    let fault = fault.with_hint(hint);
    match reason {
        Some(reason) => fault.at(reason.stage),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use alknet_proto::{Stage, Status};

    use super::*;
    use crate::sample;

    #[test]
    fn a_wait_that_runs_out_says_who_is_not_there_and_why() {
        let forwards = [sample::suspended(1, "web"), sample::forward(2, "db", Status::Starting)];

        let fault = ran_out(Goal::Active, &forwards, Duration::from_millis(1500));

        assert_eq!(
            fault.message,
            "not active within 1.5 s: web is suspended: 10.0.0.1:22 did not answer within 10 s; db is starting"
        );
        assert_eq!((fault.code, fault.stage), (Code::TimedOut, Some(Stage::Tcp)));
        assert_eq!(Exit::from(fault.code), Exit::TimedOut);
    }
}
