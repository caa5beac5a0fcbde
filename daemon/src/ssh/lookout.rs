//! Looks out for what may mend a final failure: the configuration, key files, known_hosts, a further key of the agent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alknet_core::{Epoch, Event};
use alknet_proto::{Code, Destination, Reason};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::config::{Server, Way};
use super::session::locked;
use super::settings::Settings;
use super::stamp::Stamps;
use super::{auth, config};

/// How often the system is asked about the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// What was changed has to stay so for so long.
const SETTLE: Duration = Duration::from_millis(300);
/// After so many looks the agent is asked: every 10 s, since it may ask a person in turn.
const LOOKS_BETWEEN_AGENTS: u32 = 5;
/// Nobody has more files that his configuration may be spread over.
const MAX_FILES: usize = 256;

/// What the latest attempt of a destination went by.
#[derive(Debug, Default)]
pub struct Evidence(Mutex<Option<Seen>>);

#[derive(Clone, Debug)]
struct Seen {
    configuration: Stamps,
    keys: Stamps,
    known_hosts: Stamps,
    server: Result<Server, Reason>,
    /// The keys of the agent, where it was asked.
    agent: Option<BTreeSet<String>>,
}

impl Evidence {
    /// Resolves a destination and remembers by what. Blocks.
    pub(super) fn resolve(&self, destination: &Destination, settings: &Settings) -> Result<Server, Reason> {
        let seen = Seen::now(destination, settings);
        let server = seen.server.clone();
        *locked(&self.0) = Some(seen);
        server
    }

    /// The agent was asked in this attempt, and had these keys.
    pub(super) fn note_agent(&self, keys: BTreeSet<String>) {
        if let Some(seen) = locked(&self.0).as_mut() {
            seen.agent = Some(keys);
        }
    }
}

impl Seen {
    /// The stamps come first: what changes while it is read is found the next time.
    fn now(destination: &Destination, settings: &Settings) -> Seen {
        let around = Stamps::of(around(settings));
        let (files, server) = config::resolve(destination, settings);
        let configuration = if files.is_empty() { around } else { Stamps::of(around_and(settings, files)) };
        let (mut keys, mut known_hosts) = (Vec::new(), Vec::new());
        let mut next = server.as_ref().ok();
        while let Some(hop) = next {
            for path in hop.keys.iter().chain(&hop.certificates) {
                keys.extend([path.clone(), with_ending(path, ".pub"), with_ending(path, "-cert.pub")]);
            }
            known_hosts.extend(hop.known.user_files.iter().chain(&hop.known.global_files).cloned());
            known_hosts.extend(hop.known.revoked.clone());
            next = match &hop.way {
                Way::Jump(hop) => Some(hop),
                Way::Direct | Way::Command(_) => None,
            };
        }
        let (keys, known_hosts) = (Stamps::of(keys), Stamps::of(known_hosts));
        Seen { configuration, keys, known_hosts, server, agent: None }
    }
}

/// The files that a configuration begins with, and the folder in which its others usually are.
fn around(settings: &Settings) -> Vec<PathBuf> {
    let mut files = vec![settings.ssh_config.clone(), settings.global_ssh_config.clone()];
    let mut folders = vec![settings.ssh_folder()];
    while let Some(folder) = folders.pop() {
        let is_top = folder == settings.ssh_folder();
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_known_hosts = entry.file_name().to_string_lossy().starts_with("known_hosts");
            if is_top && path.is_dir() {
                folders.push(path);
            } else if !is_known_hosts && files.len() < MAX_FILES {
                files.push(path);
            }
        }
    }
    files
}

/// The files that were read, and the folders in which one more may appear.
fn around_and(settings: &Settings, files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut all = vec![settings.ssh_config.clone(), settings.global_ssh_config.clone()];
    let folders: Vec<PathBuf> = files.iter().filter_map(|path| path.parent()).map(Path::to_owned).collect();
    all.extend(files);
    all.extend(folders);
    all
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What a failure may be mended by, beside the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    Credentials,
    KnownHosts,
    ConfigurationAlone,
}

