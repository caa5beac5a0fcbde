//! A real OpenSSH server on a free port of this machine.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russh::keys::PrivateKey;
use tempfile::TempDir;

use crate::keys;
use crate::ports::free_port;
use crate::process::{Process, children};
use crate::wait::wait_for;
use crate::world::{World, is_root};

const PROGRAM: &str = "/usr/sbin/sshd";

/// A running sshd; it and all its sessions end when this is dropped.
#[derive(Debug)]
pub struct Sshd {
    dir: TempDir,
    port: u16,
    host_key: PrivateKey,
    lines: String,
    process: Option<Process>,
}

impl Sshd {
    /// Starts sshd for the user of `world`, who knows it as `alias`.
    pub fn start(world: &World, alias: &str) -> Self {
        Sshd::start_with(world, alias, "")
    }

    /// Starts sshd with further lines of sshd_config.
    ///
    /// # Panics
    /// When there is no sshd on this machine: nothing stands in for it.
    pub fn start_with(world: &World, alias: &str, lines: &str) -> Self {
        let sshd = Sshd::start_unknown(world, lines);
        world.add_host(alias, sshd.port, Some(&sshd.host_key));
        sshd
    }

    /// Starts sshd, which takes the key of `world`'s user but whose own key is in no known_hosts.
    pub fn start_unknown(world: &World, lines: &str) -> Self {
        Sshd::start_for(&keys::public_line(world.key()), lines, keys::ed25519())
    }

    /// Starts sshd for the owner of `authorized`, a line of authorized_keys.
    pub fn start_for(authorized: &str, lines: &str, host_key: PrivateKey) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing: install openssh-server (apt-get install openssh-server)"
        );
        if is_root() {
            // sshd puts its unprivileged half there.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let dir = tempfile::Builder::new().prefix("alksshd").tempdir_in("/tmp").unwrap();
        fs::write(dir.path().join("authorized_keys"), format!("{authorized}\n")).unwrap();
        let mut sshd = Sshd { dir, port: free_port(), host_key, lines: lines.to_owned(), process: None };
        sshd.listen();
        sshd
    }

    /// The port it listens on, the same after every start.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its key.
    pub fn host_key(&self) -> &PrivateKey {
        &self.host_key
    }

    /// A path in its folder, on «the server».
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts to listen, with the host key and the configuration that it has now.
    pub fn listen(&mut self) {
        keys::save(&self.host_key, &self.path("host_key"));
        fs::write(self.path("sshd_config"), self.configuration()).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("-D").arg("-f").arg(self.path("sshd_config")).arg("-E").arg(self.path("log"));
        let before = self.count("Server listening on");
        let mut process = Process::start(&mut command, &self.path("stderr"));
        wait_for("sshd listens", || {
            if let Some(status) = process.ended() {
                panic!("sshd ended ({status}):\n{}{}", self.log(), self.read("stderr"));
            }
            (before < self.count("Server listening on")).then_some(())
        });
        self.process = Some(process);
    }

    /// Ends the server and all its sessions by SIGKILL; its port is free afterwards.
    pub fn kill_all(&mut self) {
        if let Some(process) = self.process.take() {
            let sessions = descendants(process.pid());
            drop(process);
            for pid in sessions {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            let port = self.port;
            wait_for("sshd's port is closed", || TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
        }
    }

    /// Ends every session by SIGKILL; the server goes on listening. Returns how many processes that were.
    pub fn kill_sessions(&self) -> usize {
        let sessions = self.session_pids();
        for pid in &sessions {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        sessions.len()
    }

    /// Stops (SIGSTOP) or continues (SIGCONT) every session process: a server that hangs.
    pub fn freeze_sessions(&self, frozen: bool) {
        for pid in self.session_pids() {
            let _ = kill(Pid::from_raw(pid), if frozen { Signal::SIGSTOP } else { Signal::SIGCONT });
        }
    }

    /// The processes of the sessions.
    pub fn session_pids(&self) -> Vec<i32> {
        self.process.as_ref().map(|process| descendants(process.pid())).unwrap_or_default()
    }

    /// Ends the server and starts it again with another host key.
    pub fn swap_host_key(&mut self) {
        self.kill_all();
        self.host_key = keys::ed25519();
        self.listen();
    }

    /// Ends the server and starts it again with other further lines of sshd_config.
    pub fn reconfigure(&mut self, lines: &str) {
        self.kill_all();
        lines.clone_into(&mut self.lines);
        self.listen();
    }

    /// Lets only the owner of `authorized` log in.
    pub fn authorize(&self, authorized: &str) {
        fs::write(self.path("authorized_keys"), format!("{authorized}\n")).unwrap();
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.read("log")
    }

    /// How many lines of the log contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// How many logins it has taken.
    pub fn logins(&self) -> usize {
        self.count("Accepted publickey")
    }

    /// How many connections it has taken.
    pub fn connections(&self) -> usize {
        self.count("Connection from ")
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    fn configuration(&self) -> String {
        let dir = self.dir.path().display();
        // sshd takes the first of equal options, so those of the test come first.
        format!(
            "{lines}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host_key\nPidFile {dir}/pid\n\
             AuthorizedKeysFile {dir}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 1000:30:2000\nUseDNS no\n\
             LogLevel VERBOSE\nStreamLocalBindUnlink yes\n",
            lines = self.lines,
            port = self.port,
        )
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- log of sshd ----\n{}----", self.log());
        }
        self.kill_all();
    }
}

fn descendants(pid: i32) -> Vec<i32> {
    let mut found = children(pid);
    let mut next = 0;
    while next < found.len() {
        found.extend(children(found[next]));
        next += 1;
    }
    found
}
