//! The table of directives in the README is the one in the code.

use crate::ssh::config::directive::{Directive, Verdict};
use crate::ssh::config::table::DIRECTIVES;

const HEAD: &str = "| Directive | What alknet does | Since |\n|---|---|---|\n";

fn row(directive: &Directive) -> String {
    let what = match directive.verdict {
        Verdict::Honoured("") => "honoured".to_owned(),
        Verdict::Honoured(note) => format!("honoured: {note}"),
        Verdict::Ignored(why) => format!("ignored: {why}"),
        Verdict::Refused { unless, why } => format!("refused unless `{unless}`: {why}"),
    };
    format!("| `{}` | {what} | {} |\n", directive.name, directive.since)
}

#[test]
fn the_readme_has_a_row_for_every_directive_and_no_other() {
    let readme = include_str!("../../../../../README.md").replace("\r\n", "\n");
    let expected: String = DIRECTIVES.iter().map(row).collect();

    let Some((_, after)) = readme.split_once(HEAD) else { panic!("the README has no table:\n{HEAD}{expected}") };
    let table: String =
        after.lines().take_while(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect();

    assert!(table == expected, "the table in the README should be:\n{HEAD}{expected}");
}

#[test]
fn every_directive_stands_once_and_in_order() {
    let (current, old): (Vec<&Directive>, Vec<&Directive>) =
        DIRECTIVES.iter().partition(|row| !matches!(row.verdict, Verdict::Ignored(why) if is_of_old(why)));

    for names in [current, old] {
        let names: Vec<String> = names.iter().map(|row| row.name.to_lowercase()).collect();
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(names, sorted);
    }
}

fn is_of_old(why: &str) -> bool {
    why.starts_with("ssh does not know it") || why.starts_with("Apple's")
}
