//! Runs OpenSSH's programs, and makes keys with them, in a directory of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use russh::keys::{PublicKey, load_public_key};

/// Runs a program of OpenSSH to its end, away from the user's own files and agent.
pub(in crate::ssh) fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .env_remove("SSH_AUTH_SOCK")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} is installed: {error}"))
}

/// Runs ssh-keygen, which has to succeed.
pub(in crate::ssh) fn keygen(arguments: &[&str]) {
    let output = run("ssh-keygen", arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a key pair without a passphrase; the private half is at the path.
pub(in crate::ssh) fn make_key(folder: &Path, name: &str, kind: &str) -> PathBuf {
    let path = folder.join(name);
    keygen(&["-q", "-t", kind, "-N", "", "-C", "", "-f", text(&path)]);
    path
}

/// The public half of a key made by `make_key`.
pub(in crate::ssh) fn public(path: &Path) -> PublicKey {
    load_public_key(beside(path)).unwrap()
}

/// `ssh-ed25519 AAAA…`
pub(in crate::ssh) fn line_of(path: &Path) -> String {
    std::fs::read_to_string(beside(path)).unwrap().trim().to_owned()
}

pub(in crate::ssh) fn beside(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.pub", path.display()))
}

pub(in crate::ssh) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
