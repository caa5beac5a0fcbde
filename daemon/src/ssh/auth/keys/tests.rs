//! Keys as ssh-keygen writes them, and files that are no keys.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{KeyFile, read_all};
use crate::ssh::tests::keygen::{beside, keygen, line_of, make_key, public, text};

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        World { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A key of `kind` with this passphrase in this format.
    fn key(&self, kind: &str, passphrase: &str, format: &str) -> PathBuf {
        let path = self.at(&format!("{kind}-{passphrase}-{format}"));
        keygen(&["-q", "-t", kind, "-N", passphrase, "-m", format, "-C", "", "-f", text(&path)]);
        path
    }
}

fn read(path: &Path) -> Option<KeyFile> {
    read_all(&[path.to_owned()], true).pop()
}

/// Why a file cannot be used.
fn note(path: &Path) -> String {
    match read(path) {
        Some(KeyFile::Unusable { note }) => note,
        Some(other) => panic!("{} is {}", path.display(), kind_of(&other)),
        None => panic!("{} is nothing", path.display()),
    }
}

fn kind_of(file: &KeyFile) -> &'static str {
    match file {
        KeyFile::Usable { .. } => "usable",
        KeyFile::Locked { .. } => "locked",
        KeyFile::PublicOnly { .. } => "public",
        KeyFile::Unusable { .. } => "unusable",
    }
}

/// Every kind of key in every format that ssh-keygen writes it in.
const FORMS: [(&str, &str); 7] = [
    ("ed25519", "RFC4716"),
    ("ecdsa", "RFC4716"),
    ("ecdsa", "PEM"),
    ("ecdsa", "PKCS8"),
    ("rsa", "RFC4716"),
    ("rsa", "PEM"),
    ("rsa", "PKCS8"),
];

#[test]
fn a_key_without_a_passphrase_is_usable_in_every_format() {
    let world = World::new();

    for (kind, format) in FORMS {
        let path = world.key(kind, "", format);
        match read(&path).unwrap() {
            KeyFile::Usable { path: read, key } => {
                assert_eq!((read, key.public_key().key_data()), (path.clone(), public(&path).key_data()));
            }
            other => panic!("{kind} {format} is {}", kind_of(&other)),
        }
    }
}

#[test]
fn a_key_with_a_passphrase_is_locked_in_every_format() {
    let world = World::new();

    for (kind, format) in FORMS {
        let path = world.key(kind, "secret", format);
        match read(&path).unwrap() {
            KeyFile::Locked { public: Some(key), .. } => assert_eq!(key.key_data(), public(&path).key_data()),
            other => panic!("{kind} {format} is {}", kind_of(&other)),
        }
    }
}

#[test]
fn a_locked_key_tells_its_public_half_where_it_can() {
    let world = World::new();
    let (openssh, pem) = (world.key("ed25519", "secret", "RFC4716"), world.key("rsa", "secret", "PEM"));
    let known = public(&openssh);

    std::fs::remove_file(beside(&openssh)).unwrap();
    std::fs::remove_file(beside(&pem)).unwrap();

    assert!(read(&openssh).unwrap().is(&known));
    assert!(matches!(read(&pem), Some(KeyFile::Locked { public: None, .. })));
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let path = world.key("ed25519", "", "RFC4716");
    let with_mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();

    for mode in [0o640, 0o604, 0o620, 0o644] {
        with_mode(mode);
        let expected = format!("{}: others may read it (mode {mode:04o}); chmod 600 makes it private", path.display());
        assert_eq!(note(&path), expected);
    }
    with_mode(0o400);
    assert_eq!(read(&path).as_ref().map(kind_of), Some("usable"));
}

#[test]
fn a_missing_key_is_worth_a_word_only_where_somebody_named_it() {
    let world = World::new();

    assert!(note(&world.at("missing")).ends_with("there is no such file"));
    assert!(read_all(&[world.at("missing")], false).is_empty());
}

#[test]
fn what_is_no_key_is_not_used() {
    let world = World::new();
    let key = std::fs::read_to_string(world.key("ed25519", "", "RFC4716")).unwrap();
    let write = |name: &str, text: &str| {
        let path = world.at(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    };

    for (name, text) in [
        ("empty", ""),
        ("words", "these are words\n"),
        ("cut", &key[..key.len() / 2]),
        ("header", "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n"),
        ("rsa", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"),
        ("ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"),
    ] {
        assert!(note(&write(name, text)).ends_with("it is not a private key that can be read"), "{name}");
    }
    assert!(note(world.folder.path()).ends_with("it is a directory"));
    #[cfg(unix)]
    assert!(note(Path::new("/dev/zero")).ends_with("it is no file"));
}

#[test]
fn a_public_half_alone_is_not_called_a_key_with_a_passphrase() {
    let world = World::new();
    let path = make_key(world.folder.path(), "alone", "ed25519");
    let (line, known) = (line_of(&path), public(&path));
    std::fs::remove_file(&path).unwrap();

    // Named as it is, and by the name that its private half would have.
    for named in [beside(&path), path] {
        match read(&named) {
            Some(KeyFile::PublicOnly { public, .. }) => assert_eq!(public, known, "{line}"),
            other => panic!("{} is {:?}", named.display(), other.as_ref().map(kind_of)),
        }
    }
}
