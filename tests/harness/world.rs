//! A user of his own for each test: home, runtime directory, state, keys, ssh configuration.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use russh::keys::PrivateKey;
use serde_json::Value;
use tempfile::TempDir;

use crate::ctl::CtlOutput;
use crate::daemon::Daemon;
use crate::programs::programs;
use crate::wait::wait_for;
use crate::watch::Watch;
use crate::{keys, process};

/// A user of his own: nothing of the person who runs the tests is read or written.
///
/// Dropping it ends its daemon and removes its files; when the test failed, the daemon's log is printed.
#[derive(Debug)]
pub struct World {
    // Dropped first: the daemon ends before its folder goes.
    pub(crate) daemon: Mutex<Option<Daemon>>,
    dir: TempDir,
    key: PrivateKey,
}

impl World {
    /// A user with an ed25519 key, an empty known_hosts and no daemon.
    pub fn new() -> Self {
        // Paths of sockets have at most 107 bytes, so the folder is where paths are short.
        let dir = tempfile::Builder::new().prefix("alk").tempdir_in("/tmp").expect("/tmp can be written");
        let world = World { key: keys::ed25519(), dir, daemon: Mutex::new(None) };
        for folder in ["home", "home/.ssh", "run", "state", "config"] {
            let path = world.path(folder);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        }
        keys::save(&world.key, &world.ssh_file("id_ed25519"));
        process::write_private(&world.ssh_file("known_hosts"), b"");
        process::write_private(&world.ssh_file("config"), b"");
        world
    }

    /// A user whose daemon runs.
    pub fn with_daemon() -> Self {
        let world = World::new();
        world.start();
        world
    }

    /// A path inside the folder of this world.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(inside)
    }

    /// A file in `~/.ssh`.
    pub fn ssh_file(&self, name: &str) -> PathBuf {
        self.path("home/.ssh").join(name)
    }

    /// The rules as the daemon saves them.
    pub fn rules_path(&self) -> PathBuf {
        self.path("state/alknet/rules.json")
    }

    /// The daemon's configuration.
    pub fn config_path(&self) -> PathBuf {
        self.path("config/alknet/config.toml")
    }

    /// Writes the daemon's configuration.
    pub fn configure(&self, lines: &str) {
        let path = self.config_path();
        fs::create_dir_all(path.parent().expect("it is in a folder")).unwrap();
        fs::write(path, lines).unwrap();
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path("run/alknet/alknetd.sock")
    }

    /// The user's key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Adds a Host of the ssh configuration that leads to `port` on this machine; with `host_key`, known_hosts has it.
    pub fn add_host(&self, alias: &str, port: u16, host_key: Option<&PrivateKey>) {
        self.add_host_at(alias, Ipv4Addr::LOCALHOST, port, host_key);
    }

    /// As [`World::add_host`], for a server at `ip`.
    pub fn add_host_at(&self, alias: &str, ip: Ipv4Addr, port: u16, host_key: Option<&PrivateKey>) {
        let user = current_user();
        self.append_ssh_config(&format!("Host {alias}\n  HostName {ip}\n  Port {port}\n  User {user}\n"));
        if let Some(key) = host_key {
            let mut known = fs::read_to_string(self.ssh_file("known_hosts")).unwrap();
            known.push_str(&keys::known_hosts_line(&ip.to_string(), port, key));
            process::write_private(&self.ssh_file("known_hosts"), known.as_bytes());
        }
    }

    /// Adds lines to `~/.ssh/config`.
    pub fn append_ssh_config(&self, lines: &str) {
        let mut config = fs::read_to_string(self.ssh_file("config")).unwrap();
        config.push_str(lines);
        process::write_private(&self.ssh_file("config"), config.as_bytes());
    }

    /// A command that runs as this user, with nothing from the environment of the person who runs the tests.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        for kept in ["PATH", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("USER", current_user())
            .env("LOGNAME", current_user())
            .env("LANG", "C.UTF-8")
            .current_dir(self.dir.path());
        command
    }

    /// alknetctl, ready to get arguments.
    pub fn ctl_command(&self) -> Command {
        self.command(&programs().alknetctl)
    }

    /// Runs alknetctl to its end.
    pub fn ctl<I, S>(&self, arguments: I) -> CtlOutput
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.ctl_command();
        command.args(arguments);
        CtlOutput::of(command)
    }

    /// Adds forwards and returns the one that `name` names, as it is listed.
    #[track_caller]
    pub fn add(&self, name: &str, arguments: &[&str]) -> Value {
        self.ctl(["add-forward", "--name", name].iter().chain(arguments)).ok();
        self.forward(name)
    }

    /// Adds a forward, waits until it is active and returns it as it is listed.
    #[track_caller]
    pub fn add_active(&self, name: &str, arguments: &[&str]) -> Value {
        self.add(name, arguments);
        self.wait_status(name, "active")
    }

    /// Every forward, as `list-forwards --json` prints them.
    #[track_caller]
    pub fn forwards(&self) -> Vec<Value> {
        let listed = self.ctl(["list-forwards", "--json"]).ok().json();
        listed.as_array().expect("list-forwards prints an array").clone()
    }

    /// The forward named `name`, as `list-forwards --json` prints it.
    #[track_caller]
    pub fn forward(&self, name: &str) -> Value {
        let forwards = self.forwards();
        let found = forwards.iter().find(|forward| forward["name"] == name);
        found.unwrap_or_else(|| panic!("no forward named {name} in {forwards:#?}")).clone()
    }

    /// The session to `destination`, as `list-sessions --json` prints it.
    #[track_caller]
    pub fn session(&self, destination: &str) -> Value {
        let sessions = self.ctl(["list-sessions", "--json"]).ok().json();
        let found = sessions.as_array().and_then(|all| all.iter().find(|one| one["destination"] == destination));
        found.unwrap_or_else(|| panic!("no session to {destination} in {sessions:#?}")).clone()
    }

    /// The port that the forward named `name` is bound to.
    #[track_caller]
    pub fn port(&self, name: &str) -> u16 {
        port_of(&self.forward(name))
    }

    /// Waits until the forward named `name` has `status` and returns it.
    #[track_caller]
    pub fn wait_status(&self, name: &str, status: &str) -> Value {
        let mut last = Value::Null;
        let end = std::time::Instant::now() + crate::wait::LIMIT;
        loop {
            let forward = self.forward(name);
            if forward["status"] == status {
                return forward;
            }
            last = if last == forward { last } else { forward };
            assert!(std::time::Instant::now() < end, "forward {name} does not become {status}: {last:#}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until the forward named `name` satisfies `holds` and returns it.
    #[track_caller]
    pub fn wait_forward(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("forward {name}: {what}"), || Some(self.forward(name)).filter(|forward| holds(forward)))
    }

    /// A running `alknetctl watch --json` that has seen its first snapshot.
    pub fn watch(&self) -> Watch {
        let mut watch = self.watch_with(&[]);
        watch.until("the snapshot", |event| event["event"] == "snapshot");
        watch
    }

    /// A running `alknetctl watch --json` with further arguments, of which nothing was read yet.
    pub fn watch_with(&self, arguments: &[&str]) -> Watch {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("watch.log")).unwrap();
        Watch::start(self.ctl_command().args(["watch", "--json"]).args(arguments).stderr(log))
    }
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["alknetd.log", "watch.log"] {
                let log = fs::read_to_string(self.path(name)).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(200).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                eprintln!("---- end of {name} ----\n{}\n----", tail.join("\n"));
            }
        }
    }
}

