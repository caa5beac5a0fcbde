//! `list-forwards` and `show`.

use alknet_proto::{Operation, Output, Selector};

use crate::args::AnySelectors;
use crate::client::{Address, unexpected};
use crate::exit::{Exit, Failure};
use crate::json::Detail;
use crate::printer::Printer;
use crate::render::{self, Look};

pub(super) async fn list(selectors: &AnySelectors, address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let forwards = address.connect().await?.forwards(&selectors.all()).await?;
    if printer.json {
        printer.json(&forwards)?;
    } else if printer.quiet {
        let names: String = forwards.iter().map(|forward| format!("{}\n", forward.name)).collect();
        printer.text(&names)?;
    } else if forwards.is_empty() {
        printer.line("no forwards")?;
        printer.hint("add one with: alknetctl add-forward DESTINATION -L 8080:localhost:80");
    } else {
        printer.text(&render::forwards(&forwards, &Look::of_this_system()))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn show(selector: Selector, address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let detail = match address.connect().await?.call(Operation::ShowForward(selector)).await? {
        Output::Forward(detail) => detail,
        other => return Err(unexpected("forwards/show", &other).into()),
    };
    if printer.json {
        printer.json(&Detail::from(&*detail))?;
    } else if printer.quiet {
        printer.line(&detail.forward.name)?;
    } else {
        printer.text(&render::detail(&detail, &Look::of_this_system()))?;
    }
    Ok(Exit::Done)
}
