//! Decides whether a server is the one that it should be.

use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use alknet_proto::{Code, Reason, Stage};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::config::{Known, Server};
use super::failure::{io_words, place};
use super::known_hosts::{KnownHosts, Line, Marker, Named, Spot, hashed, name_of};
use super::pattern;
use super::revoked::RevokedKeys;
use super::session::locked;

/// The kinds of host keys that are taken, the best first. SHA-1 signatures are none of them.
const KINDS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// The kind of key that a name on the wire stands for; `None` for a certificate.
fn kind_of(name: &str) -> Option<Algorithm> {
    KINDS.into_iter().find(|kind| kind.as_str() == name)
}

/// How the name of a kind of certificate ends.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Which server is asked for, and where its key may be known.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) host: String,
    pub(super) port: u16,
    /// Trust the key of a server that nothing is known about.
    pub(super) accept_new: bool,
    pub(super) known: Known,
    pub(super) min_rsa_bits: u32,
    /// Kinds of keys to ask for, by their names on the wire.
    pub(super) kinds: Vec<&'static str>,
    /// Kinds that are known come first.
    pub(super) known_first: bool,
}

impl Question {
    /// `accept_new`: a rule asks for it, whatever the configuration says.
    pub(super) fn of(server: &Server, accept_new: bool) -> Question {
        Question {
            host: server.host.clone(),
            port: server.port,
            accept_new: server.known.accept_new || accept_new,
            known: server.known.clone(),
            min_rsa_bits: server.login.min_rsa_bits,
            kinds: server.offered.host_keys.clone(),
            known_first: server.offered.known_keys_first,
        }
    }

    /// What the configuration comes to where it says nothing, with these files.
    #[cfg(test)]
    pub(super) fn plain(
        host: &str,
        port: u16,
        user_files: Vec<PathBuf>,
        global_files: Vec<PathBuf>,
        accept_new: bool,
    ) -> Question {
        let kinds = super::config::key_algorithms();
        let known = Known {
            alias: None,
            user_files,
            global_files,
            revoked: None,
            accept_new,
            says_no_checking: false,
            hashes_names: false,
            authority_algorithms: kinds.clone(),
        };
        Question { host: host.to_owned(), port, accept_new, known, min_rsa_bits: 1024, kinds, known_first: true }
    }

    /// The name that the server has in known_hosts.
    fn name(&self) -> String {
        match &self.known.alias {
            Some(alias) => alias.clone(),
            None => name_of(&self.host, self.port),
        }
    }
}

/// Judges the key that a server shows. Everything it needs was read before the handshake.
#[derive(Clone)]
pub(super) struct Judge {
    question: Question,
    known: Arc<KnownHosts>,
    revoked: Arc<RevokedKeys>,
    /// The key of a server that was not known and is trusted from now on; the attempt stores it.
    first_key: Arc<Mutex<Option<PublicKey>>>,
}

impl Judge {
    /// Reads the files. Blocks.
    pub(super) fn read(question: Question) -> Result<Judge, Reason> {
        let files: Vec<PathBuf> =
            question.known.user_files.iter().chain(&question.known.global_files).cloned().collect();
        let known = match &question.known.alias {
            Some(alias) => KnownHosts::read_alias(&files, alias)?,
            None => KnownHosts::read(&files, &question.host, question.port)?,
        };
        let revoked = match &question.known.revoked {
            Some(file) => RevokedKeys::read(file)?,
            None => RevokedKeys::default(),
        };
        Ok(Judge { question, known: Arc::new(known), revoked: Arc::new(revoked), first_key: Arc::default() })
    }

