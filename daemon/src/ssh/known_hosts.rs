//! Reads known_hosts files: which lines speak about a host, and what they say.

use std::fmt;
use std::path::{Path, PathBuf};

use alknet_proto::{Code, Reason, Stage};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use russh::keys::PublicKey;
use sha1::Sha1;

use super::{pattern, whole_file};

/// A known_hosts file beyond this is a mistake; it would be read into memory at every connect.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

const SSH_PORT: u16 = 22;

/// Every line that speaks about one host.
#[derive(Debug, Default)]
pub(super) struct KnownHosts {
    pub(super) lines: Vec<Line>,
    /// Lines that cannot be understood; the ones that name the host are `Unusable` lines as well.
    pub(super) malformed: Vec<Spot>,
    /// Lines that name the host with a key of a kind that is not known here.
    pub(super) unusable: Vec<Spot>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: PathBuf,
    /// Counted from 1.
    pub(super) line: usize,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A line that speaks about the host.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) spot: Spot,
    pub(super) marker: Marker,
    pub(super) key: PublicKey,
    pub(super) named: Named,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The host has this key.
    None,
    /// Who signs the certificates of the host.
    CertAuthority,
    /// A key that must not be trusted.
    Revoked,
}

/// By which of its names a line speaks about the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// By the name that belongs to the port.
    Exactly,
    /// By the bare name, though the port is another than 22.
    WithoutPort,
}

/// The name that a server has in known_hosts: `[host]:port`, or `host` for port 22.
pub(super) fn name_of(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    if port == SSH_PORT { host } else { format!("[{host}]:{port}") }
}

impl KnownHosts {
    /// Reads what `files` say about a server. Blocks. A file that is missing says nothing.
    ///
    /// # Errors
    /// When a file is there and cannot be read: then nobody knows what it would have said.
    pub(super) fn read(files: &[PathBuf], host: &str, port: u16) -> Result<KnownHosts, Reason> {
        let bare = (port != SSH_PORT).then(|| name_of(host, SSH_PORT));
        KnownHosts::read_names(files, &name_of(host, port), bare.as_deref())
    }

    /// The same for a server that has a name of its own there.
    pub(super) fn read_alias(files: &[PathBuf], alias: &str) -> Result<KnownHosts, Reason> {
        KnownHosts::read_names(files, alias, None)
    }

    fn read_names(files: &[PathBuf], exact: &str, bare: Option<&str>) -> Result<KnownHosts, Reason> {
        let mut known = KnownHosts::default();
        for file in files {
            if let Some(text) = text_of(file)? {
                known.add(file, &text, exact, bare);
            }
        }
        Ok(known)
    }

    fn add(&mut self, file: &Path, text: &[u8], exact: &str, bare: Option<&str>) {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let spot = Spot { file: file.to_owned(), line: index + 1 };
            // A comment may be in any encoding; what else is no text fails by itself.
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(fields) = Fields::of(line) else {
                self.malformed.push(spot);
                continue;
            };
            let named = match fields.names(exact, bare) {
                Ok(Some(named)) => named,
                Ok(None) => continue,
                Err(MalformedHash) => {
                    self.malformed.push(spot);
                    continue;
                }
            };
            match fields.key() {
                Ok(key) => self.lines.push(Line { spot, marker: fields.marker, key, named }),
                Err(KeyError::Malformed) => {
                    self.malformed.push(spot.clone());
                    self.unusable.push(spot);
                }
                Err(KeyError::UnknownKind) => self.unusable.push(spot),
            }
        }
    }
}

fn text_of(file: &Path) -> Result<Option<Vec<u8>>, Reason> {
    let unusable = |why: String| {
        let message = format!("cannot read {}: {why}", file.display());
        Reason::new(Stage::HostKey, Code::InvalidConfig, message)
            .with_hint("make the file readable for this user, or take it away; without it no host key can be checked")
    };
    Ok(whole_file::read(file, MAX_FILE_BYTES).map_err(unusable)?.map(|(_, text)| text))
}

/// The fields of a line: `[marker] names keytype base64 [comment]`.
struct Fields<'a> {
    marker: Marker,
    names: &'a str,
    key_type: &'a str,
    key: &'a str,
}

struct MalformedHash;

enum KeyError {
    Malformed,
    UnknownKind,
}

impl<'a> Fields<'a> {
    fn of(line: &'a str) -> Option<Fields<'a>> {
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let first = words.next()?;
        let (marker, names) = match first {
            "@cert-authority" => (Marker::CertAuthority, words.next()?),
            "@revoked" => (Marker::Revoked, words.next()?),
            other if other.starts_with('@') => return None,
            names => (Marker::None, names),
        };
        Some(Fields { marker, names, key_type: words.next()?, key: words.next()? })
    }

    fn names(&self, exact: &str, bare: Option<&str>) -> Result<Option<Named>, MalformedHash> {
        if self.speaks_of(exact)? {
            return Ok(Some(Named::Exactly));
        }
        match bare {
            Some(bare) if self.speaks_of(bare)? => Ok(Some(Named::WithoutPort)),
            Some(_) | None => Ok(None),
        }
    }

    fn speaks_of(&self, name: &str) -> Result<bool, MalformedHash> {
        match self.names.strip_prefix("|1|") {
            Some(hashed) => is_hash_of(hashed, name).ok_or(MalformedHash),
            None if self.names.starts_with('|') => Err(MalformedHash),
            None => {
                let names = self.names.to_lowercase();
                Ok(pattern::list_matches(names.split(',').filter(|name| !name.is_empty()), name))
            }
        }
    }

    fn key(&self) -> Result<PublicKey, KeyError> {
        let bytes = STANDARD.decode(self.key).map_err(|_| KeyError::Malformed)?;
        // The name of its kind stands before the key once more; where they differ, somebody edited the line.
        let Some(kind) = leading_string(&bytes) else { return Err(KeyError::Malformed) };
        if kind != self.key_type.as_bytes() {
            return Err(KeyError::Malformed);
        }
        let is_known = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]
            .contains(&self.key_type);
        match PublicKey::from_bytes(&bytes) {
            Ok(key) if is_known => Ok(key),
            Ok(_) => Err(KeyError::UnknownKind),
            Err(_) if is_known => Err(KeyError::Malformed),
            Err(_) => Err(KeyError::UnknownKind),
        }
    }
}

fn leading_string(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// The name as a hash, so that the file does not tell which servers somebody knows.
pub(super) fn hashed(name: &str) -> String {
    let salt: [u8; 20] = std::array::from_fn(|_| fastrand::u8(..));
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).expect("a key of any length is one");
    mac.update(name.as_bytes());
    format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(mac.finalize().into_bytes()))
}

/// Whether `salt|hash` was made of `name`; `None` when it is no hash at all.
fn is_hash_of(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let (salt, hash) = (STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?);
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac.verify_slice(&hash).is_ok())
}
