//! Logging in: which credentials are offered, in which order, and what a refusal means.

mod certificates;
mod keys;
pub(super) mod offer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use alknet_proto::{Code, Reason, Stage, words};
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};

use super::config::Server;
use super::failure::{TOO_MANY_KEYS, account_unavailable, is_closed_account, place};
use super::handler::Handler;
use super::host_key::name_of_key;
use super::session::Session;
use certificates::{CertificateFile, KeyOfAgent, KeyOfFile, NotSigned};
use keys::KeyFile;

/// For all credentials together; a person who has to touch a key needs some of it.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the agent may take to say which keys it has.
const AGENT_TIMEOUT: Duration = Duration::from_secs(5);
/// An agent that takes so long to sign asked somebody.
const PERSON_AFTER: Duration = Duration::from_secs(1);

/// The signatures of RSA keys that may be made.
const RSA: [(&str, HashAlg); 2] = [("rsa-sha2-512", HashAlg::Sha512), ("rsa-sha2-256", HashAlg::Sha256)];
/// How the name of a kind of certificate ends.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

type Agent = AgentClient<Box<dyn AgentStream + Send + Unpin>>;

/// Logs in with the keys of the agent and of files, each offered once.
///
/// # Errors
/// Stage `auth`: `auth_refused` when the server takes none of them, `needs_input` when a person has to unlock a key or
/// answer something, `timed_out` after 20 s. `connection_lost` when the server went away meanwhile.
pub(super) async fn log_in(handle: &mut Handle<Handler>, server: &Server, session: &Session) -> Result<(), Reason> {
    let mut login = Login {
        handle,
        server,
        session,
        offered: Vec::new(),
        notes: Vec::new(),
        unsigned: None,
        seen: Vec::new(),
        methods: None,
    };
    match tokio::time::timeout(LOGIN_TIMEOUT, login.run()).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("{} did not finish the login within {} s", login.who(), LOGIN_TIMEOUT.as_secs());
            Err(Reason::new(Stage::Auth, Code::TimedOut, message)
                .with_hint("the server is overloaded or hangs, or a key waits to be touched"))
        }
    }
}

/// One login, from the first key to the last.
struct Login<'a> {
    handle: &'a mut Handle<Handler>,
    server: &'a Server,
    session: &'a Session,
    /// What the server has refused, for the message.
    offered: Vec<String>,
    /// What could not be offered, and why.
    notes: Vec<String>,
    /// A key that the agent did not sign with.
    unsigned: Option<String>,
    /// No key is offered twice.
    seen: Vec<KeyData>,
    /// What the server said it would take.
    methods: Option<MethodSet>,
}

/// Whether the next key may be tried.
enum Answer {
    LoggedIn,
    NotThisKey,
    NoKeyAtAll,
}

