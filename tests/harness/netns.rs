//! Two machines and the cable between them, made of network namespaces: what happens there disturbs nobody.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::programs::programs;
use crate::runtime::runtime;
use crate::sshd::Sshd;
use crate::world::{World, can_be_root, can_run};

/// The machine with the daemon.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The machine with the server.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// What the end of the cable is called on both machines.
const CABLE: &str = "cable";

/// Two machines with a cable between them.
///
/// The namespaces have no name anywhere: they end with the last process and the last descriptor in them, so that
/// nothing has to be cleaned up, however the test ends.
#[derive(Debug)]
pub struct Net {
    client: File,
    server: File,
}

impl Net {
    /// Lays the cable; `None` where it cannot be done and nobody insists, see [`can_be_root`].
    pub fn new(why: &str) -> Option<Net> {
        if !can_be_root(why) || !can_run("ip", "iproute2", why) || !can_run("nft", "nftables", why) {
            return None;
        }
        // What lives on the runtime, and the build, belong to the network of the tests themselves.
        let _ = (runtime(), programs());
        let net = Net { client: namespace(), server: namespace() };
        let servers_end = format!("/proc/{}/fd/{}", std::process::id(), net.server.as_raw_fd());
        net.on_client(|| {
            ip(&["link", "set", "lo", "up"]);
            ip(&["link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", &servers_end]);
            ip(&["addr", "add", &format!("{CLIENT}/24"), "dev", CABLE]);
            ip(&["link", "set", CABLE, "up"]);
        });
        net.on_server(|| {
            ip(&["link", "set", "lo", "up"]);
            ip(&["addr", "add", &format!("{SERVER}/24"), "dev", CABLE]);
            ip(&["link", "set", CABLE, "up"]);
        });
        Some(net)
    }

    /// Runs `run` on the machine with the daemon: what it opens and starts is there.
    #[track_caller]
    pub fn on_client<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        inside(&self.client, run)
    }

    /// Runs `run` on the machine with the server.
    #[track_caller]
    pub fn on_server<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        inside(&self.server, run)
    }

    /// A real server on its machine, which the user of `world` knows as `alias`.
    pub fn sshd(&self, world: &World, alias: &str, lines: &str) -> Sshd {
        let lines = format!("ListenAddress {SERVER}\n{lines}");
        let sshd = self.on_server(|| Sshd::start_unknown(world, &lines));
        world.add_host_at(alias, SERVER, sshd.port(), Some(sshd.host_key()));
        sshd
    }

    /// From now on nothing crosses the cable, either way, and nobody is told: no reset, no «unreachable».
    pub fn go_silent(&self) {
        // At the server's end: its machine and not the daemon's own kernel loses what is sent.
        self.on_server(|| {
            nft(&format!(
                "table inet silence {{\n chain in {{\n type filter hook prerouting priority -300\n iifname {CABLE} drop\n }}\n \
                 chain out {{\n type filter hook output priority -300\n oifname {CABLE} drop\n }}\n}}\n"
            ));
        });
    }

    /// Everything crosses the cable again.
    pub fn end_silence(&self) {
        self.on_server(|| nft("delete table inet silence\n"));
    }

    /// Pulls the cable out of the daemon's machine, or puts it in again.
    pub fn plug(&self, is_in: bool) {
        self.on_client(|| ip(&["link", "set", CABLE, if is_in { "up" } else { "down" }]));
    }

    /// Gives the daemon's machine one more address.
    pub fn add_address(&self, further: Ipv4Addr) {
        self.on_client(|| ip(&["addr", "add", &format!("{further}/24"), "dev", CABLE]));
    }

    /// Gives the daemon's machine another address in place of the one that it has, as another network does.
    pub fn move_client(&self, from: Ipv4Addr, to: Ipv4Addr) {
        self.on_client(|| {
            ip(&["addr", "del", &format!("{from}/24"), "dev", CABLE]);
            ip(&["addr", "add", &format!("{to}/24"), "dev", CABLE]);
        });
    }
}

/// A new namespace without anything in it, held by its descriptor.
fn namespace() -> File {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        File::open("/proc/thread-self/ns/net").expect("a thread has a network namespace")
    });
    made.join().expect("the namespace is made")
}

/// Runs `run` on a thread of its own, since a namespace is entered by a thread and never left.
fn inside<T: Send>(namespace: &File, run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter a network namespace");
            run()
        });
        running.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("ip can be started");
    assert!(status.success(), "ip {}: {status}", arguments.join(" "));
}

fn nft(rules: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft can be started");
    nft.stdin.take().expect("stdin is a pipe").write_all(rules.as_bytes()).unwrap();
    let status = nft.wait().unwrap();
    assert!(status.success(), "nft: {status}\n{rules}");
}
