//! Measures alknetd and `ssh -N` beside each other, against one sshd, and writes `tests/BENCHMARKS.md`.
//!
//! `cargo bench -p alknet-tests --bench against_ssh [-- [--quick] [--print] [NAME...]]`: all parts, or those that are
//! named. `--quick` takes less than two minutes, `--print` leaves the file as it is (so do `--quick` and names).
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement prints, and ends at the first surprise"
)]

mod bulk;
mod crowd;
mod echo;
mod memory;
mod opens;
mod report;
mod rig;
mod stalled;

use report::Row;
use rig::Rig;

/// How long and how often everything is measured.
#[derive(Clone, Copy, Debug)]
struct Plan {
    is_quick: bool,
}

impl Plan {
    /// The same measurement through one program and then the other, so often.
    fn rounds(self) -> usize {
        if self.is_quick { 1 } else { 5 }
    }

    fn window(self) -> std::time::Duration {
        std::time::Duration::from_millis(if self.is_quick { 1000 } else { 2000 })
    }
}

type Part = fn(&Rig, Plan) -> Vec<Row>;

const PARTS: [(&str, Part); 8] = [
    ("bulk", bulk::near),
    ("far", bulk::far),
    ("echo", echo::measure),
    ("opens", opens::measure),
    ("memory", memory::connections),
    ("rules", memory::rules),
    ("crowd", crowd::measure),
    ("stalled", stalled::measure),
];

fn main() {
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build; its numbers mean nothing");
    }
    // `cargo bench` adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (options, picked): (Vec<String>, Vec<String>) =
        arguments.into_iter().partition(|argument| argument.starts_with("--"));
    let plan = Plan { is_quick: options.iter().any(|option| option == "--quick") };
    let is_whole = picked.is_empty() && !plan.is_quick && !options.iter().any(|option| option == "--print");

    let rig = Rig::set_up();
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        if picked.is_empty() || picked.iter().any(|pick| pick == name) {
            eprintln!("measuring: {name} ...");
            rows.extend(part(&rig, plan));
        }
    }
    let text = report::text(&rig, &rows);
    println!("{text}");
    if is_whole {
        report::write(&text);
    }
}
