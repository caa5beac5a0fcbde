//! What is stored when a server is trusted at the first meeting.

use std::path::{Path, PathBuf};

use alknet_proto::Code;
use russh::keys::PublicKey;
use tempfile::TempDir;

use super::keygen::{line_of, make_key, public};
use crate::ssh::host_key::{Judge, Question};

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        make_key(world.path(), "a", "ed25519");
        make_key(world.path(), "b", "ed25519");
        world
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn line(&self, names: &str, key: &str) -> String {
        format!("{names} {}", line_of(&self.path().join(key)))
    }

    fn key(&self) -> PublicKey {
        public(&self.path().join("a"))
    }

    fn judge(&self, file: &Path, port: u16) -> Judge {
        let question = Question::plain(
            "Web",
            port,
            vec![file.to_owned(), self.path().join("second")],
            vec![self.path().join("global")],
            true,
        );
        Judge::read(question).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.path().join("ssh/known_hosts")
    }

    /// What is in the file after a server that shows `a` was met.
    fn after(&self, before: &str, port: u16) -> String {
        std::fs::create_dir_all(self.path().join("ssh")).unwrap();
        std::fs::write(self.file(), before).unwrap();
        let judge = self.judge(&self.file(), port);
        judge.decide(&self.key().into()).unwrap();
        judge.store(&judge.first_key().unwrap()).unwrap();
        std::fs::read_to_string(self.file()).unwrap()
    }
}

#[test]
fn a_first_key_is_appended_on_a_line_of_its_own() {
    let world = World::new();
    let new = world.line("web", "a") + "\n";

    assert_eq!(world.after("", 22), new);
    assert_eq!(world.after("# a comment\n", 22), format!("# a comment\n{new}"));
    assert_eq!(world.after("# no end", 22), format!("# no end\n{new}"));
    assert_eq!(world.after("", 2222), world.line("[web]:2222", "a") + "\n");
}

#[test]
fn a_stored_key_is_known_from_then_on() {
    let world = World::new();
    world.after("", 2222);

    let judge = world.judge(&world.file(), 2222);

    assert_eq!(judge.decide(&world.key().into()), Ok(()));
    assert_eq!(judge.first_key(), None, "nothing is stored twice");
    assert_eq!(judge.decide(&public(&world.path().join("b")).into()).unwrap_err().code, Code::HostKeyChanged);
}

#[cfg(unix)]
#[test]
fn a_new_file_and_its_folder_belong_to_the_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let judge = world.judge(&world.file(), 22);

    judge.decide(&world.key().into()).unwrap();
    judge.store(&judge.first_key().unwrap()).unwrap();

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&world.file()), mode(world.file().parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_key_is_first_only_where_nothing_at_all_speaks_about_the_host() {
    let world = World::new();
    let cases = [
        (world.line("web", "b"), 22, Code::HostKeyChanged),
        (world.line("[web]:2222", "b"), 2222, Code::HostKeyChanged),
        (world.line("*", "b"), 22, Code::HostKeyChanged),
        (world.line("@revoked web", "a"), 22, Code::HostKeyRevoked),
        ("web ssh-ed25519 AAAA".to_owned(), 22, Code::HostKeyUnknown),
        ("web ssh-future AAAACnNzaC1mdXR1cmU=".to_owned(), 22, Code::HostKeyUnknown),
        ("@revoked web ssh-ed25519 %%".to_owned(), 22, Code::HostKeyUnknown),
    ];

    for (line, port, expected) in cases {
        for name in ["first", "second", "global"] {
            std::fs::write(world.path().join(name), &line).unwrap();
            let judge = world.judge(&world.path().join("first"), port);

            let refused = judge.decide(&world.key().into()).unwrap_err();

            assert_eq!((refused.code, judge.first_key()), (expected, None), "{line} in {name}");
            std::fs::remove_file(world.path().join(name)).unwrap();
        }
    }
}

#[test]
fn another_server_of_the_same_name_does_not_stand_in_the_way() {
    let world = World::new();
    let other = world.line("web", "b") + "\n";

    assert_eq!(world.after(&other, 2222), other + &world.line("[web]:2222", "a") + "\n");
}

#[test]
fn a_key_that_cannot_be_stored_is_not_trusted() {
    let world = World::new();
    std::fs::write(world.path().join("ssh"), "a file where a folder should be").unwrap();

    let judged =
        Judge::read(Question::plain("web", 22, vec![world.path().join("new/known_hosts")], Vec::new(), true)).unwrap();
    judged.decide(&world.key().into()).unwrap();
    std::fs::write(world.path().join("new"), "").unwrap();

    let reason = judged.store(&world.key()).unwrap_err();
    assert_eq!(reason.code, Code::HostKeyUnknown);
    assert!(reason.message.contains("cannot store the host key of web:22 in "), "{reason}");
}

#[cfg(unix)]
#[test]
fn who_wants_nothing_stored_says_dev_null() {
    let world = World::new();
    let judge = world.judge(Path::new("/dev/null"), 22);

    judge.decide(&world.key().into()).unwrap();

    assert_eq!(judge.store(&judge.first_key().unwrap()), Ok(()));
}
