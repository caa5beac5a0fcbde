//! User certificates: files that an authority signed, each for a key that a file or an agent has.

use std::path::{Path, PathBuf};

use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey, load_openssh_certificate};

use super::Agent;
use crate::ssh::config::Server;

/// A certificate and the file that it stands in.
pub(super) struct CertificateFile {
    pub(super) path: PathBuf,
    pub(super) certificate: Certificate,
}

impl CertificateFile {
    /// The key that it is for.
    pub(super) fn public_key(&self) -> PublicKey {
        PublicKey::from(self.certificate.public_key().clone())
    }
}

/// The certificates of a server, and a note for each that somebody named and that is none. As in OpenSSH, the one
/// beside each key counts only where none is named. Blocks.
pub(super) fn read_all(server: &Server) -> (Vec<CertificateFile>, Vec<String>) {
    let mut notes = Vec::new();
    let mut found = Vec::new();
    if server.certificates.is_empty() {
        found.extend(server.keys.iter().filter_map(|key| read(&beside(key)).ok()));
    }
    for path in &server.certificates {
        match read(path) {
            Ok(file) => found.push(file),
            Err(why) => notes.push(format!("{}: {why}", path.display())),
        }
    }
    (found, notes)
}

fn read(path: &Path) -> Result<CertificateFile, String> {
    if !path.is_file() {
        return Err("there is no such file".to_owned());
    }
    match load_openssh_certificate(path) {
        Ok(certificate) if certificate.cert_type() == CertType::User => {
            Ok(CertificateFile { path: path.to_owned(), certificate })
        }
        Ok(_) => Err("it is no certificate of a user".to_owned()),
        Err(_) => Err("it is no certificate".to_owned()),
    }
}

/// `id_ed25519-cert.pub` for `id_ed25519`.
fn beside(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push("-cert.pub");
    PathBuf::from(name)
}

/// Why nothing was signed.
#[derive(Debug)]
pub(super) struct NotSigned(pub(super) String);

impl From<russh::SendError> for NotSigned {
    fn from(_: russh::SendError) -> Self {
        NotSigned("the session is over".to_owned())
    }
}

/// Signs for a certificate with the key of a file.
pub(super) struct KeyOfFile<'a>(pub(super) &'a PrivateKey);

impl russh::Signer for KeyOfFile<'_> {
    type Error = NotSigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, NotSigned> {
        signed(self.0, hash, to_sign).map_err(|error| NotSigned(error.to_string()))
    }
}

fn signed(key: &PrivateKey, hash: Option<HashAlg>, mut data: Vec<u8>) -> Result<Vec<u8>, russh::keys::ssh_key::Error> {
    let signature: Signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(&data)?,
        pair => pair.try_sign(&data)?,
    };
    let mut blob = Vec::new();
    signature.encode(&mut blob)?;
    blob.encode(&mut data)?;
    Ok(data)
}

/// Signs for a certificate with the key of an agent, which need not know the certificate.
pub(super) struct KeyOfAgent<'a> {
    pub(super) agent: &'a mut Agent,
    pub(super) key: PublicKey,
}

impl russh::Signer for KeyOfAgent<'_> {
    type Error = NotSigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, NotSigned> {
        let bare = AgentIdentity::PublicKey { key: self.key.clone(), comment: String::new() };
        self.agent.sign_request(&bare, hash, to_sign).await.map_err(|error| NotSigned(error.to_string()))
    }
}
