//! The rules on disk: read once at the start, replaced as a whole at every change.

mod file;

use std::path::{Path, PathBuf};

use alknet_core::{Event, SavedRules};
use alknet_proto::{Code, Fault, Reason, Stage, words};
use tokio::sync::{mpsc, watch};

use crate::text_file;

/// The rules file in the state directory; where it is a link, what it leads to.
pub fn path_in(state_dir: &Path) -> PathBuf {
    let path = state_dir.join("rules.json");
    path.canonicalize().unwrap_or(path)
}

/// Reads the rules. A file that is not there is an empty one.
///
/// # Errors
/// `invalid_rules` with file and line, when the file is not what this version writes or an older one wrote.
/// It is left as it is.
pub fn load(path: &Path) -> Result<SavedRules, Fault> {
    let text = match text_file::read(path) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(SavedRules::default()),
        Err(why) => {
            let fault = Fault::new(Code::InvalidRules, format!("cannot read the rules in {}: {why}", path.display()));
            return Err(fault
                .at(Stage::LocalIo)
                .with_hint("make it a file that this user can read, or move it away to start without rules"));
        }
    };
    file::sweep(path);
    file::parse(&text).map_err(|problem| problem.in_file(path))
}

/// Writes rules whenever it is given some; the latest wins. Ends when the sender is gone, with nothing left unwritten.
///
/// Reports `Saved` or `NotSaved` for what it wrote; what was superseded meanwhile is covered by the later revision.
pub async fn run(path: PathBuf, mut rules: watch::Receiver<Option<SavedRules>>, inbox: mpsc::Sender<Event>) {
    while rules.changed().await.is_ok() {
        let Some(newest) = rules.borrow_and_update().clone() else { continue };
        let revision = newest.revision;
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || file::write(&target, &newest)).await;
        let event = match written {
            Ok(Ok(())) => Event::Saved { revision },
            Ok(Err(error)) => {
                let error = words::of_io(&error);
                tracing::warn!(path = %path.display(), %error, "rules not saved");
                Event::NotSaved { revision, reason: not_saved(&path, &error) }
            }
            Err(panic) => {
                tracing::error!(%panic, "saving the rules ended by a defect");
                Event::NotSaved { revision, reason: not_saved(&path, "a defect of alknetd") }
            }
        };
        // Nobody listens while the daemon ends; the rules are on disk all the same.
        let _ = inbox.send(event).await;
    }
}

fn not_saved(path: &Path, why: &str) -> Reason {
    let message = format!("cannot save the rules in {}: {why}", path.display());
    Reason::new(Stage::LocalIo, Code::NotSaved, message)
        .with_hint("make room on the disk or make the folder writable; nothing was changed")
}
