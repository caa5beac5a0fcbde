//! `explain`: what the ssh configuration makes of a destination, and whether ssh makes the same of it.

use std::path::PathBuf;

use alknet_proto::{Destination, Explanation, Operation, Output};

use crate::client::{Address, unexpected};
use crate::compare::{Comparison, Homes, compare};
use crate::exit::{Exit, Failure};
use crate::json;
use crate::openssh;
use crate::printer::Printer;
use crate::render;

pub(super) async fn run(
    destination: Destination,
    with_ssh: bool,
    address: &Address,
    printer: &mut Printer,
) -> Result<Exit, Failure> {
    let explanation = match address.connect().await?.call(Operation::Explain(destination)).await? {
        Output::Explanation(explanation) => explanation,
        other => return Err(unexpected("destinations/explain", &other).into()),
    };
    let home = home();
    let comparison = if with_ssh { Some(ask_ssh(&explanation, home.clone(), address).await) } else { None };
    // The explanation is worth having also where ssh cannot be asked.
    let (comparison, failure) = match comparison {
        Some(Ok(comparison)) => (Some(comparison), None),
        Some(Err(failure)) => (None, Some(failure)),
        None => (None, None),
    };
    let home = home.as_ref().map(|home| home.display().to_string());
    if printer.json {
        if failure.is_none() {
            printer.json(&json::Explained::new(&explanation, comparison.as_ref()))?;
        }
    } else if printer.quiet {
        let server = explanation.hops.last().map(render::place).unwrap_or_default();
        printer.line(server)?;
    } else {
        let compared = comparison.as_ref().map(|comparison| render::comparison(comparison, home.as_deref()));
        let explained = render::explanation(&explanation, home.as_deref());
        printer.text(&(explained + compared.as_deref().unwrap_or_default()))?;
    }
    failure.map_or(Ok(Exit::Done), Err)
}

async fn ask_ssh(explanation: &Explanation, home: Option<PathBuf>, address: &Address) -> Result<Comparison, Failure> {
    let asked = openssh::ask(&explanation.destination, home.as_deref(), address.timeout()).await?;
    let ours = home.as_ref().and_then(|home| home.to_str());
    let homes = Homes { ours, ssh: asked.home.as_ref().and_then(|home| home.to_str()) };
    Ok(compare(&explanation.settings, &asked.dump, &asked.bare, homes))
}

/// What `~` stands for.
pub(super) fn home() -> Option<PathBuf> {
    let variable = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    std::env::var_os(variable).filter(|home| !home.is_empty()).map(PathBuf::from)
}
