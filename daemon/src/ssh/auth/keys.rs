//! Private keys in files: which can be used, which are locked, and which nobody should use.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::PrivateKey as OpenSshKey;
use russh::keys::{Error, PrivateKey, PublicKey, load_public_key, load_secret_key};

use crate::ssh::failure::io_words;

/// What a file that may hold a key turned out to be.
pub(super) enum KeyFile {
    /// It can be offered.
    Usable { path: PathBuf, key: Box<PrivateKey> },
    /// It has a passphrase. The public half is known where the file or its `.pub` tells it.
    Locked { path: PathBuf, public: Option<PublicKey> },
    /// The public half of a key whose private half an agent may hold.
    PublicOnly { path: PathBuf, public: PublicKey },
    /// It cannot be offered; the note says why.
    Unusable { note: String },
}

impl KeyFile {
    /// Whether the file holds this key.
    pub(super) fn is(&self, wanted: &PublicKey) -> bool {
        match self {
            KeyFile::Usable { key, .. } => key.public_key().key_data() == wanted.key_data(),
            KeyFile::Locked { public: Some(key), .. } | KeyFile::PublicOnly { public: key, .. } => {
                key.key_data() == wanted.key_data()
            }
            KeyFile::Locked { public: None, .. } | KeyFile::Unusable { .. } => false,
        }
    }
}

/// Reads the files, in order. Blocks. A missing file is worth a note only if somebody named it.
pub(super) fn read_all(paths: &[PathBuf], are_named: bool) -> Vec<KeyFile> {
    paths.iter().filter_map(|path| read(path, are_named)).collect()
}

fn read(path: &Path, is_named: bool) -> Option<KeyFile> {
    let unusable = |why: String| Some(KeyFile::Unusable { note: format!("{}: {why}", path.display()) });
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return unusable("it is a directory".to_owned()),
        // Opening a pipe would wait for its other end.
        Ok(metadata) if !metadata.is_file() => return unusable("it is no file".to_owned()),
        Ok(metadata) => {
            // Everybody may read it, so this comes before the look at the mode.
            if let Ok(public) = load_public_key(path) {
                return Some(KeyFile::PublicOnly { path: path.to_owned(), public });
            }
            if let Some(mode) = mode_that_is_too_open(&metadata) {
                return unusable(format!("others may read it (mode {mode:04o}); chmod 600 makes it private"));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match load_public_key(beside(path)).ok() {
                Some(public) => Some(KeyFile::PublicOnly { path: beside(path), public }),
                None if is_named => unusable("there is no such file".to_owned()),
                None => None,
            };
        }
        Err(error) => return unusable(io_words(&error)),
    }
    match load_secret_key(path, None) {
        Ok(key) => Some(KeyFile::Usable { path: path.to_owned(), key: Box::new(key) }),
        Err(error) if matches!(error, Error::KeyIsEncrypted) || says_that_it_is_locked(path) => {
            let within = OpenSshKey::read_openssh_file(path).ok().map(|key| key.public_key().clone());
            let public = within.or_else(|| load_public_key(beside(path)).ok());
            Some(KeyFile::Locked { path: path.to_owned(), public })
        }
        Err(Error::IO(error)) if error.kind() != ErrorKind::InvalidData => unusable(io_words(&error)),
        Err(_) => unusable("it is not a private key that can be read".to_owned()),
    }
}

/// PKCS#8, and PEM with a cipher that russh does not know, fail in other ways than by [`Error::KeyIsEncrypted`].
fn says_that_it_is_locked(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("\nProc-Type: 4,ENCRYPTED")
}

/// `id_ed25519.pub` for `id_ed25519`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

/// As OpenSSH: a private key that others may read is not used.
#[cfg(unix)]
fn mode_that_is_too_open(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let is_ours = metadata.uid() == nix::unistd::getuid().as_raw();
    let mode = metadata.mode() & 0o777;
    (is_ours && mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn mode_that_is_too_open(_: &std::fs::Metadata) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests;
