//! The table, and the file that it goes into.

use std::fmt::Write as _;
use std::process::Command;

use alknet_tests::programs::programs;

use crate::rig::{Both, CIPHER, ROUND_TRIP, Rig};

/// The table stands between these two lines of the file; the rest of it is written by people.
const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/BENCHMARKS.md");

/// What has to come out, as a ratio to ssh or as a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    None,
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtLeast(f64),
    AtMost(f64),
}

/// One line of the table.
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    ssh: Option<f64>,
    alknet: f64,
    goal: Goal,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, measured: &Both<f64>, goal: Goal) -> Self {
        Row { what: what.into(), unit, ssh: Some(measured.ssh), alknet: measured.alknet, goal }
    }

    /// A figure that ssh has no equal of.
    pub(crate) fn alone(what: impl Into<String>, unit: &'static str, alknet: f64, goal: Goal) -> Self {
        Row { what: what.into(), unit, ssh: None, alknet, goal }
    }

    fn ratio(&self) -> Option<f64> {
        self.ssh.map(|ssh| self.alknet / ssh)
    }

    fn is_reached(&self) -> Option<bool> {
        let ratio = self.ratio().unwrap_or(f64::NAN);
        match self.goal {
            Goal::None => None,
            Goal::RatioAtLeast(least) => Some(least <= ratio),
            Goal::RatioAtMost(most) => Some(ratio <= most),
            Goal::AtLeast(least) => Some(least <= self.alknet),
            Goal::AtMost(most) => Some(self.alknet <= most),
        }
    }

    fn line(&self) -> String {
        let ssh = self.ssh.map(figure).unwrap_or_default();
        let ratio = self.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let goal = match self.goal {
            Goal::None => String::new(),
            Goal::RatioAtLeast(least) => format!("≥ {least} ×"),
            Goal::RatioAtMost(most) => format!("≤ {most} ×"),
            Goal::AtLeast(least) => format!("≥ {least}"),
            Goal::AtMost(most) => format!("≤ {most}"),
        };
        let reached = match self.is_reached() {
            None => "",
            Some(true) => "yes",
            Some(false) => "**no**",
        };
        format!("| {} | {} | {ssh} | {} | {ratio} | {goal} | {reached} |", self.what, self.unit, figure(self.alknet))
    }
}

/// Three figures that count.
fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if 100.0 <= size => 0,
        size if 10.0 <= size => 1,
        size if 1.0 <= size => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// Everything that was measured, with what it was measured on.
pub(crate) fn text(rig: &Rig, rows: &[Row]) -> String {
    let mut text = String::new();
    let alknet = said(Command::new(&programs().alknetd).arg("--version"));
    let ssh = said(Command::new("ssh").arg("-V"));
    let kernel = said(Command::new("uname").args(["-sr"]));
    let sessions = rig.world.ctl(["list-sessions", "--json"]).ok().json();
    let cipher = sessions[0]["algorithms"]["cipher"].as_str().unwrap_or("unknown").to_owned();
    assert_eq!(cipher, CIPHER, "both programs use the cipher that the server insists on");
    writeln!(text, "{} against {ssh}, `{cipher}`, on {} of {}, {kernel}.", alknet, cores(), processor()).unwrap();
    writeln!(text, "«Far» is a round trip of {} ms.\n", ROUND_TRIP.as_millis()).unwrap();
    writeln!(text, "| What | Unit | ssh | alknet | Ratio | Goal | Reached |\n|---|---|---|---|---|---|---|").unwrap();
    for row in rows {
        writeln!(text, "{}", row.line()).unwrap();
    }
    text
}

/// Puts `text` into the file, between its two marks.
pub(crate) fn write(text: &str) {
    let file = std::fs::read_to_string(FILE).expect("tests/BENCHMARKS.md is there");
    let (head, rest) = file.split_once(BEGIN).expect("the file has the mark of the beginning");
    let (_, tail) = rest.split_once(END).expect("the file has the mark of the end");
    std::fs::write(FILE, format!("{head}{BEGIN}\n\n{text}\n{END}{tail}")).expect("tests/BENCHMARKS.md can be written");
    eprintln!("written: {FILE}");
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("the program is there");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

fn cores() -> String {
    match std::thread::available_parallelism() {
        Ok(n) => format!("{n} cores"),
        Err(_) => "unknown cores".to_owned(),
    }
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(|| "an unknown processor".to_owned(), |name| name.trim_start_matches([' ', '\t', ':']).to_owned())
}