fn remedy(code: Code) -> Remedy {
    if matches!(code, Code::AuthRefused | Code::NeedsInput | Code::AgentRefused) {
        Remedy::Credentials
    } else if matches!(code, Code::HostKeyUnknown | Code::HostKeyChanged | Code::HostKeyRevoked | Code::HostKeyRefused)
    {
        Remedy::KnownHosts
    } else {
        Remedy::ConfigurationAlone
    }
}

/// Looks out for the remedy of one failure.
pub struct Lookout {
    /// Where the attempt went.
    pub destination: Destination,
    /// Its number.
    pub epoch: Epoch,
    /// How it failed.
    pub code: Code,
    /// How it connected.
    pub settings: Arc<Settings>,
    /// What it went by.
    pub evidence: Arc<Evidence>,
    /// Where the news goes.
    pub inbox: mpsc::Sender<Event>,
    /// Ends it.
    pub cancel: CancellationToken,
}

impl Lookout {
    /// Looks until something has changed, and says so once, or until it is cancelled.
    ///
    /// Files are asked about every 2 s and read only when the system says that they are others. The agent is asked
    /// every 10 s, and only for a login. A panic ends it: then a person has to ask.
    pub async fn run(self) {
        let cancel = self.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = self.look() => {
                let Lookout { destination, epoch, inbox, .. } = self;
                tracing::info!(session = %destination, "something was mended; trying again");
                // Nobody listens while the daemon ends.
                let _ = inbox.send(Event::Mended { destination, epoch }).await;
            }
        }
    }

    async fn look(&self) {
        let remedy = remedy(self.code);
        let known = locked(&self.evidence.0).clone();
        let Some(mut seen) = (match known {
            Some(seen) => Some(seen),
            None => self.see().await,
        }) else {
            return std::future::pending().await;
        };
        // Other settings of alknet may come to something else with the same files.
        if let Some(read) = self.see().await
            && read.server != seen.server
        {
            return;
        }
        for n_looks in 1_u32.. {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let Some(mut now) = stamped(&seen).await else { continue };
            while now != seen.stamped() {
                // An editor may be in the middle of it.
                tokio::time::sleep(SETTLE).await;
                let Some(later) = stamped(&seen).await else { continue };
                if std::mem::replace(&mut now, later.clone()) == later {
                    break;
                }
            }
            let has_other_files = match remedy {
                Remedy::Credentials => now.keys != seen.keys,
                Remedy::KnownHosts => now.known_hosts != seen.known_hosts,
                Remedy::ConfigurationAlone => false,
            };
            if has_other_files {
                return;
            }
            if now.configuration != seen.configuration
                && let Some(read) = self.see().await
            {
                if read.server != seen.server {
                    return;
                }
                seen = Seen { agent: seen.agent, ..read };
            }
            if remedy == Remedy::Credentials
                && n_looks % LOOKS_BETWEEN_AGENTS == 0
                && self.agent_gained(&mut seen).await
            {
                return;
            }
        }
    }

    async fn see(&self) -> Option<Seen> {
        let (destination, settings) = (self.destination.clone(), self.settings.clone());
        tokio::task::spawn_blocking(move || Seen::now(&destination, &settings)).await.ok()
    }

    /// Whether the agent has a key that it never had before in this time; one that was away and is back is no news,
    /// since the server refused it.
    async fn agent_gained(&self, seen: &mut Seen) -> bool {
        let Ok(server) = &seen.server else { return false };
        let has = auth::offer::of_agent(server).await;
        let Some(had) = &mut seen.agent else {
            seen.agent = Some(has);
            return false;
        };
        let has_gained = !has.is_subset(had);
        had.extend(has);
        has_gained
    }
}

/// What the system says about the files.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamped {
    configuration: Stamps,
    keys: Stamps,
    known_hosts: Stamps,
}

impl Seen {
    fn stamped(&self) -> Stamped {
        let Seen { configuration, keys, known_hosts, .. } = self;
        Stamped { configuration: configuration.clone(), keys: keys.clone(), known_hosts: known_hosts.clone() }
    }
}

/// The same files as they are now, without reading them.
async fn stamped(seen: &Seen) -> Option<Stamped> {
    let Stamped { configuration, keys, known_hosts } = seen.stamped();
    let look =
        move || Stamped { configuration: configuration.again(), keys: keys.again(), known_hosts: known_hosts.again() };
    tokio::task::spawn_blocking(look).await.ok()
}
