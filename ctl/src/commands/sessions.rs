//! `list-sessions`, `retry`, `disconnect` and `restart --seamless`.

use alknet_proto::{Destination, Operation, Selector, SessionState, SessionStatus};

use crate::client::Address;
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::render::{self, Look};

pub(super) async fn list(address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let sessions = address.connect().await?.sessions().await?;
    if printer.json {
        printer.json(&sessions)?;
    } else if printer.quiet {
        let names: String = sessions.iter().map(|session| format!("{}\n", session.destination)).collect();
        printer.text(&names)?;
    } else if sessions.is_empty() {
        printer.line("no sessions")?;
        printer.hint("a session comes with the first forward to its destination");
    } else {
        printer.text(&render::sessions(&sessions, &Look::of_this_system()))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn retry(
    destinations: Vec<Destination>,
    address: &Address,
    printer: &mut Printer,
) -> Result<Exit, Failure> {
    let client = address.connect().await?;
    let retried = client.change_sessions(Operation::RetrySessions(destinations)).await?;
    if retried.is_empty() {
        printer.note("no session is down");
        return print("connecting to", &retried, printer);
    }
    // One that had too many handshakes in vain waits all the same; whoever asked is told until when.
    let sessions = client.sessions().await?;
    let is_retried = |session: &&SessionStatus| retried.contains(&session.destination);
    let waiting: Vec<&SessionStatus> =
        sessions.iter().filter(is_retried).filter(|session| session.state == SessionState::Suspended).collect();
    for session in &waiting {
        if let (Some(at), Some(reason)) = (session.retry_at, &session.reason) {
            let at = at.strftime("%H:%M:%SZ");
            printer.note(format!("{} is tried at {at}: {}", session.destination, reason.message));
        }
    }
    if printer.json {
        return print("", &retried, printer);
    }
    let waits = |name: &Destination| waiting.iter().any(|session| session.destination == *name);
    let (later, now): (Vec<Destination>, Vec<Destination>) = retried.into_iter().partition(waits);
    print("connecting to", &now, printer)?;
    print("waiting for", &later, printer)
}

/// Replaces the sessions of what is selected, one after the other: destinations, or forwards that use them.
pub(super) async fn renew(selectors: &[Selector], address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let client = address.connect().await?;
    let sessions = client.sessions().await?;
    let mut wanted: Vec<Destination> = Vec::new();
    for selector in selectors {
        let named = sessions.iter().map(|session| &session.destination).find(|destination| match selector {
            Selector::Host(meant) => meant == *destination,
            Selector::Named(text) => destination.to_string() == *text,
            Selector::Glob(_) | Selector::Tag(_) | Selector::All => false,
        });
        let destinations = match named {
            Some(destination) => vec![destination.clone()],
            None => {
                let forwards = client.forwards(std::slice::from_ref(selector)).await?;
                forwards.into_iter().map(|forward| forward.destination).collect()
            }
        };
        for destination in destinations {
            if !wanted.contains(&destination) {
                wanted.push(destination);
            }
        }
    }
    let mut renewed = Vec::new();
    for destination in wanted {
        renewed.extend(client.change_sessions(Operation::RenewSession(destination)).await?);
    }
    print("replaced the session to", &renewed, printer)
}

pub(super) async fn disconnect(
    destination: Destination,
    address: &Address,
    printer: &mut Printer,
) -> Result<Exit, Failure> {
    let ended = address.connect().await?.change_sessions(Operation::DisconnectSession(destination)).await?;
    let exit = print("disconnected", &ended, printer)?;
    printer.note("`alknetctl retry` connects again");
    Ok(exit)
}

fn print(done: &str, destinations: &[Destination], printer: &mut Printer) -> Result<Exit, Failure> {
    if printer.json {
        printer.json(destinations)?;
        return Ok(Exit::Done);
    }
    let line = |name| if printer.quiet { format!("{name}\n") } else { format!("{done} {name}\n") };
    let lines: String = destinations.iter().map(line).collect();
    printer.text(&lines)?;
    Ok(Exit::Done)
}
