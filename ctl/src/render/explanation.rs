//! What the ssh configuration makes of a destination, as groups of aligned lines.

use alknet_proto::Explanation;
use alknet_proto::explain::{Hop, KeyHolder, OfferedKey, Setting, Source, Verdict};
use alknet_proto::fault::one_line;
use alknet_proto::words::cut;
use anstyle::Style;

use super::table::{Cell, Row, table_without_header};
use super::{BOLD, DIM, GREEN, RED, YELLOW, painted};
use crate::compare::{Comparison, Difference};

/// How wide a line of short values may become.
const WRAP_AT: usize = 100;

/// Everything about a destination. `home` is what `~` stands for.
pub(crate) fn explanation(explanation: &Explanation, home: Option<&str>) -> String {
    let paths = Paths { home };
    let mut text = first_line(explanation);
    text.push_str(&group("hops", "in the order in which they are connected to", BOLD, &hops(explanation, &paths)));
    let mut keys: Vec<Row> = explanation.keys.iter().map(|key| key_row(key, &paths)).collect();
    if keys.is_empty() {
        keys.push(Row::Cells(vec![Cell::text("none: ssh-add a key, or name one with IdentityFile")]));
    }
    text.push_str(&group("keys", "in the order in which they would be offered", BOLD, &keys));
    for (title, meaning, style, is_in) in GROUPS {
        let rows: Vec<Row> = explanation.settings.iter().filter(|s| is_in(s)).flat_map(|s| rows(s, &paths)).collect();
        text.push_str(&group(title, meaning, style, &rows));
    }
    text.push_str(&defaults_without_effect(explanation));
    let notices: Vec<Row> = explanation.notices.iter().map(|notice| Row::Cells(vec![Cell::text(notice)])).collect();
    text.push_str(&group("notes", "", BOLD, &notices));
    text
}

/// What differs between this program and ssh.
pub(crate) fn comparison(comparison: &Comparison, home: Option<&str>) -> String {
    let paths = Paths { home };
    let n_same = comparison.n_same;
    let title = match comparison.differences.len() {
        0 => painted(GREEN, &format!("no difference to ssh -G: {n_same} values are the same")),
        1 => painted(YELLOW, &format!("1 difference to ssh -G, {n_same} values are the same")),
        n => painted(YELLOW, &format!("{n} differences to ssh -G, {n_same} values are the same")),
    };
    let mut text = format!("\n{title}\n");
    for difference in &comparison.differences {
        text.push_str(&pair(difference, &paths));
    }
    if !comparison.own_defaults.is_empty() {
        let names = comparison.own_defaults.iter().map(|d| d.keyword.clone());
        text.push_str(&painted(
            DIM,
            "  alknet has defaults of its own where nobody says anything (--json has them):\n",
        ));
        text.push_str(&wrapped(names));
    }
    text
}

fn pair(difference: &Difference, paths: &Paths<'_>) -> String {
    let said = |values: &[String]| if values.is_empty() { "-".to_owned() } else { paths.all(values) };
    let source = difference.source.as_ref().map(|source| format!(" ({})", paths.source(source))).unwrap_or_default();
    format!(
        "  {}\n    alknet  {}{}\n    ssh     {}\n",
        painted(BOLD, &one_line(&difference.keyword)),
        one_line(&said(&difference.ours)),
        painted(DIM, &source),
        one_line(&said(&difference.ssh)),
    )
}

type Group = (&'static str, &'static str, Style, fn(&Setting) -> bool);

const GROUPS: [Group; 4] = [
    ("refused", "no session while this stands there", RED, |s| matches!(s.verdict, Verdict::Refused { .. })),
    ("honoured", "", GREEN, |s| s.verdict == Verdict::Honoured && s.source != Source::Default),
    ("ignored", "does nothing here, and that does no harm", YELLOW, |s| {
        matches!(s.verdict, Verdict::Ignored { .. }) && s.source != Source::Default
    }),
    ("defaults", "honoured; nobody says otherwise", BOLD, |s| {
        s.verdict == Verdict::Honoured && s.source == Source::Default
    }),
];

/// `me@prod.example.org:2222 (prod)`
fn first_line(explanation: &Explanation) -> String {
    let shown = match explanation.hops.last() {
        Some(server) => format!("{} ({})", place(server), explanation.destination),
        None => explanation.destination.to_string(),
    };
    format!("{}\n", painted(BOLD, &one_line(&shown)))
}

