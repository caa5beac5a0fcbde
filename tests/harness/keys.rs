//! Keys for users and hosts, made anew for each test.

use std::path::Path;

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey};

/// A new ed25519 key.
pub fn ed25519() -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).expect("ed25519 keys can be made")
}

/// A new ECDSA key on the curve P-256.
pub fn ecdsa() -> PrivateKey {
    let algorithm = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
    PrivateKey::random(&mut safe_rng(), algorithm).expect("ecdsa keys can be made")
}

/// `ssh-ed25519 AAAA…`, as in authorized_keys and behind the name in known_hosts.
pub fn public_line(key: &PrivateKey) -> String {
    key.public_key().to_openssh().expect("a public key has a text form")
}

/// A line of known_hosts for a server on `port` of `host`.
pub fn known_hosts_line(host: &str, port: u16, key: &PrivateKey) -> String {
    let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
    format!("{name} {}\n", public_line(key))
}

/// Writes the private key (0600) and, beside it, `.pub`.
pub fn save(key: &PrivateKey, path: &Path) {
    let text = key.to_openssh(LineEnding::LF).expect("a private key has a text form");
    crate::process::write_private(path, text.as_bytes());
    let public = path.with_file_name(format!("{}.pub", path.file_name().unwrap_or_default().to_string_lossy()));
    std::fs::write(public, format!("{}\n", public_line(key))).unwrap();
}
