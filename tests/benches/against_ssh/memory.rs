//! What connections and rules cost in memory.

use std::time::Duration;

use alknet_tests::ports::free_port;
use alknet_tests::process::{self, Process};
use alknet_tests::wait::{LIMIT, wait_until, wait_within};
use alknet_tests::{World, openssh};
use nix::sys::signal::Signal;

use crate::Plan;
use crate::echo::Echo;
use crate::report::{Goal, Row};
use crate::rig::{Both, Rig};

const MB: f64 = 1e6;
const RULES: usize = 100;
/// So many pairs of autossh and ssh are started; a hundred of them would take a minute to log in.
const AUTOSSHES: usize = 20;

/// Fresh programs, since memory that was used once stays.
pub(crate) fn connections(rig: &Rig, _: Plan) -> Vec<Row> {
    let target = format!("127.0.0.1:{}", rig.echo.port());
    let port = free_port();
    let option = format!("-L127.0.0.1:{port}:{target}");
    let is_open = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    let ssh = openssh::forward(&rig.world, "near", &[&option], is_open);
    let world = other_world(rig);
    world.ctl(["add-forward", "near", "--wait", "--name", "echo", "-L", &format!("0:{target}")]).ok();
    let mut rows = Vec::new();
    for n in [1, 100, 1000] {
        let through = |port: u16, pid: i32| {
            let mut open: Vec<Echo> = (0..n).map(|_| Echo::on(port)).collect();
            for echo in &mut open {
                echo.once();
            }
            settled(pid)
        };
        let bytes = Both { ssh: through(port, ssh.pid()), alknet: through(world.port("echo"), world.daemon_pid()) };
        let what = format!("memory, {n} idle connection{}", if n == 1 { "" } else { "s" });
        rows.push(Row::new(what, "MB", &bytes.map(|bytes| *bytes / MB), Goal::None));
    }
    rows
}

pub(crate) fn rules(rig: &Rig, plan: Plan) -> Vec<Row> {
    let n_pairs = if plan.is_quick { AUTOSSHES / 4 } else { AUTOSSHES };
    let world = other_world(rig);
    let ports: Vec<u16> = (0..RULES).map(|_| free_port()).collect();
    let option = |port: &u16| format!("-L127.0.0.1:{port}:127.0.0.1:{}", rig.echo.port());
    let mut add = vec!["add-forward".to_owned(), "near".to_owned(), "--wait".to_owned()];
    add.extend(ports.iter().map(option));
    world.ctl(&add).ok();
    for port in &ports {
        Echo::on(*port).once();
    }
    let alknet = settled(world.daemon_pid());
    let alknet_resident = process::resident_bytes(world.daemon_pid()) as f64;

    let pairs: Vec<Autossh> = (0..n_pairs).map(|_| Autossh::start(rig, &option(&free_port()))).collect();
    let of_all = |bytes: fn(i32) -> f64| {
        pairs.iter().flat_map(Autossh::pids).map(bytes).sum::<f64>() * RULES as f64 / n_pairs as f64
    };
    let (ssh, ssh_resident) = (of_all(settled), of_all(|pid| process::resident_bytes(pid) as f64));
    let row = |what: &str, ssh: f64, alknet: f64| {
        let what = format!("{what}, {RULES} rules (of autossh + ssh: {n_pairs}, scaled)");
        Row::new(what, "MB", &Both { ssh: ssh / MB, alknet: alknet / MB }, Goal::RatioAtMost(0.03))
    };
    vec![
        row("memory as ps shows it", ssh_resident, alknet_resident),
        row("memory, what is shared counted in parts", ssh, alknet),
    ]
}

/// Another daemon of its own, to the same server.
fn other_world(rig: &Rig) -> World {
    let world = World::new();
    let mut authorized = std::fs::read_to_string(rig.sshd.path("authorized_keys")).unwrap();
    authorized.push_str(&alknet_tests::keys::public_line(world.key()));
    rig.sshd.authorize(&authorized);
    world.add_host("near", rig.sshd.port(), Some(rig.sshd.host_key()));
    world.start_with(&[], &[]);
    world
}

/// What a process needs once it has nothing to do, in bytes; what it shares counts in parts.
fn settled(pid: i32) -> f64 {
    let mut last = 0;
    wait_within(LIMIT, "the process has nothing to do", || {
        let before = std::mem::replace(&mut last, process::proportional_bytes(pid));
        std::thread::sleep(Duration::from_millis(100));
        (before == last).then_some(())
    });
    last as f64
}

/// autossh and the ssh that it watches.
struct Autossh(Process);

impl Autossh {
    fn start(rig: &Rig, option: &str) -> Self {
        let mut command = rig.world.command("autossh".as_ref());
        let file = |name: &str| rig.world.ssh_file(name).display().to_string();
        command.env("AUTOSSH_GATETIME", "0").args(["-M", "0", "-N", "-F", &file("config"), "-i", &file("id_ed25519")]);
        command.args(["-o", &format!("UserKnownHostsFile={}", file("known_hosts")), "-o", "BatchMode=yes"]);
        let before = rig.sshd.logins();
        let process = Process::start(command.arg(option).arg("near"), &rig.world.path("autossh.log"));
        wait_until("autossh's ssh is logged in", || before < rig.sshd.logins());
        Autossh(process)
    }

    fn pids(&self) -> Vec<i32> {
        let mut pids = process::children(self.0.pid());
        pids.push(self.0.pid());
        pids
    }
}

impl Drop for Autossh {
    fn drop(&mut self) {
        // Killed outright it would leave its ssh behind.
        self.0.signal(Signal::SIGTERM);
        self.0.wait(LIMIT);
    }
}
