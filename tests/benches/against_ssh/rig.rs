//! What is measured: one sshd, near and far, and both programs with the same rules.

use std::time::{Duration, Instant};

use alknet_tests::distance::Distance;
use alknet_tests::ports::free_port;
use alknet_tests::process::{self, Process};
use alknet_tests::targets::{self, Tally, Target};
use alknet_tests::{Sshd, World, openssh};

/// The only one that the server takes, so that both programs do the same work.
pub(crate) const CIPHER: &str = "aes128-gcm@openssh.com";
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(50);

/// The ports of one program's rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    /// To a target that sends without end.
    pub(crate) flood: u16,
    /// To a target that reads without end.
    pub(crate) sink: u16,
    pub(crate) echo: u16,
}

/// One program that forwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) pid: i32,
    pub(crate) near: Ports,
    /// Over the long way. Another process in the case of ssh.
    pub(crate) far: Ports,
    pub(crate) far_pid: i32,
}

impl Side {
    /// The CPU time it has used so far, near and far.
    pub(crate) fn cpu_time(&self) -> Duration {
        let far = if self.far_pid == self.pid { Duration::ZERO } else { process::cpu_time(self.far_pid) };
        process::cpu_time(self.pid) + far
    }
}

/// Measured through ssh, and through alknet.
#[derive(Clone, Debug)]
pub(crate) struct Both<T> {
    pub(crate) ssh: T,
    pub(crate) alknet: T,
}

impl<T> Both<T> {
    pub(crate) fn map<U>(&self, mut figure: impl FnMut(&T) -> U) -> Both<U> {
        Both { ssh: figure(&self.ssh), alknet: figure(&self.alknet) }
    }
}

/// Everything that runs. Dropping it ends it.
pub(crate) struct Rig {
    pub(crate) world: World,
    pub(crate) sshd: Sshd,
    pub(crate) tally: Tally,
    pub(crate) echo: Target,
    pub(crate) ssh: Side,
    pub(crate) alknet: Side,
    _targets: [Target; 2],
    _distance: Distance,
    _ssh: [Process; 2],
}

impl Rig {
    pub(crate) fn set_up() -> Self {
        let world = World::new();
        let sshd = Sshd::start_with(&world, "near", &format!("Ciphers {CIPHER}\n"));
        let distance = Distance::before(sshd.port(), ROUND_TRIP);
        world.add_host("far", distance.port(), Some(sshd.host_key()));
        let (flood, echo) = (targets::flood(), targets::echo_apart());
        let (sink, tally) = targets::tallying_sink();
        world.start_with(&[], &[]);
        let options = |ports: &Ports| {
            [(ports.flood, &flood), (ports.sink, &sink), (ports.echo, &echo)]
                .map(|(port, target)| format!("-L127.0.0.1:{port}:127.0.0.1:{}", target.port()))
        };
        let with_alknet = |destination: &str| {
            let ports = free_ports();
            let mut add = vec!["add-forward".to_owned(), "--wait".to_owned(), destination.to_owned()];
            add.extend(options(&ports));
            world.ctl(&add).ok();
            ports
        };
        let with_ssh = |destination: &str| {
            let ports = free_ports();
            let options = options(&ports);
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let is_open = || std::net::TcpStream::connect(("127.0.0.1", ports.echo)).is_ok();
            (openssh::forward(&world, destination, &options, is_open), ports)
        };
        let pid = world.daemon_pid();
        let alknet = Side { pid, near: with_alknet("near"), far: with_alknet("far"), far_pid: pid };
        let ((near_ssh, near), (far_ssh, far)) = (with_ssh("near"), with_ssh("far"));
        let ssh = Side { pid: near_ssh.pid(), near, far, far_pid: far_ssh.pid() };
        Rig {
            world,
            sshd,
            tally,
            echo,
            ssh,
            alknet,
            _targets: [flood, sink],
            _distance: distance,
            _ssh: [near_ssh, far_ssh],
        }
    }

    /// Measures through one program and then the other, `rounds` times, so that a machine that gets slower
    /// meanwhile slows both.
    pub(crate) fn interleave<T>(&self, rounds: usize, mut measure: impl FnMut(&Side) -> T) -> Both<Vec<T>> {
        let mut both = Both { ssh: Vec::new(), alknet: Vec::new() };
        for round in 0..rounds {
            // Neither is always the first.
            for turn in 0..2 {
                if (round + turn) % 2 == 0 {
                    both.ssh.push(measure(&self.ssh));
                } else {
                    both.alknet.push(measure(&self.alknet));
                }
            }
        }
        both
    }
}

fn free_ports() -> Ports {
    Ports { flood: free_port(), sink: free_port(), echo: free_port() }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which `share` (0.0 to 1.0) of all are.
pub(crate) fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
    times.get(index).copied().unwrap_or_default()
}

/// Looks every 5 ms, at most for `limit`.
pub(crate) fn wait_at_most(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}