impl Login<'_> {
    async fn run(&mut self) -> Result<(), Reason> {
        if !self.server.login.methods.iter().any(|method| method == "publickey") {
            self.notes.push("the ssh configuration allows no login by key".to_owned());
            return Err(self.refused());
        }
        let server = self.server.clone();
        let read = move || (keys::read_all(&server.keys, server.names_keys), certificates::read_all(&server));
        let (files, (certificates, notes)) = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        self.notes.extend(notes);
        // As OpenSSH: certificates come before plain keys.
        if let Answer::LoggedIn = self.with_certificates(&certificates, &files).await? {
            return Ok(());
        }
        if let Answer::LoggedIn = self.with_agent(&files, &certificates).await? {
            return Ok(());
        }
        let mut locked = None;
        for file in files {
            match file {
                KeyFile::Usable { path, key } => {
                    let name = format!("{} ({})", name_of_key(key.public_key()), path.display());
                    if !self.may_offer(key.public_key(), &name, "") || !self.is_new(key.public_key()) {
                        continue;
                    }
                    let hash = if key.algorithm().is_rsa() { self.rsa_hash("").await } else { None };
                    let key = PrivateKeyWithHashAlg::new(Arc::new(*key), hash);
                    let result = self.handle.authenticate_publickey(&self.server.user, key).await;
                    match self.answered(result.map_err(|error| error.to_string()), name)? {
                        Answer::LoggedIn => return Ok(()),
                        Answer::NotThisKey | Answer::NoKeyAtAll => {}
                    }
                }
                KeyFile::Locked { path, public } => {
                    // The agent may have offered it already.
                    if public.is_none_or(|key| !self.seen.contains(key.key_data())) {
                        locked.get_or_insert(path);
                    }
                }
                KeyFile::PublicOnly { path, public } => {
                    if !self.seen.contains(public.key_data()) {
                        self.notes.push(format!("{}: no agent has the private half of this key", path.display()));
                    }
                }
                KeyFile::Unusable { note } => self.notes.push(note),
            }
        }
        match locked {
            Some(path) => Err(Reason::new(
                Stage::Auth,
                Code::NeedsInput,
                format!("the key {} has a passphrase{}", path.display(), self.besides()),
            )
            .with_hint(format!("ssh-add {}, then: alknetctl retry", path.display()))),
            None => Err(self.refused()),
        }
    }

    /// Offers each certificate whose key a file has.
    async fn with_certificates(&mut self, files: &[CertificateFile], keys: &[KeyFile]) -> Result<Answer, Reason> {
        for file in files {
            let public = file.public_key();
            let key = keys.iter().find_map(|key| match key {
                KeyFile::Usable { key, .. } if key.public_key().key_data() == public.key_data() => Some(key),
                KeyFile::Usable { .. }
                | KeyFile::Locked { .. }
                | KeyFile::PublicOnly { .. }
                | KeyFile::Unusable { .. } => None,
            });
            let Some(key) = key else { continue };
            match self.with_certificate(file, KeyOfFile(key)).await? {
                Answer::NotThisKey => {}
                end @ (Answer::LoggedIn | Answer::NoKeyAtAll) => return Ok(end),
            }
        }
        Ok(Answer::NotThisKey)
    }

    async fn with_certificate(
        &mut self,
        file: &CertificateFile,
        mut signer: impl russh::Signer<Error = NotSigned>,
    ) -> Result<Answer, Reason> {
        let public = file.public_key();
        let name = format!("{} (certificate {})", name_of_key(&public), file.path.display());
        if !self.may_offer(&public, &name, CERTIFICATE) {
            return Ok(Answer::NotThisKey);
        }
        let hash = if public.algorithm().is_rsa() { self.rsa_hash(CERTIFICATE).await } else { None };
        let (user, certificate) = (self.server.user.clone(), file.certificate.clone());
        let asked = Instant::now();
        let result = self.handle.authenticate_certificate_with(user, certificate, hash, &mut signer).await;
        self.note_person(&public, asked);
        self.answered(result.map_err(|NotSigned(why)| why), name)
    }

    async fn with_agent(&mut self, files: &[KeyFile], certificates: &[CertificateFile]) -> Result<Answer, Reason> {
        let Some(path) = self.server.agent.clone() else { return Ok(Answer::NotThisKey) };
        self.session.note_agent(BTreeSet::new());
        let asked = tokio::time::timeout(AGENT_TIMEOUT, async {
            let mut agent = connect_agent(&path).await?;
            let identities = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, identities))
        });
        let (mut agent, identities) = match asked.await {
            Ok(Ok(asked)) => asked,
            Ok(Err(error)) => {
                self.notes.push(format!(
                    "the agent at {} cannot be asked: {}",
                    path.display(),
                    words::of_system(&error.to_string())
                ));
                return Ok(Answer::NotThisKey);
            }
            Err(_) => {
                self.notes.push(format!("the agent at {} does not answer", path.display()));
                return Ok(Answer::NotThisKey);
            }
        };
        let is_named = |identity: &AgentIdentity| files.iter().any(|file| file.is(&identity.public_key()));
        // As OpenSSH: keys that the configuration names come first, and alone if it says so.
        let (mut chosen, others): (Vec<_>, Vec<_>) = identities.into_iter().partition(is_named);
        if !self.server.only_these_keys {
            chosen.extend(others);
        }
        self.session.note_agent(chosen.iter().map(name_of_credential).collect());
        for file in certificates {
            let key = file.public_key();
            let has_key = |identity: &AgentIdentity| {
                matches!(identity, AgentIdentity::PublicKey { .. })
                    && identity.public_key().key_data() == key.key_data()
            };
            let is_offered = files.iter().any(|file| matches!(file, KeyFile::Usable { .. }) && file.is(&key));
            if is_offered || !chosen.iter().any(has_key) {
                continue;
            }
            match self.with_certificate(file, KeyOfAgent { agent: &mut agent, key }).await? {
                Answer::NotThisKey => {}
                end @ (Answer::LoggedIn | Answer::NoKeyAtAll) => return Ok(end),
            }
        }
        for identity in chosen {
            match self.with_identity(&mut agent, identity).await? {
                Answer::NotThisKey => {}
                end @ (Answer::LoggedIn | Answer::NoKeyAtAll) => return Ok(end),
            }
        }
        Ok(Answer::NotThisKey)
    }

    async fn with_identity(&mut self, agent: &mut Agent, identity: AgentIdentity) -> Result<Answer, Reason> {
        let public = identity.public_key().into_owned();
        let is_certificate = matches!(identity, AgentIdentity::Certificate { .. });
        let (what, suffix) = if is_certificate { ("agent, certificate", CERTIFICATE) } else { ("agent", "") };
        let name = format!("{} ({what})", name_of_key(&public));
        // A certificate and its bare key are two credentials.
        if !self.may_offer(&public, &name, suffix) || !is_certificate && !self.is_new(&public) {
            return Ok(Answer::NotThisKey);
        }
        let hash = if public.algorithm().is_rsa() { self.rsa_hash(suffix).await } else { None };
        let user = self.server.user.clone();
        let asked = Instant::now();
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                self.handle.authenticate_publickey_with(user, key, hash, agent).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle.authenticate_certificate_with(user, certificate, hash, agent).await
            }
        };
        self.note_person(&public, asked);
        self.answered(result.map_err(|error| error.to_string()), name)
    }

    /// A key that has to be touched, or whose use somebody has to confirm.
    fn note_person(&self, key: &PublicKey, asked: Instant) {
        if key.algorithm().to_string().starts_with("sk-") || PERSON_AFTER <= asked.elapsed() {
            self.session.needed_person.store(true, Relaxed);
        }
    }

    /// What the server answered to the credential `name`.
    fn answered(&mut self, result: Result<AuthResult, String>, name: String) -> Result<Answer, Reason> {
        match result {
            Ok(AuthResult::Success) => Ok(Answer::LoggedIn),
            Ok(AuthResult::Failure { partial_success: true, remaining_methods }) => {
                let message =
                    format!("{} accepts {name} and asks for more: {}", self.who(), method_names(&remaining_methods));
                Err(Reason::new(Stage::Auth, Code::NeedsInput, message)
                    .with_hint("a second factor cannot be given yet; allow the key alone on the server"))
            }
            Ok(AuthResult::Failure { remaining_methods, .. }) if remaining_methods.is_empty() && self.is_over() => {
                self.offered.push(name);
                Err(self.cut_short())
            }
            Ok(AuthResult::Failure { remaining_methods, .. }) => {
                self.offered.push(name);
                let goes_on = remaining_methods.contains(&MethodKind::PublicKey);
                self.methods = Some(remaining_methods);
                Ok(if goes_on { Answer::NotThisKey } else { Answer::NoKeyAtAll })
            }
            Err(_) if self.is_over() => {
                self.offered.push(name);
                Err(self.cut_short())
            }
            Err(error) => {
                // The agent did not sign: a key that was not touched, or a locked agent.
                self.notes.push(format!("{name} was not signed with: {}", words::of_system(&error)));
                self.unsigned.get_or_insert(name);
                Ok(Answer::NotThisKey)
            }
        }
    }

    fn is_over(&self) -> bool {
        self.handle.is_closed() || self.session.over.is_cancelled()
    }

    /// The connection ended within the login.
    fn cut_short(&self) -> Reason {
        let banner = self.session.banner();
        if is_closed_account(&banner) {
            return account_unavailable(&place(&self.server.host, self.server.port), &banner);
        }
        let Some(mut end) = self.session.end() else {
            let message = format!("{} closed the connection during the login", self.who());
            return Reason::new(Stage::Auth, Code::ConnectionLost, message).with_hint("what sshd logs there says more");
        };
        if end.message.contains(TOO_MANY_KEYS) {
            let mut refused = self.refused();
            refused.message.push_str(" (the server allows no more tries)");
            refused.hint = Some("name the right key with IdentityFile and IdentitiesOnly in ~/.ssh/config".to_owned());
            return refused;
        }
        end.stage = Stage::Auth;
        end
    }

    fn refused(&self) -> Reason {
        if let (true, Some(name)) = (self.offered.is_empty(), &self.unsigned) {
            let message = format!("the agent did not sign with {name}, so there was no login to {}", self.who());
            return Reason::new(Stage::Auth, Code::AgentRefused, message)
                .with_hint("touch the key or confirm its use when it is asked for; then: alknetctl retry");
        }
        if self.offered.is_empty() {
            let message = format!("there is no key to log in to {} with{}", self.who(), self.besides());
            return Reason::new(Stage::Auth, Code::AuthRefused, message)
                .with_hint("ssh-add a key, or name one with IdentityFile in ~/.ssh/config; then: alknetctl retry");
        }
        let takes = match &self.methods {
            Some(methods) if !methods.is_empty() => format!("; it takes {}", method_names(methods)),
            _ => String::new(),
        };
        let message =
            format!("{} refuses the login with {}{takes}{}", self.who(), self.offered.join(", "), self.besides());
        Reason::new(Stage::Auth, Code::AuthRefused, message)
            .with_hint("check the user name, and that the key is in authorized_keys there; then: alknetctl retry")
    }

    /// What else there was, for the message.
    fn besides(&self) -> String {
        if self.notes.is_empty() { String::new() } else { format!(" ({})", self.notes.join("; ")) }
    }

    /// `me@host:22`
    fn who(&self) -> String {
        format!("{}@{}", self.server.user, place(&self.server.host, self.server.port))
    }

    /// Whether server and configuration take such a key; a note says what the configuration does not. `suffix` is
    /// that of a certificate, or empty.
    fn may_offer(&mut self, key: &PublicKey, name: &str, suffix: &str) -> bool {
        if self.methods.as_ref().is_some_and(|methods| !methods.contains(&MethodKind::PublicKey)) {
            return false;
        }
        let login = &self.server.login;
        if let Some(bits) = key.key_data().rsa().map(|key| key.key_size()).filter(|bits| *bits < login.min_rsa_bits) {
            self.notes.push(format!("{name} has {bits} bits; RequiredRSASize asks for {}", login.min_rsa_bits));
            return false;
        }
        let is_allowed = if key.algorithm().is_rsa() {
            RSA.iter().any(|(name, _)| login.allows(name, suffix))
        } else {
            login.allows(key.algorithm().as_str(), suffix)
        };
        if !is_allowed {
            self.notes.push(format!("{name}: PubkeyAcceptedAlgorithms does not allow it"));
        }
        is_allowed
    }

    fn is_new(&mut self, key: &PublicKey) -> bool {
        let is_new = !self.seen.contains(key.key_data());
        if is_new {
            self.seen.push(key.key_data().clone());
        }
        is_new
    }

    /// SHA-1 is never signed with; a server that says nothing about SHA-2 is taken to know it.
    async fn rsa_hash(&self, suffix: &str) -> Option<HashAlg> {
        let best = match self.handle.best_supported_rsa_hash().await {
            Ok(Some(Some(hash))) => hash,
            Ok(Some(None) | None) | Err(_) => HashAlg::Sha512,
        };
        let allowed =
            |hash: HashAlg| RSA.iter().any(|(name, of)| *of == hash && self.server.login.allows(name, suffix));
        match [HashAlg::Sha512, HashAlg::Sha256].into_iter().find(|hash| allowed(*hash)) {
            Some(other) if !allowed(best) => Some(other),
            Some(_) | None => Some(best),
        }
    }
}

fn name_of_credential(identity: &AgentIdentity) -> String {
    let fingerprint = identity.public_key().fingerprint(HashAlg::Sha256).to_string();
    offer::credential(&fingerprint, matches!(identity, AgentIdentity::Certificate { .. }))
}

fn method_names(methods: &MethodSet) -> String {
    methods.iter().map(String::from).collect::<Vec<_>>().join(", ")
}

#[cfg(unix)]
async fn connect_agent(path: &std::path::Path) -> Result<Agent, russh::keys::Error> {
    Ok(AgentClient::connect_uds(path).await?.dynamic())
}

#[cfg(windows)]
async fn connect_agent(path: &std::path::Path) -> Result<Agent, russh::keys::Error> {
    Ok(AgentClient::connect_named_pipe(path).await?.dynamic())
}