    /// The kinds of keys to ask for: those that are known first, so that the server shows one of them.
    pub(super) fn preferred_kinds(&self) -> Vec<Algorithm> {
        // The bare name is another server's as soon as this one has lines of its own.
        let has_own_lines = self.plain_lines(Named::Exactly).next().is_some();
        let named = if has_own_lines { Named::Exactly } else { Named::WithoutPort };
        let is_known = |kind: &Algorithm| {
            self.plain_lines(named).any(|line| match (line.key.algorithm(), kind) {
                (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
                (known, kind) => known == *kind,
            })
        };
        let wanted = self.question.kinds.iter().filter_map(|name| kind_of(name)).collect();
        if !self.question.known_first {
            return wanted;
        }
        let (mut kinds, others): (Vec<Algorithm>, Vec<Algorithm>) = wanted.into_iter().partition(is_known);
        kinds.extend(others);
        kinds
    }

    /// The kinds of certificates to ask for: none, unless somebody is known who may sign them.
    pub(super) fn certificate_kinds(&self) -> Vec<Algorithm> {
        if self.authorities().next().is_none() {
            return Vec::new();
        }
        let certified = |name: &&str| kind_of(name.strip_suffix(CERTIFICATE)?);
        self.question.kinds.iter().filter_map(certified).collect()
    }

    /// The key to store before anything else is sent, where the server was not known.
    pub(super) fn first_key(&self) -> Option<PublicKey> {
        locked(&self.first_key).clone()
    }

    /// Whether the server may be trusted.
    ///
    /// # Errors
    /// `host_key_unknown`, `host_key_changed` or `host_key_revoked`, with file and line.
    pub(super) fn decide(&self, shown: &PublicKeyOrCertificate) -> Result<(), Reason> {
        let key = shown.public_key();
        self.refuse_revoked(&key, shown.certificate())?;
        self.refuse_small(&key)?;
        if let Some(certificate) = shown.certificate()
            && let Some(authority) = self.authorities().find(|line| line.key.key_data() == certificate.signature_key())
        {
            return self.check_certificate(certificate, &authority.spot);
        }
        let is_shown = |line: &&Line| line.key.key_data() == key.key_data();
        if self.plain_lines(Named::Exactly).any(|line| is_shown(&line)) {
            return Ok(());
        }
        if let Some(other) = self.other_key(&key) {
            return Err(self.changed(&key, other));
        }
        // As OpenSSH: the same key under the bare name is the same server on another port.
        if self.plain_lines(Named::WithoutPort).any(|line| is_shown(&line)) {
            return Ok(());
        }
        self.unknown(key)
    }

    /// A key that the files have for this server instead; one of the same kind says most.
    fn other_key(&self, shown: &PublicKey) -> Option<&Line> {
        let same_kind = |line: &&Line| line.key.algorithm() == shown.algorithm();
        self.plain_lines(Named::Exactly).find(same_kind).or_else(|| self.plain_lines(Named::Exactly).next())
    }

    fn plain_lines(&self, named: Named) -> impl Iterator<Item = &Line> {
        self.known.lines.iter().filter(move |line| line.marker == Marker::None && line.named == named)
    }

    fn authorities(&self) -> impl Iterator<Item = &Line> {
        self.known.lines.iter().filter(|line| line.marker == Marker::CertAuthority)
    }

    fn refuse_revoked(&self, key: &PublicKey, certificate: Option<&Certificate>) -> Result<(), Reason> {
        let is_meant = |line: &&Line| {
            line.key.key_data() == key.key_data()
                || certificate.is_some_and(|certificate| line.key.key_data() == certificate.signature_key())
        };
        if let Some(spot) = self.revoked.spot_of(key, certificate) {
            let message = format!("{} shows a revoked host key: {spot} revokes {}", self.server(), name_of_key(key));
            return Err(Reason::new(Stage::HostKey, Code::HostKeyRevoked, message)
                .with_hint("do not connect; ask who runs the server for its new key"));
        }
        let Some(line) = self.known.lines.iter().filter(|line| line.marker == Marker::Revoked).find(is_meant) else {
            return Ok(());
        };
        let message =
            format!("{} shows a revoked host key: {} revokes {}", self.server(), line.spot, name_of_key(&line.key));
        Err(Reason::new(Stage::HostKey, Code::HostKeyRevoked, message)
            .with_hint("do not connect; ask who runs the server for its new key"))
    }

    /// RSA keys below a size can be computed by somebody with patience.
    fn refuse_small(&self, key: &PublicKey) -> Result<(), Reason> {
        let Some(bits) = key.key_data().rsa().map(|key| key.key_size()) else { return Ok(()) };
        if self.question.min_rsa_bits <= bits {
            return Ok(());
        }
        let message = format!(
            "{} shows an RSA key of {bits} bits; RequiredRSASize asks for {}",
            self.server(),
            self.question.min_rsa_bits
        );
        Err(Reason::new(Stage::HostKey, Code::HostKeyUnknown, message).with_hint("the server needs a new host key"))
    }

    fn check_certificate(&self, certificate: &Certificate, authority: &Spot) -> Result<(), Reason> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let authority_print = certificate.signature_key().fingerprint(HashAlg::Sha256);
        let host = self.question.known.alias.clone().unwrap_or_else(|| self.question.host.to_lowercase());
        let is_for_this_host =
            certificate.valid_principals().iter().any(|name| pattern::matches(&name.to_lowercase(), &host));
        let wrong = if certificate.cert_type() != CertType::Host {
            "it is no host certificate"
        } else if !is_for_this_host {
            "it is for another host"
        } else if now < certificate.valid_after() {
            "it is not valid yet"
        } else if certificate.valid_before() <= now {
            "it has expired"
        } else if certificate.critical_options().iter().next().is_some() {
            "it has a critical option that is not known"
        } else if certificate.signature().algorithm() == (Algorithm::Rsa { hash: None }) {
            "it is signed with SHA-1"
        } else if !self.question.known.authority_algorithms.contains(&certificate.signature().algorithm().as_str()) {
            "it is signed in a way that CASignatureAlgorithms does not allow"
        } else if certificate.validate_at(now, [&authority_print]).is_err() {
            "its signature is wrong"
        } else {
            return Ok(());
        };
        let message = format!(
            "the host certificate of {} cannot be trusted: {wrong} (signed by the authority at {authority})",
            self.server()
        );
        Err(Reason::new(Stage::HostKey, Code::HostKeyUnknown, message)
            .with_hint("ask who runs the server for a new certificate"))
    }

