//! Counts the instructions that alknetd executes for each MiB that it carries, with valgrind's callgrind.
//!
//! `cargo bench -p alknet-tests --bench instructions`. The count is that of the program alone, not of the system's calls,
//! and the same within about a percent from run to run, whatever else the machine does. valgrind has fewer instructions
//! for ciphers than most processors, so compare a count with one of another version, not with time.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement prints, and ends at the first surprise"
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use alknet_tests::load::connect;
use alknet_tests::process::Process;
use alknet_tests::programs::programs;
use alknet_tests::wait::wait_within;
use alknet_tests::{Sshd, World, targets};
use nix::sys::signal::Signal;

/// Everything is some fifty times slower under valgrind.
const LIMIT: Duration = Duration::from_secs(120);
const MIB: usize = 1 << 20;
/// What both runs have in common, start and login and end, is subtracted.
const FEW_MIB: usize = 16;
const MANY_MIB: usize = 80;

#[derive(Clone, Copy)]
enum Direction {
    Down,
    Up,
}

fn main() {
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build; its numbers mean nothing");
    }
    println!("| What | Instructions for each MiB |\n|---|---|");
    for (direction, what) in [(Direction::Down, "download"), (Direction::Up, "upload")] {
        let many = count(direction, MANY_MIB);
        let few = count(direction, FEW_MIB);
        println!("| {what} | {} |", (many - few) / (MANY_MIB - FEW_MIB) as u64);
    }
}

/// Instructions of a whole run of the daemon that carries so much over one connection.
fn count(direction: Direction, n_mib: usize) -> u64 {
    let world = World::new();
    let _sshd = Sshd::start_with(&world, "prod", "Ciphers aes128-gcm@openssh.com\n");
    let counts = world.path("callgrind.out");
    let mut command = world.command(Path::new("valgrind"));
    command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", counts.display()));
    let mut daemon = Process::start(command.arg(&programs().alknetd), &world.path("alknetd.log"));
    wait_within(LIMIT, "the daemon takes connections", || {
        assert!(daemon.ended().is_none(), "no daemon under valgrind (is it installed?):\n{}", world.daemon_log());
        UnixStream::connect(world.socket()).ok()
    });

    let (source, echo) = (targets::source(1, n_mib * MIB), targets::answers_at_the_end(0));
    let target = match direction {
        Direction::Down => source.port(),
        Direction::Up => echo.port(),
    };
    let spec = format!("0:127.0.0.1:{target}");
    world.ctl(["--timeout", "120", "add-forward", "prod", "--wait=120", "--name", "web", "-L", &spec]).ok();
    let mut stream = connect(world.port("web"));
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut sent = 0;
    while matches!(direction, Direction::Up) && sent < n_mib {
        stream.write_all(&[0x5A; MIB]).unwrap();
        sent += 1;
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    match direction {
        Direction::Down => assert_eq!(answer.len(), n_mib * MIB),
        Direction::Up => assert!(answer.starts_with(format!("{} ", n_mib * MIB).as_bytes())),
    }

    daemon.signal(Signal::SIGTERM);
    daemon.wait(LIMIT);
    let counted = std::fs::read_to_string(&counts).unwrap();
    let totals = counted.lines().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind says the total");
    totals.trim().parse().unwrap()
}
