//! Which host keys are trusted, as a table; and which kinds are asked for.

use std::path::{Path, PathBuf};

use alknet_proto::{Code, Reason};
use russh::keys::{Algorithm, EcdsaCurve, PublicKey};
use tempfile::TempDir;

use super::keygen::{line_of, make_key, public};
use crate::ssh::host_key::{Judge, Question};

/// Keys, and a known_hosts file that is written anew for each case.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        for (name, kind) in [("a", "ed25519"), ("b", "ed25519"), ("c", "ecdsa"), ("r", "rsa")] {
            make_key(world.path(), name, kind);
        }
        world
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn key(&self, name: &str) -> PublicKey {
        public(&self.path().join(name))
    }

    fn file(&self) -> PathBuf {
        self.path().join("known_hosts")
    }

    /// A judge of `host` on `port`; `A`, `B`, `C` and `R` in `lines` stand for the keys.
    fn judge(&self, lines: &str, host: &str, port: u16) -> Result<Judge, Reason> {
        let words = lines.split(' ').map(|word| {
            let (word, end) = word.split_once('\n').map_or((word, ""), |(word, _)| (word, "\n"));
            match word {
                "A" | "B" | "C" | "R" => line_of(&self.path().join(word.to_lowercase())) + end,
                other => other.to_owned() + end,
            }
        });
        std::fs::write(self.file(), words.collect::<Vec<_>>().join(" ")).unwrap();
        Judge::read(Question::plain(host, port, vec![self.file()], vec![self.path().join("global")], false))
    }

    fn verdict(&self, lines: &str, port: u16, shown: &str) -> Result<(), Reason> {
        self.judge(lines, "web", port)?.decide(&self.key(shown).into())
    }
}

#[test]
fn a_plain_key_is_trusted_as_by_openssh() {
    use Code::{HostKeyChanged, HostKeyRevoked, HostKeyUnknown};
    let world = World::new();
    // The lines, the port, the key that is shown, and what is wrong with it.
    let cases = [
        ("", 22, "a", Some(HostKeyUnknown)),
        ("web A", 22, "a", None),
        ("WEB A", 22, "a", None),
        ("web A", 22, "b", Some(HostKeyChanged)),
        ("db A", 22, "a", Some(HostKeyUnknown)),
        // Several keys of one kind: a rotation.
        ("web A\n web B", 22, "b", None),
        ("web A\n web B", 22, "c", Some(HostKeyChanged)),
        // Another kind is known: not the first meeting.
        ("web R", 22, "a", Some(HostKeyChanged)),
        ("web R\n web A", 22, "a", None),
        ("*,!web A", 22, "a", Some(HostKeyUnknown)),
        ("* A", 22, "a", None),
        ("* A", 2222, "a", None),
        ("[web]:2222 A", 2222, "a", None),
        ("[web]:2222 A", 2222, "b", Some(HostKeyChanged)),
        ("[web]:2222 A", 22, "a", Some(HostKeyUnknown)),
        // The same key under the bare name is the same server; another one says nothing.
        ("web A", 2222, "a", None),
        ("web A", 2222, "b", Some(HostKeyUnknown)),
        ("web A\n [web]:2222 B", 2222, "a", Some(HostKeyChanged)),
        // Revoked wins over everything, wherever it stands.
        ("web A\n @revoked web A", 22, "a", Some(HostKeyRevoked)),
        ("@revoked * A\n web A", 22, "a", Some(HostKeyRevoked)),
        ("@revoked web A\n [web]:2222 A", 2222, "a", Some(HostKeyRevoked)),
        ("@revoked db A\n web A", 22, "a", None),
        ("@revoked web B\n web A", 22, "a", None),
        ("@revoked web A", 22, "b", Some(HostKeyUnknown)),
        // Who may sign is no host.
        ("@cert-authority web A", 22, "a", Some(HostKeyUnknown)),
        ("@cert-authority web A\n web B", 22, "b", None),
    ];

    for (lines, port, shown, expected) in cases {
        let code = world.verdict(lines, port, shown).err().map(|reason| reason.code);
        assert_eq!(code, expected, "{lines:?} on port {port}, shown {shown}");
    }
}

#[test]
fn a_refusal_names_file_line_and_fingerprints() {
    let world = World::new();
    let file = world.file();

    let changed = world.verdict("db C\n web A", 22, "b").unwrap_err();
    let revoked = world.verdict("\n @revoked web A", 22, "a").unwrap_err();
    let damaged = world.verdict("web ssh-ed25519 AAAA", 22, "a").unwrap_err();

    let print = |name: &str| world.key(name).fingerprint(Default::default()).to_string();
    let has = format!("{}:2 has ED25519 {}, the server shows ED25519 {}", file.display(), print("a"), print("b"));
    assert!(changed.message.contains(&has), "{changed}");
    assert!(changed.hint.unwrap().contains(&format!("ssh-keygen -f '{}' -R 'web'", file.display())));
    assert!(revoked.message.contains(&format!("{}:2 revokes ED25519 {}", file.display(), print("a"))), "{revoked}");
    assert!(damaged.message.contains(&format!("{}:1 cannot be understood", file.display())), "{damaged}");
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_no_empty_file() {
    let world = World::new();

    // A loop of links cannot be read by root either.
    std::os::unix::fs::symlink("global", world.path().join("global")).unwrap();
    let looped = world.verdict("web A", 22, "a").unwrap_err();
    std::fs::remove_file(world.path().join("global")).unwrap();
    std::fs::create_dir(world.path().join("global")).unwrap();
    let folder = world.verdict("web A", 22, "a").unwrap_err();

    for reason in [looped, folder] {
        assert_eq!(reason.code, Code::InvalidConfig, "{reason}");
        assert!(reason.message.contains(&world.path().join("global").display().to_string()), "{reason}");
    }
}

#[test]
fn the_kinds_that_are_known_are_asked_for_first() {
    let world = World::new();
    let first = |lines: &str, port: u16| world.judge(lines, "web", port).unwrap().preferred_kinds()[0].clone();
    let nistp256 = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };

    assert_eq!(first("", 22), Algorithm::Ed25519);
    assert_eq!(first("web C", 22), nistp256);
    assert!(first("web R", 22).is_rsa());
    assert_eq!(first("web R\n web C", 22), nistp256);
    assert_eq!(first("web C", 2222), nistp256, "the bare name is better than nothing");
    assert_eq!(world.judge("web R", "web", 22).unwrap().preferred_kinds().len(), 6, "no kind is left out");
}

#[test]
fn a_revoked_key_does_not_choose_the_kind() {
    let world = World::new();

    let judge = world.judge("@revoked web A\n web R", "web", 22).unwrap();

    assert!(judge.preferred_kinds()[0].clone().is_rsa(), "{:?}", judge.preferred_kinds());
}

#[test]
fn the_server_on_another_port_is_not_asked_for_the_kinds_of_the_one_on_port_22() {
    let world = World::new();

    let judge = world.judge("web A\n [web]:2222 R", "web", 2222).unwrap();

    assert!(judge.preferred_kinds()[0].clone().is_rsa(), "{:?}", judge.preferred_kinds());
}
