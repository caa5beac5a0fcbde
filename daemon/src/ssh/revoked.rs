//! The file of RevokedHostKeys: keys that are never believed.

use std::path::Path;

use alknet_proto::{Code, Reason, Stage};
use russh::keys::{Certificate, PublicKey};

use super::known_hosts::Spot;
use super::whole_file;

/// A list of keys beyond this is a mistake.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// How the binary form of such a list begins.
const BINARY: &[u8] = b"SSHKRL\n\0";

/// Keys that are never believed, and where each stands.
#[derive(Debug, Default)]
pub(super) struct RevokedKeys {
    keys: Vec<(Spot, PublicKey)>,
}

impl RevokedKeys {
    /// Reads the file, one key a line. Blocks.
    ///
    /// # Errors
    /// As in OpenSSH, a file that cannot be read or understood revokes everything: `invalid_config`.
    pub(super) fn read(file: &Path) -> Result<RevokedKeys, Reason> {
        let unusable = |what: String| {
            let message = format!("cannot use {} of RevokedHostKeys: {what}", file.display());
            Reason::new(Stage::HostKey, Code::InvalidConfig, message)
                .with_hint("it has one public key a line, as in a .pub file; without it no host key can be believed")
        };
        let bytes = match whole_file::read(file, MAX_FILE_BYTES).map_err(unusable)? {
            Some((_, bytes)) => bytes,
            None => return Err(unusable("there is no such file".to_owned())),
        };
        if bytes.starts_with(BINARY) {
            return Err(unusable("it is a binary list, which is not understood".to_owned()));
        }
        let mut keys = Vec::new();
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let spot = Spot { file: file.to_owned(), line: index + 1 };
            let key = PublicKey::from_openssh(line).map_err(|_| unusable(format!("line {} is no key", spot.line)))?;
            keys.push((spot, key));
        }
        Ok(RevokedKeys { keys })
    }

    /// Where the key stands, or the one that signed its certificate.
    pub(super) fn spot_of(&self, key: &PublicKey, certificate: Option<&Certificate>) -> Option<&Spot> {
        let is_meant = |revoked: &PublicKey| {
            revoked.key_data() == key.key_data()
                || certificate.is_some_and(|certificate| revoked.key_data() == certificate.signature_key())
        };
        self.keys.iter().find(|(_, revoked)| is_meant(revoked)).map(|(spot, _)| spot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::tests::keygen::{line_of, make_key, public};

    #[test]
    fn a_key_of_the_file_is_found_with_its_line_and_another_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (bad, good) = (make_key(folder.path(), "bad", "ed25519"), make_key(folder.path(), "good", "ed25519"));
        let file = folder.path().join("revoked");
        std::fs::write(&file, format!("# stolen\n\n{}\n", line_of(&bad))).unwrap();

        let revoked = RevokedKeys::read(&file).unwrap();

        assert_eq!(revoked.spot_of(&public(&bad), None).map(|spot| spot.line), Some(3));
        assert_eq!(revoked.spot_of(&public(&good), None), None);
    }

    #[test]
    fn a_file_that_cannot_be_understood_revokes_everything() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("revoked");
        let why = || RevokedKeys::read(&file).unwrap_err().message;

        assert!(why().ends_with("there is no such file"), "{}", why());
        std::fs::write(&file, "no key\n").unwrap();
        assert!(why().ends_with("line 1 is no key"), "{}", why());
        std::fs::write(&file, b"SSHKRL\n\0and more").unwrap();
        assert!(why().ends_with("it is a binary list, which is not understood"), "{}", why());
    }
}
