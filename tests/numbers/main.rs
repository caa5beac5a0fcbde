//! Measures what the programs promise and prints it as a Markdown table. Everything stays on this machine.
//!
//! `cargo run --release -p alknet-tests --bin numbers [NAME...]` measures all, or only those whose heading contains a NAME.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement prints, and ends at the first surprise"
)]

mod bulk;
mod crowd;
mod cut;
mod greeting;
mod herd;
mod idle;
mod recovery;
mod silence;
mod sleep;

use std::time::Duration;

use alknet_tests::{Sshd, World};

/// One line of the table.
struct Row {
    what: String,
    goal: &'static str,
    measured: String,
    is_reached: Option<bool>,
}

/// One group of lines.
type Measure = fn() -> Vec<Row>;

impl Row {
    fn new(what: impl Into<String>, goal: &'static str, measured: String, is_reached: bool) -> Self {
        Row { what: what.into(), goal, measured, is_reached: Some(is_reached) }
    }

    /// A line to compare with; it has no goal.
    fn beside(what: impl Into<String>, measured: String) -> Self {
        Row { what: what.into(), goal: "", measured, is_reached: None }
    }
}

fn main() {
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build; its numbers mean nothing (cargo run --release ...)");
    }
    let picked: Vec<String> = std::env::args().skip(1).collect();
    let measurements: [(&str, Measure); 9] = [
        ("idle", idle::measure),
        ("crowd", crowd::measure),
        ("bulk", bulk::measure),
        ("recovery", recovery::measure),
        ("cut", cut::measure),
        ("silence", silence::measure),
        ("sleep", sleep::measure),
        ("herd", herd::measure),
        ("greeting", greeting::measure),
    ];
    let mut rows = Vec::new();
    for (name, measure) in measurements {
        if picked.is_empty() || picked.iter().any(|pick| pick == name) {
            eprintln!("measuring: {name} ...");
            rows.extend(measure());
        }
    }
    print(&rows);
    if rows.iter().any(|row| row.is_reached == Some(false)) {
        std::process::exit(1);
    }
}

fn print(rows: &[Row]) {
    println!("| What | Goal | Measured | Reached |");
    println!("|---|---|---|---|");
    for Row { what, goal, measured, is_reached } in rows {
        let reached = match is_reached {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        println!("| {what} | {goal} | {measured} | {reached} |");
    }
}

/// A user whose daemon runs with the log of a normal day, and a real server known as `prod`.
fn real_world(lines: &str) -> (World, Sshd) {
    let world = World::new();
    let sshd = Sshd::start_with(&world, "prod", lines);
    world.start_with(&[], &[]);
    (world, sshd)
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