/// The port that a listed forward is bound to.
#[track_caller]
pub fn port_of(forward: &Value) -> u16 {
    let port = forward["bind_port"].as_u64().unwrap_or_else(|| panic!("no bind_port in {forward:#}"));
    u16::try_from(port).expect("a port has 16 bits")
}

/// The name of the user who runs the tests; sshd lets nobody else in.
pub fn current_user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap();
    user.expect("the user who runs the tests has a name").name
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::getuid().is_root()
}

/// Whether tests may take their time: `ALKNET_TESTS_LONG` is set.
pub fn is_long_run() -> bool {
    std::env::var_os("ALKNET_TESTS_LONG").is_some()
}

/// Whether a test that takes root can run: where it cannot, it says why and does nothing.
///
/// # Panics
/// Without root where `ALKNET_TESTS_AS_ROOT` is set: what runs every test must not leave one out by mistake.
pub fn can_be_root(why: &str) -> bool {
    is_root() || is_left_out(&format!("this test takes root: {why}"))
}

/// Whether a test that takes `program`, of the Debian package `package`, can run; else as [`can_be_root`].
pub fn can_run(program: &str, package: &str, why: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    is_there || is_left_out(&format!("this test takes {program} (apt-get install {package}): {why}"))
}

/// Says aloud that a test is left out.
///
/// # Panics
/// Where `ALKNET_TESTS_AS_ROOT` is set.
pub fn is_left_out(message: &str) -> bool {
    assert!(std::env::var_os("ALKNET_TESTS_AS_ROOT").is_none(), "{message}");
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    say_aloud(&format!("NOT TESTED: {name}: {message}"));
    false
}

/// Says something to the person who runs the tests. A test that passes is not asked what it printed, so this goes
/// around the capture.
pub fn say_aloud(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