    fn changed(&self, shown: &PublicKey, known: &Line) -> Reason {
        let message = format!(
            "the host key of {} changed: {} has {}, the server shows {}",
            self.server(),
            known.spot,
            name_of_key(&known.key),
            name_of_key(shown)
        );
        Reason::new(Stage::HostKey, Code::HostKeyChanged, message).with_hint(format!(
            "somebody may be listening in; only if the change is expected, run: ssh-keygen -f '{}' -R '{}'",
            known.spot.file.display(),
            self.question.name()
        ))
    }

    fn unknown(&self, key: PublicKey) -> Result<(), Reason> {
        let is_new = self.known.unusable.is_empty();
        if self.question.accept_new && is_new && !self.question.known.user_files.is_empty() {
            locked(&self.first_key).get_or_insert(key);
            return Ok(());
        }
        let mut message = format!("the host key of {} is not known: it shows {}", self.server(), name_of_key(&key));
        if let Some(spot) = self.known.unusable.first().or(self.known.malformed.first()) {
            message.push_str(&format!(" ({spot} cannot be understood)"));
        }
        Err(Reason::new(Stage::HostKey, Code::HostKeyUnknown, message).with_hint(
            "compare the fingerprint with the server's; then connect once with ssh, or add the forward with --accept-new",
        ))
    }

    fn server(&self) -> String {
        place(&self.question.host, self.question.port)
    }

    /// Appends the key of a server that was not known to the user's first file. Blocks until it is on disk.
    ///
    /// # Errors
    /// When the file cannot be written: the key is not trusted then.
    pub(super) fn store(&self, key: &PublicKey) -> Result<(), Reason> {
        let Some(file) = self.question.known.user_files.first() else { return Ok(()) };
        let failed = |why: String| {
            let message = format!("cannot store the host key of {} in {}: {why}", self.server(), file.display());
            Reason::new(Stage::HostKey, Code::HostKeyUnknown, message).with_hint(
                "a key that is not stored is not trusted: make room on the disk and that file writable for this user, \
                 then: alknetctl retry",
            )
        };
        let text =
            PublicKey::new(key.key_data().clone(), "").to_openssh().map_err(|error| failed(error.to_string()))?;
        let name = self.question.name();
        let name = if self.question.known.hashes_names { hashed(&name) } else { name };
        let line = format!("{name} {}\n", text.trim());
        append(file, &line).map_err(|error| failed(io_words(&error)))?;
        tracing::info!(server = %self.server(), key = %name_of_key(key), file = %file.display(), "stored a new host key");
        Ok(())
    }
}

/// `ED25519 SHA256:…`, as ssh says it.
pub(super) fn name_of_key(key: &PublicKey) -> String {
    let kind = match key.algorithm() {
        Algorithm::Ed25519 => "ED25519",
        Algorithm::Ecdsa { .. } => "ECDSA",
        Algorithm::Rsa { .. } => "RSA",
        Algorithm::SkEd25519 => "ED25519-SK",
        Algorithm::SkEcdsaSha2NistP256 => "ECDSA-SK",
        // Kinds that the library may learn.
        _ => "key",
    };
    format!("{kind} {}", key.fingerprint(HashAlg::Sha256))
}

fn append(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        create_private_folder(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    let mut text = String::new();
    if 0 < file.seek(SeekFrom::End(0))? {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push('\n');
        }
    }
    text.push_str(line);
    // One write, so that another program that appends at the same time never splits the line.
    file.write_all(text.as_bytes())?;
    match file.sync_all() {
        // A device cannot be synced: `UserKnownHostsFile /dev/null` is how people say «store nothing».
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
