//! What is offered to log in: certificates, and the keys of the agent that the configuration names.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use alknet_tests::process::Process;
use alknet_tests::wait::wait_until;
use alknet_tests::{Sshd, World, keys};

/// Runs one of OpenSSH's programs, which has to succeed.
fn run(program: &str, arguments: &[&str], variables: &[(&str, &Path)]) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).envs(variables.iter().copied());
    let output = command.output().unwrap_or_else(|error| panic!("{program} is installed: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A server that takes no key but what its authority has signed for the user who runs the tests.
struct Authority {
    world: World,
    sshd: Sshd,
    key: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let world = World::new();
        let key = world.path("authority");
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", text(&key)], &[]);
        let trusted = format!("TrustedUserCAKeys {}.pub\nAuthorizedKeysFile none\n", key.display());
        let sshd = Sshd::start_for(&keys::public_line(world.key()), &trusted, keys::ed25519());
        world.add_host("prod", sshd.port(), Some(sshd.host_key()));
        Authority { world, sshd, key }
    }

    /// Makes a key pair of this kind in `~/.ssh`, and its certificate beside it.
    fn certified(&self, name: &str, kind: &str) -> PathBuf {
        let path = self.world.ssh_file(name);
        run("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", "", "-f", text(&path)], &[]);
        let public = format!("{}.pub", path.display());
        let user = alknet_tests::world::current_user();
        run("ssh-keygen", &["-q", "-s", text(&self.key), "-I", name, "-n", &user, &public], &[]);
        path
    }

    #[track_caller]
    fn logs_in(&self) {
        self.world.start();
        self.world.add_active("web", &["-L", "0:localhost:80", "prod"]);
        assert_eq!(self.sshd.count("Accepted publickey"), 1);
        assert_eq!(self.sshd.count("-CERT SHA256:"), self.sshd.count("Accepted publickey"), "{}", self.sshd.log());
    }
}

/// A running agent.
fn agent(world: &World, name: &str) -> (Process, PathBuf) {
    let socket = world.path(name);
    let mut command = Command::new("ssh-agent");
    command.args(["-D", "-a", text(&socket)]);
    let process = Process::start(&mut command, &world.path("agent.log"));
    wait_until("the agent listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    (process, socket)
}

#[test]
fn a_certificate_beside_its_key_logs_in() {
    let authority = Authority::new();
    authority.certified("work", "ed25519");
    authority.world.append_ssh_config("Host prod\n  IdentityFile ~/.ssh/work\n");

    authority.logs_in();
}

#[test]
fn a_certificate_of_an_rsa_key_is_signed_without_sha_1() {
    let authority = Authority::new();
    authority.certified("work", "rsa");
    authority.world.append_ssh_config("Host prod\n  IdentityFile ~/.ssh/work\n");

    authority.logs_in();
}

#[test]
fn a_certificate_in_a_file_of_its_own_logs_in_with_a_key_of_the_agent() {
    let authority = Authority::new();
    let key = authority.certified("work", "ed25519");
    let certificate = authority.world.path("elsewhere.pub");
    std::fs::rename(format!("{}-cert.pub", key.display()), &certificate).unwrap();
    let (_agent, socket) = agent(&authority.world, "agent");
    run("ssh-add", &["-q", text(&key)], &[("SSH_AUTH_SOCK", &socket)]);
    std::fs::remove_file(&key).unwrap();
    authority.world.append_ssh_config(&format!(
        "Host prod\n  CertificateFile {}\n  IdentityFile ~/.ssh/work\n  IdentitiesOnly yes\n  IdentityAgent {}\n",
        certificate.display(),
        socket.display()
    ));

    authority.logs_in();
}

#[test]
fn the_agent_is_the_one_that_the_configuration_names() {
    let world = World::new();
    let sshd = Sshd::start_with(&world, "prod", "");
    let (_agent, socket) = agent(&world, "named");
    run("ssh-add", &["-q", text(&world.ssh_file("id_ed25519"))], &[("SSH_AUTH_SOCK", &socket)]);
    std::fs::remove_file(world.ssh_file("id_ed25519")).unwrap();
    std::fs::remove_file(world.ssh_file("id_ed25519.pub")).unwrap();
    world.append_ssh_config("Host prod\n  IdentityAgent ${HOME}/../named\nHost none\n  IdentityAgent none\n");
    world.add_host("none", sshd.port(), None);
    world.start();

    world.add_active("web", &["-L", "0:localhost:80", "prod"]);
    world.add("without", &["-L", "0:localhost:80", "none"]);
    let without = world.wait_status("without", "error");

    assert_eq!(sshd.logins(), 1);
    assert_eq!(without["reason"]["code"], "auth_refused", "{without:#}");
}

#[test]
fn a_key_that_the_configuration_does_not_allow_is_not_offered() {
    let world = World::new();
    let sshd = Sshd::start_with(&world, "prod", "");
    world.append_ssh_config("Host prod\n  PubkeyAcceptedAlgorithms -ssh-ed25519*\n");
    world.start();

    world.add("web", &["-L", "0:localhost:80", "prod"]);
    let forward = world.wait_status("web", "error");

    assert_eq!(forward["reason"]["code"], "auth_refused", "{forward:#}");
    let message = forward["reason"]["message"].as_str().unwrap();
    assert!(message.contains("PubkeyAcceptedAlgorithms does not allow it"), "{message}");
    assert_eq!(sshd.count("publickey"), 0, "nothing was offered");
}
