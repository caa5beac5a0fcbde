//! Says which keys a login would offer, in its order, without logging in.

use std::collections::BTreeSet;
use std::path::PathBuf;

use alknet_proto::explain::{KeyHolder, OfferedKey};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};

use super::certificates::{self, CertificateFile};
use super::keys::{KeyFile, read_all};
use super::{AGENT_TIMEOUT, connect_agent};
use crate::ssh::config::Server;

/// The key files of a server, each with its path, and its certificates.
pub(in crate::ssh) struct KeyFiles(Vec<(PathBuf, KeyFile)>, Vec<CertificateFile>);

impl KeyFiles {
    /// Reads them. Blocks.
    pub(in crate::ssh) fn read(server: &Server) -> KeyFiles {
        let read = |path: &PathBuf| {
            let found = read_all(std::slice::from_ref(path), server.names_keys);
            found.into_iter().map(|file| (path.clone(), file)).collect::<Vec<_>>()
        };
        KeyFiles(server.keys.iter().flat_map(read).collect(), certificates::read_all(server).0)
    }
}

/// The keys in the order of a login: those of the agent that the configuration names, its others, the files.
/// Beside them stands what a person should know. Waits for the agent, at most 5 s.
pub(in crate::ssh) async fn offered(server: &Server, files: KeyFiles) -> (Vec<OfferedKey>, Vec<String>) {
    let mut notices = Vec::new();
    let mut keys = Vec::new();
    let mut seen: Vec<KeyData> = Vec::new();
    for file in &files.1 {
        let key = described(KeyHolder::File(file.path.display().to_string()), &file.public_key(), "");
        let comment = Some(file.certificate.key_id().to_owned()).filter(|id| !id.is_empty());
        keys.push(OfferedKey { algorithm: key.algorithm.map(|name| format!("{name}{CERTIFICATE}")), comment, ..key });
    }
    let identities = match ask_agent(server).await {
        Ok(identities) => identities,
        Err(notice) => {
            notices.push(notice);
            Vec::new()
        }
    };
    let is_named = |identity: &AgentIdentity| files.0.iter().any(|(_, file)| file.is(&identity.public_key()));
    let (mut chosen, others): (Vec<_>, Vec<_>) = identities.into_iter().partition(is_named);
    if !server.only_these_keys {
        chosen.extend(others);
    }
    let socket = server.agent.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    for identity in chosen {
        let (public, comment, is_certificate) = match identity {
            AgentIdentity::PublicKey { key, comment } => (key, comment, false),
            AgentIdentity::Certificate { certificate, comment } => {
                (PublicKey::from(certificate.public_key().clone()), comment, true)
            }
        };
        let key = described(KeyHolder::Agent(socket.clone()), &public, &comment);
        if is_certificate {
            keys.push(OfferedKey { algorithm: key.algorithm.map(|name| format!("{name}{CERTIFICATE}")), ..key });
        } else if !seen.contains(public.key_data()) {
            seen.push(public.key_data().clone());
            keys.push(key);
        }
    }
    for (path, file) in files.0 {
        let holder = KeyHolder::File(path.display().to_string());
        let (public, comment, remark) = match file {
            KeyFile::Usable { key, .. } => {
                let comment = key.comment().to_string();
                (Some(key.public_key().clone()), comment, None)
            }
            KeyFile::Locked { public, .. } => {
                let comment = public.as_ref().map(|public| public.comment().to_string()).unwrap_or_default();
                (public, comment, Some("it has a passphrase: ssh-add it".to_owned()))
            }
            KeyFile::PublicOnly { public, .. } => {
                let comment = public.comment().to_string();
                (Some(public), comment, Some("no agent has the private half".to_owned()))
            }
            KeyFile::Unusable { note } => {
                let why = note.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&note).to_owned();
                keys.push(OfferedKey { holder, algorithm: None, fingerprint: None, comment: None, remark: Some(why) });
                continue;
            }
        };
        let Some(public) = public else {
            keys.push(OfferedKey { holder, algorithm: None, fingerprint: None, comment: None, remark });
            continue;
        };
        if !seen.contains(public.key_data()) {
            seen.push(public.key_data().clone());
            keys.push(OfferedKey { remark, ..described(holder, &public, &comment) });
        }
    }
    (keys, notices)
}

/// The keys of the agent that a login would offer, each by a name of its own. None where the agent cannot be asked.
pub(in crate::ssh) async fn of_agent(server: &Server) -> BTreeSet<String> {
    let read = server.clone();
    let files =
        tokio::task::spawn_blocking(move || KeyFiles::read(&read)).await.unwrap_or(KeyFiles(Vec::new(), Vec::new()));
    let (keys, _) = offered(server, files).await;
    let keys = keys.into_iter().filter(|key| matches!(key.holder, KeyHolder::Agent(_)));
    let name = |key: OfferedKey| {
        let is_certificate = key.algorithm.is_some_and(|algorithm| algorithm.ends_with(CERTIFICATE));
        key.fingerprint.map(|fingerprint| credential(&fingerprint, is_certificate))
    };
    keys.filter_map(name).collect()
}

/// A name for what is offered: a certificate and its bare key are two credentials.
pub(super) fn credential(fingerprint: &str, is_certificate: bool) -> String {
    format!("{fingerprint}{}", if is_certificate { CERTIFICATE } else { "" })
}

/// How the kind of a certificate ends.
const CERTIFICATE: &str = " certificate";

async fn ask_agent(server: &Server) -> Result<Vec<AgentIdentity>, String> {
    let Some(path) = &server.agent else { return Ok(Vec::new()) };
    let asked = tokio::time::timeout(AGENT_TIMEOUT, async {
        let mut agent = connect_agent(path).await?;
        agent.request_identities().await
    });
    match asked.await {
        Ok(Ok(identities)) => Ok(identities),
        Ok(Err(error)) => Err(format!(
            "the agent at {} cannot be asked: {}",
            path.display(),
            alknet_proto::words::of_system(&error.to_string())
        )),
        Err(_) => Err(format!("the agent at {} does not answer", path.display())),
    }
}

fn described(holder: KeyHolder, public: &PublicKey, comment: &str) -> OfferedKey {
    OfferedKey {
        holder,
        algorithm: Some(public.algorithm().to_string()),
        fingerprint: Some(public.fingerprint(HashAlg::Sha256).to_string()),
        comment: Some(comment.to_owned()).filter(|comment| !comment.is_empty()),
        remark: None,
    }
}
