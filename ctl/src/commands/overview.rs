//! `status`: the daemon, its sessions and its forwards at a glance.

use alknet_proto::Status;

use crate::client::Address;
use crate::exit::{Exit, Failure};
use crate::json::Overview;
use crate::printer::Printer;
use crate::render::{self, Look};

pub(super) async fn run(check: bool, address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let client = address.connect().await?;
    let daemon = client.daemon().await?;
    let sessions = client.sessions().await?;
    let forwards = client.forwards(&[]).await?;
    if printer.json {
        printer.json(&Overview { daemon: &daemon, sessions: &sessions, forwards: &forwards, prompts: &[] })?;
    } else if !(check && printer.quiet) {
        printer.text(&render::status(&daemon, &sessions, &forwards, &Look::of_this_system()))?;
    }
    let is_as_asked = |status| status == Status::Active || status == Status::Stopped;
    let all_are = forwards.iter().all(|forward| is_as_asked(forward.status));
    Ok(if check && !all_are { Exit::NotActive } else { Exit::Done })
}
