//! What is offered of the keys of a real ssh-agent.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use alknet_proto::Code;

use super::keygen::{make_key, text};
use super::server::Login;
use super::world::{LIMIT, World};

/// A running agent, which ends with the test.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a", text(&socket)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent is installed");
        let agent = Agent { process, socket };
        let until = Instant::now() + LIMIT;
        while std::os::unix::net::UnixStream::connect(&agent.socket).is_err() {
            assert!(Instant::now() < until, "the agent does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    fn add(&self, key: &Path) {
        let added = Command::new("ssh-add").args(["-q", text(key)]).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(added.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A home without key files, and an agent with two keys whose public halves are in the home.
fn home_with_agent() -> (World, Agent) {
    let mut world = World::new();
    let home = world.settings.home.clone();
    std::fs::remove_file(home.join(".ssh/id_ed25519")).unwrap();
    let agent = Agent::start(&home);
    for name in ["a", "b"] {
        let key = make_key(&home, name, "ed25519");
        agent.add(&key);
        std::fs::remove_file(key).unwrap();
    }
    world.settings.auth_sock = Some(agent.socket.clone());
    (world, agent)
}

fn configure(world: &World, config: &str) {
    std::fs::write(&world.settings.ssh_config, config).unwrap();
}

#[tokio::test]
async fn an_agent_logs_in() {
    let (world, _agent) = home_with_agent();
    let server = world.server(Login::Accept).await;

    world.attempt(server.port).link().await;

    assert_eq!(server.n_logins.load(Relaxed), 1);
}

#[tokio::test]
async fn every_key_of_the_agent_is_offered_once() {
    let (world, _agent) = home_with_agent();
    let server = world.server(Login::Refuse).await;

    let reason = world.attempt(server.port).lost().await;

    assert_eq!(reason.code, Code::AuthRefused, "{reason}");
    assert_eq!(server.n_logins.load(Relaxed), 2);
}

#[tokio::test]
async fn a_public_half_chooses_the_one_key_of_the_agent() {
    let (world, _agent) = home_with_agent();
    configure(&world, "IdentitiesOnly yes\nIdentityFile ~/b.pub\n");
    let server = world.server(Login::Refuse).await;

    let reason = world.attempt(server.port).lost().await;

    assert_eq!(reason.code, Code::AuthRefused, "{reason}");
    assert_eq!(server.n_logins.load(Relaxed), 1);
}

#[tokio::test]
async fn a_key_that_no_agent_has_is_named() {
    let (world, _agent) = home_with_agent();
    make_key(&world.settings.home, "c", "ed25519");
    std::fs::remove_file(world.settings.home.join("c")).unwrap();
    configure(&world, "IdentitiesOnly yes\nIdentityFile ~/c\n");
    let server = world.server(Login::Refuse).await;

    let reason = world.attempt(server.port).lost().await;

    assert_eq!(reason.code, Code::AuthRefused);
    assert!(reason.message.contains("c.pub: no agent has the private half of this key"), "{reason}");
    assert_eq!(server.n_logins.load(Relaxed), 0);
}

#[tokio::test]
async fn an_agent_that_is_gone_leaves_the_files() {
    let mut world = World::new();
    world.settings.auth_sock = Some(world.settings.home.join("no agent here"));
    let server = world.server(Login::Accept).await;

    world.attempt(server.port).link().await;

    assert_eq!(server.n_logins.load(Relaxed), 1);
}
