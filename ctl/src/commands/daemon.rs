//! `reload`, `ping`, `version` and `shutdown`: what concerns the daemon as a whole.

use std::time::{Duration, Instant};

use alknet_proto::hello::PROTOCOL_VERSION;
use alknet_proto::{Code, Fault, Operation};

use crate::client::{Address, VERSION};
use crate::exit::{Exit, Failure};
use crate::json::{Done, Pong, Reloaded, Version, Versions};
use crate::printer::Printer;

/// Between two looks whether the daemon is gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) async fn ping(address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let client = address.connect().await?;
    let asked = Instant::now();
    client.call(Operation::Ping).await?;
    let round_trip_ms = asked.elapsed().as_secs_f64() * 1000.0;
    if printer.json {
        printer.json(&Pong { ok: true, round_trip_ms })?;
    } else if !printer.quiet {
        printer.line(format!("alknetd answers in {round_trip_ms:.1} ms"))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn reload(address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let (changed, notices) = address.connect().await?.reload().await?;
    if printer.json {
        printer.json(&Reloaded { changed: &changed, notices: &notices })?;
    } else if printer.quiet {
        let names: String = changed.iter().map(|name| format!("{name}\n")).collect();
        printer.text(&names)?;
    } else if changed.is_empty() {
        printer.line("configuration read again: nothing changed")?;
    } else {
        printer.line(format!("configuration read again: {} changed", changed.join(", ")))?;
    }
    notices.iter().for_each(|notice| printer.note(notice));
    Ok(Exit::Done)
}

/// Says what can be said: a daemon that is not there, or is of another version, is no failure here.
pub(super) async fn version(address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let protocol = PROTOCOL_VERSION;
    let answer = async { address.connect().await?.daemon().await };
    let answer: Result<_, Fault> = answer.await;
    let daemon = answer.as_ref().ok();
    if printer.json {
        let client = Version { version: VERSION, protocol };
        let daemon = daemon.map(|daemon| Version { version: &daemon.version, protocol: daemon.protocol });
        printer.json(&Versions { client, daemon })?;
    } else {
        printer.line(format!("alknetctl {VERSION} (protocol {protocol})"))?;
        if let Some(daemon) = daemon {
            printer.line(format!("alknetd {} (protocol {})", daemon.version, daemon.protocol))?;
        }
    }
    if let Err(fault) = &answer {
        printer.note(&fault.message);
        if let Some(hint) = &fault.hint {
            printer.hint(hint);
        }
    }
    Ok(Exit::Done)
}

/// Done when nobody listens at the socket any more.
pub(super) async fn shutdown(address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let client = address.connect().await?;
    client.call(Operation::Shutdown).await?;
    // An orderly stop may wait for its clients.
    drop(client);
    let gone = async {
        while !address.is_silent().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let limit = address.timeout();
    if tokio::time::timeout(limit, gone).await.is_err() {
        let fault = Fault::new(Code::TimedOut, format!("the daemon is still there after {} s", limit.as_secs_f64()))
            .with_hint("it ends its connections first; wait longer with --timeout, or end its process");
        return Err(fault.into());
    }
    if printer.json {
        printer.json(&Done { ok: true })?;
    } else if !printer.quiet {
        printer.line("alknetd has stopped")?;
    }
    Ok(Exit::Done)
}
