//! OpenSSH's own client, to check the peers with and to compare alknet to.

use std::process::Command;

use crate::process::Process;
use crate::wait::wait_for;
use crate::world::World;

/// A running `ssh -N` with these forwarding options (`-L`, `-R`, `-D`), to `alias` of `world`'s configuration.
///
/// Waits until `ready` is true; ssh says nowhere when it is.
pub fn forward(world: &World, alias: &str, options: &[&str], mut ready: impl FnMut() -> bool) -> Process {
    let mut command = Command::new("ssh");
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
