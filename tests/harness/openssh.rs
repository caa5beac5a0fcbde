//! OpenSSH's own client, to check the peers with and to compare alknet to.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::Process;
use crate::wait::wait_for;
use crate::world::World;

/// A running `ssh -N` with these forwarding options (`-L`, `-R`, `-D`), to `alias` of `world`'s configuration.
///
/// Waits until `ready` is true; ssh says nowhere when it is.
pub fn forward(world: &World, alias: &str, options: &[&str], ready: impl FnMut() -> bool) -> Process {
    run(Command::new("ssh"), world, alias, options, ready)
}

/// As [`forward`], by `autossh -M 0`, which starts ssh again whenever it ends.
///
/// # Panics
/// When there is no autossh on this machine (`apt-get install autossh`).
pub fn kept_forward(world: &World, alias: &str, options: &[&str], ready: impl FnMut() -> bool) -> Autossh {
    let mut command = Command::new("autossh");
    // Without it, the first ssh has to live for 30 s, or autossh ends with it.
    command.env("AUTOSSH_GATETIME", "0").args(["-M", "0"]);
    Autossh(run(command, world, alias, options, ready))
}

/// A running autossh. Dropping it ends its ssh too.
#[derive(Debug)]
pub struct Autossh(Process);

impl Drop for Autossh {
    fn drop(&mut self) {
        self.0.signal(Signal::SIGTERM);
        let end = Instant::now() + Duration::from_secs(5);
        while self.0.ended().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn run(mut command: Command, world: &World, alias: &str, options: &[&str], mut ready: impl FnMut() -> bool) -> Process {
    command.arg("-F").arg(world.ssh_file("config"));
    for option in [
        "BatchMode=yes".to_owned(),
        "ExitOnForwardFailure=yes".to_owned(),
        "IdentitiesOnly=yes".to_owned(),
        format!("IdentityFile={}", world.ssh_file("id_ed25519").display()),
        format!("UserKnownHostsFile={}", world.ssh_file("known_hosts").display()),
    ] {
        command.arg("-o").arg(option);
    }
    command.arg("-N").args(options).arg(alias);
    let log = world.path("ssh.log");
    let mut process = Process::start(&mut command, &log);
    wait_for("ssh forwards", || {
        if let Some(status) = process.ended() {
            panic!("ssh ended ({status}):\n{}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        ready().then_some(())
    });
    process
}