fn hops(explanation: &Explanation, paths: &Paths<'_>) -> Vec<Row> {
    let is_direct = explanation.hops.len() == 1 && explanation.hops.iter().all(|hop| hop.command.is_none());
    if is_direct {
        return vec![Row::Cells(vec![Cell::text("none: the connection is direct")])];
    }
    let mut rows = Vec::new();
    for (place_on_way, hop) in explanation.hops.iter().enumerate() {
        let mut cells = vec![Cell::number((place_on_way + 1).to_string()), Cell::text(place(hop))];
        cells.push(Cell::text(paths.source(&hop.source)).styled(DIM));
        rows.push(Row::Cells(cells));
        rows.extend(hop.command.as_ref().map(|command| Row::Remark(format!("through the command: {command}"))));
    }
    rows
}

/// `me@prod.example.org:2222`
pub(crate) fn place(hop: &Hop) -> String {
    let Hop { user, host, port, .. } = hop;
    if host.contains(':') { format!("{user}@[{host}]:{port}") } else { format!("{user}@{host}:{port}") }
}

fn key_row(key: &OfferedKey, paths: &Paths<'_>) -> Row {
    let holder = match &key.holder {
        KeyHolder::File(path) => paths.short(path),
        KeyHolder::Agent(_) => "agent".to_owned(),
    };
    let remark = key.remark.as_ref().map(|remark| format!("not offered: {remark}"));
    let beside: Vec<String> = [key.comment.clone(), remark].into_iter().flatten().collect();
    Row::Cells(vec![
        Cell::text(holder),
        Cell::text(key.algorithm.as_deref().unwrap_or("-")),
        Cell::text(key.fingerprint.as_deref().unwrap_or("-")),
        Cell::text(beside.join("  ")),
    ])
}

/// The verdict is said again, for whoever looks for one line. The value comes last: some are long lists.
fn rows(setting: &Setting, paths: &Paths<'_>) -> Vec<Row> {
    let cells = vec![
        Cell::text(&setting.keyword),
        Cell::text(setting.verdict.word()),
        Cell::text(paths.source(&setting.source)).styled(DIM),
        Cell::long(paths.all(&setting.values)),
    ];
    let why = setting.verdict.why().map(|why| Row::Remark(format!("  {why}")));
    [Row::Cells(cells)].into_iter().chain(why).collect()
}

/// Defaults of directives that do nothing here, as few lines as possible.
fn defaults_without_effect(explanation: &Explanation) -> String {
    let is_idle = |s: &&Setting| matches!(s.verdict, Verdict::Ignored { .. }) && s.source == Source::Default;
    let idle: Vec<String> = explanation
        .settings
        .iter()
        .filter(is_idle)
        .map(|setting| format!("{} {}", setting.keyword, cut(&setting.values.join(" "))))
        .collect();
    if idle.is_empty() {
        return String::new();
    }
    format!("{}{}", heading("ignored defaults", "these do nothing here, and nobody said them", DIM), wrapped(idle))
}

fn group(title: &str, meaning: &str, style: Style, rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let lines = table_without_header(rows);
    let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("{}{indented}", heading(title, meaning, style))
}

fn heading(title: &str, meaning: &str, style: Style) -> String {
    let meaning = if meaning.is_empty() { String::new() } else { painted(DIM, &format!(" ({meaning})")) };
    format!("\n{}{meaning}\n", painted(style, title))
}

/// Items with commas between them, in indented lines.
fn wrapped(items: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    let mut width = 0;
    for item in items {
        let item = one_line(&item);
        if 0 < width && WRAP_AT < width + 2 + item.len() {
            text.push_str(",\n");
            width = 0;
        }
        let before = if width == 0 { "  " } else { ", " };
        text.push_str(before);
        text.push_str(&item);
        width += before.len() + item.len();
    }
    if 0 < width {
        text.push('\n');
    }
    text
}

/// Writes paths in the home with a `~`.
struct Paths<'a> {
    home: Option<&'a str>,
}

impl Paths<'_> {
    fn short(&self, path: &str) -> String {
        let home = self.home.map(|home| home.trim_end_matches(['/', '\\'])).filter(|home| !home.is_empty());
        match home.and_then(|home| path.strip_prefix(home)) {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '\\']) => format!("~{rest}"),
            Some(_) | None => path.to_owned(),
        }
    }

    fn all(&self, values: &[String]) -> String {
        let shown: Vec<String> = values.iter().map(|value| self.short(value)).collect();
        shown.join(" ")
    }

    fn source(&self, source: &Source) -> String {
        match source {
            Source::File { path, line } => format!("{}:{line}", self.short(path)),
            Source::Default | Source::Config | Source::Destination | Source::Environment(_) => source.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
