//! Host certificates, made by ssh-keygen, and who is trusted to sign them.

use std::path::{Path, PathBuf};

use alknet_proto::{Code, Reason};
use russh::keys::Certificate;
use tempfile::TempDir;

use super::keygen::{keygen, line_of, make_key, text};
use crate::ssh::host_key::{Judge, Question};

/// Two authorities, a host's key, and what was signed with them.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        for name in ["ca", "other", "host"] {
            make_key(world.path(), name, "ed25519");
        }
        world
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Has the authority sign the host's key.
    fn sign(&self, authority: &str, options: &[&str]) -> Certificate {
        let (authority, public) = (self.at(authority), self.at("host.pub"));
        let mut arguments = vec!["-q", "-s", text(&authority), "-I", "a host"];
        arguments.extend(options);
        arguments.push(text(&public));
        keygen(&arguments);
        Certificate::read_file(&self.at("host-cert.pub")).unwrap()
    }

    fn line(&self, names: &str, key: &str) -> String {
        format!("{names} {}\n", line_of(&self.at(key)))
    }

    fn judge(&self, lines: &str, port: u16) -> Judge {
        std::fs::write(self.at("known_hosts"), lines).unwrap();
        let question = Question::plain("web.example.org", port, vec![self.at("known_hosts")], Vec::new(), false);
        Judge::read(question).unwrap()
    }

    fn verdict(&self, lines: &str, certificate: Certificate) -> Result<(), Reason> {
        self.judge(lines, 22).decide(&certificate.into())
    }
}

#[test]
fn a_certificate_is_trusted_only_when_everything_in_it_is_right() {
    let world = World::new();
    let lines = world.line("@cert-authority *.example.org", "ca");
    let host = ["-h", "-n", "web.example.org"];
    // How it was signed, and what is wrong with it.
    let cases: [(&str, &[&str], Option<&str>); 12] = [
        ("ca", &host, None),
        ("ca", &["-h", "-n", "db,web.example.org"], None),
        ("ca", &["-h", "-n", "*.example.org"], None),
        ("ca", &["-h", "-n", "web.example.org", "-V", "-1d:+1d"], None),
        ("ca", &["-h", "-n", "db.example.org"], Some("it is for another host")),
        ("ca", &["-h", "-n", "web"], Some("it is for another host")),
        // OpenSSH before 10.3 took it for every host.
        ("ca", &["-h"], Some("it is for another host")),
        ("ca", &["-n", "web.example.org"], Some("it is no host certificate")),
        ("ca", &["-h", "-n", "web.example.org", "-V", "-2d:-1d"], Some("it has expired")),
        ("ca", &["-h", "-n", "web.example.org", "-V", "+1d:+2d"], Some("it is not valid yet")),
        ("ca", &["-h", "-n", "web.example.org", "-O", "critical:strange=1"], Some("it has a critical option")),
        ("other", &host, Some("is not known")),
    ];

    for (authority, options, wrong) in cases {
        let verdict = world.verdict(&lines, world.sign(authority, options));
        match (wrong, verdict) {
            (None, verdict) => assert_eq!(verdict, Ok(()), "{options:?}"),
            (Some(wrong), verdict) => {
                let reason = verdict.expect_err(wrong);
                assert_eq!(reason.code, Code::HostKeyUnknown, "{options:?}");
                assert!(reason.message.contains(wrong), "{options:?}: {reason}");
            }
        }
    }
}

#[test]
fn an_authority_is_one_only_for_the_hosts_of_its_line() {
    let world = World::new();
    let certificate = || world.sign("ca", &["-h", "-n", "web.example.org"]);

    assert!(world.verdict(&world.line("@cert-authority *", "ca"), certificate()).is_ok());
    assert!(world.verdict(&world.line("@cert-authority *.example.com", "ca"), certificate()).is_err());
    assert!(world.verdict(&world.line("@cert-authority *,!web.example.org", "ca"), certificate()).is_err());
    assert!(
        world.verdict(&world.line("web.example.org", "ca"), certificate()).is_err(),
        "a plain line is no authority"
    );
}

#[test]
fn a_revoked_key_or_authority_spoils_the_certificate() {
    let world = World::new();
    let trust = world.line("@cert-authority *", "ca");

    for revoked in ["ca", "host"] {
        let lines = trust.clone() + &world.line("@revoked *", revoked);
        let reason = world.verdict(&lines, world.sign("ca", &["-h", "-n", "web.example.org"])).unwrap_err();
        assert_eq!(reason.code, Code::HostKeyRevoked, "{revoked}");
    }
}

#[test]
fn a_certificate_of_a_stranger_is_taken_for_its_bare_key() {
    let world = World::new();
    let certificate = || world.sign("other", &["-h", "-n", "web.example.org"]);
    let trust = world.line("@cert-authority *", "ca");

    let known = world.verdict(&(trust.clone() + &world.line("web.example.org", "host")), certificate());
    let changed = world.verdict(&(trust + &world.line("web.example.org", "other")), certificate());

    assert_eq!(known, Ok(()));
    assert_eq!(changed.unwrap_err().code, Code::HostKeyChanged);
}

#[test]
fn a_forged_signature_is_seen() {
    let world = World::new();
    let lines = world.line("@cert-authority *", "ca");
    let genuine = world.sign("ca", &["-h", "-n", "web.example.org"]).to_bytes().unwrap();
    let place = genuine.windows(6).position(|bytes| bytes == b"a host").unwrap();

    let mut forged = genuine;
    forged[place] = b'b';

    let reason = world.verdict(&lines, Certificate::from_bytes(&forged).unwrap()).unwrap_err();
    assert!(reason.message.contains("its signature is wrong"), "{reason}");
}

#[test]
fn certificates_are_asked_for_only_where_somebody_may_sign_them() {
    let world = World::new();

    assert!(world.judge(&world.line("web.example.org", "host"), 22).certificate_kinds().is_empty());
    assert!(world.judge(&world.line("@cert-authority *.com", "ca"), 22).certificate_kinds().is_empty());
    assert!(!world.judge(&world.line("@cert-authority *.org", "ca"), 22).certificate_kinds().is_empty());
    assert!(!world.judge(&world.line("@cert-authority *.org", "ca"), 2222).certificate_kinds().is_empty());
}
