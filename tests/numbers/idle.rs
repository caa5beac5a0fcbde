//! A hundred rules and nothing to do: how fast they are listed, and what they cost.

use std::time::Duration;

use alknet_tests::process;
use alknet_tests::wait::wait_until;

use crate::{Row, median, mib, ms, real_world};

const RULES: usize = 100;
const RUNS: usize = 20;
const IDLE_FOR: Duration = Duration::from_secs(10);

pub(crate) fn measure() -> Vec<Row> {
    let (world, _sshd) = real_world("");
    let specs: Vec<String> = (0..RULES).map(|n| format!("0:localhost:{}", 1000 + n)).collect();
    let mut add = vec!["add-forward", "prod", "--wait"];
    for spec in &specs {
        add.extend(["-L", spec]);
    }
    world.ctl(add).ok();

    let listings = (0..RUNS).map(|_| world.ctl(["list-forwards"]).ok().took).collect();
    let listing = median(listings);
    let pid = world.daemon_pid();
    wait_until("the daemon has nothing to do", || {
        let before = process::cpu_time(pid);
        std::thread::sleep(Duration::from_secs(1));
        process::cpu_time(pid) == before
    });
    let (cpu, wakeups) = (process::cpu_time(pid), process::wakeups(pid));
    std::thread::sleep(IDLE_FOR);
    let (cpu, wakeups) = (process::cpu_time(pid) - cpu, process::wakeups(pid).saturating_sub(wakeups));
    let resident = process::resident_bytes(pid);

    vec![
        Row::new(
            format!("`alknetctl list-forwards`, {RULES} rules, whole process, median of {RUNS}"),
            "<= 10 ms",
            ms(listing),
            listing <= Duration::from_millis(10),
        ),
        Row::new(
            format!("daemon, {RULES} local rules on one session, resident"),
            "<= 20 MB",
            mib(resident),
            resident <= 20_000_000,
        ),
        Row::new(
            format!("the same, CPU time in {} s of idleness", IDLE_FOR.as_secs()),
            "none",
            format!("{} ms, {wakeups} wakeups", cpu.as_millis()),
            cpu <= Duration::from_millis(10),
        ),
    ]
}
