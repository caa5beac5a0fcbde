//! `import`: forwards of the ssh configuration, of command lines and of units become rules.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alknet_proto::explain::FoundForward;
use alknet_proto::fault::one_line;
use alknet_proto::{Code, Fault, ForwardStatus, Operation, Output, words};

use super::explain::home;
use crate::args::ImportArgs;
use crate::client::{Address, Client, unexpected};
use crate::exit::{Exit, Failure};
use crate::import::{self, Imported, Source, Unit};
use crate::json;
use crate::printer::Printer;
use crate::render;

/// How long a dry run waits to hear which rules are there already. Without a daemon it does without.
const GLANCE: Duration = Duration::from_secs(2);
/// No unit is as long as this.
const MAX_UNIT_BYTES: u64 = 1024 * 1024;

pub(super) async fn run(args: &ImportArgs, address: &Address, printer: &mut Printer) -> Result<Exit, Failure> {
    let reads_configuration = args.units.is_empty() && args.command.is_empty();
    let client = if reads_configuration || args.apply { Some(address.connect().await?) } else { None };
    let sources = match &client {
        Some(client) if reads_configuration => import::of_configuration(&found(client, args).await?),
        Some(_) | None => given(args)?,
    };
    let rules = match &client {
        Some(client) => client.forwards(&[]).await?,
        None => rules_at_a_glance(address).await,
    };
    let mut imported: Vec<Imported> = sources.into_iter().map(|source| Imported::new(source, &rules)).collect();
    let mut notices = Vec::new();
    if let Some(client) = client.filter(|_| args.apply) {
        for one in &mut imported {
            notices.extend(add(one, &client).await?);
        }
    }
    let failure = failure(&imported);
    if printer.json {
        printer.json(&json::Imports::new(args.apply, &imported, failure.as_ref().map(|(fault, _)| fault)))?;
    } else if printer.quiet {
        let names: String =
            imported.iter().flat_map(|one| &one.added).map(|forward| format!("{}\n", forward.name)).collect();
        printer.text(&names)?;
    } else {
        let home = home();
        let home = home.as_ref().and_then(|home| home.to_str());
        printer.text(&render::imported(&imported, args.apply, home))?;
        hints(args, &imported, printer);
    }
    notices.iter().for_each(|notice| printer.note(notice));
    match failure {
        // The object has said it already.
        Some((_, exit)) if printer.json => Ok(exit),
        Some((fault, exit)) => Err(Failure::with_exit(fault, exit)),
        None => Ok(Exit::Done),
    }
}

/// Adds all of it or nothing, and says what the daemon has to say about it.
async fn add(one: &mut Imported, client: &Client) -> Result<Vec<String>, Failure> {
    let specs = one.specs();
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    match client.call(Operation::AddForwards(specs)).await {
        Ok(Output::Added { forwards, notices }) => {
            one.added = forwards;
            Ok(notices)
        }
        Ok(other) => Err(unexpected("forwards/add", &other).into()),
        // Without a daemon the others cannot be added either.
        Err(fault) if matches!(fault.code, Code::NoDaemon | Code::DaemonStopping) => Err(fault.into()),
        Err(fault) => {
            one.fault = Some(fault);
            Ok(Vec::new())
        }
    }
}

/// What is not as it was asked for. The first of it decides about the exit code.
fn failure(imported: &[Imported]) -> Option<(Fault, Exit)> {
    let mut failed = imported.iter().filter_map(Imported::failure);
    let first = failed.next()?;
    let exit = Exit::from(first.code);
    let n_failed = 1 + failed.count();
    if n_failed == 1 {
        return Some((first, exit));
    }
    let message = format!("{n_failed} of {} were not imported; the first: {}", imported.len(), first.message);
    Some((Fault { message: one_line(&message), ..first }, exit))
}

fn hints(args: &ImportArgs, imported: &[Imported], printer: &mut Printer) {
    let n_new: usize = imported.iter().map(|one| one.specs().len()).sum();
    if imported.is_empty() {
        printer.hint(
            "LocalForward, RemoteForward and DynamicForward are read; `alknetctl import -- ssh …` reads a command",
        );
    } else if !args.apply && 0 < n_new {
        printer.hint("nothing was added; the same with --apply adds them");
    }
    let n_added: usize = imported.iter().map(|one| one.added.len()).sum();
    if 0 < n_added && !args.units.is_empty() {
        printer.hint("stop the units, or they keep the ports: systemctl [--user] disable --now UNIT");
    }
}

/// The forwards that the daemon finds in the ssh configuration.
async fn found(client: &Client, args: &ImportArgs) -> Result<Vec<FoundForward>, Failure> {
    let mut all: Vec<FoundForward> = Vec::new();
    loop {
        let skip = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let page = Operation::FindForwards { destinations: args.hosts.clone(), skip };
        match client.call(page).await? {
            Output::FoundForwards { forwards, more } => {
                let goes_on = more && !forwards.is_empty();
                all.extend(forwards);
                if !goes_on {
                    return Ok(all);
                }
            }
            other => return Err(unexpected("destinations/forwards", &other).into()),
        }
    }
}

/// The units and the command of the command line.
fn given(args: &ImportArgs) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let home = home();
    let user = std::env::var(if cfg!(windows) { "USERNAME" } else { "USER" }).ok();
    for path in &args.units {
        let shown = path.display().to_string();
        let text = read(path).map_err(|why| {
            Fault::new(Code::InvalidConfig, format!("cannot read {shown}: {why}"))
                .with_hint("`systemctl cat UNIT` shows where the file of a unit is")
        })?;
        let unit = Unit {
            path: &shown,
            name: path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
            home: home.as_ref().and_then(|home| home.to_str()),
            user: user.as_deref(),
            read: &|path| read(&PathBuf::from(path)),
        };
        sources.extend(import::unit(&unit, &text));
    }
    if !args.command.is_empty() {
        sources.push(import::command(&args.command));
    }
    Ok(sources)
}

fn read(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => words::of_io(&error),
    })?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    if MAX_UNIT_BYTES < metadata.len() {
        return Err("it is larger than 1 MiB".to_owned());
    }
    let bytes = std::fs::read(path).map_err(|error| words::of_io(&error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The rules that are there, where a daemon says so at once.
async fn rules_at_a_glance(address: &Address) -> Vec<ForwardStatus> {
    let asked = async { address.connect().await.ok()?.forwards(&[]).await.ok() };
    tokio::time::timeout(GLANCE.min(address.timeout()), asked).await.ok().flatten().unwrap_or_default()
}
