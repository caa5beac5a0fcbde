//! What an import finds or did: lines that a shell could run, with remarks between them.

use alknet_proto::fault::one_line;
use alknet_proto::{ForwardSpec, Forwarding};

use super::added;
use crate::import::{Imported, Remark};

/// All sources, each with its lines. Before anything is done, the whole is a script that would do it.
pub(crate) fn imported(imported: &[Imported], is_done: bool, home: Option<&str>) -> String {
    if imported.is_empty() {
        return "no forwards in the ssh configuration\n".to_owned();
    }
    let parts: Vec<String> = imported.iter().map(|one| part(one, is_done, home)).collect();
    parts.join("\n")
}

fn part(one: &Imported, is_done: bool, home: Option<&str>) -> String {
    let source = &one.source;
    let sign = if is_done { "" } else { "# " };
    let mut text = format!("{sign}{}\n", one_line(&in_home(&source.name, home)));
    if is_done {
        one.added.iter().for_each(|forward| text.push_str(&format!("  {}\n", added(forward))));
    } else if let Some(line) = add_line(&one.specs()) {
        text.push_str(&format!("{line}\n"));
    }
    for (forwarding, _) in source.forwards.iter().zip(&one.exists).filter(|(_, exists)| **exists) {
        text.push_str(&format!("{sign}  exists already: {}\n", short(forwarding)));
    }
    if let Some(fault) = &one.fault {
        text.push_str(&format!("{sign}  not added: {}\n", one_line(&fault.message)));
        let hint = fault.hint.iter().map(|hint| format!("{sign}    {}\n", one_line(hint)));
        text.extend(hint);
    }
    for obstacle in &source.obstacles {
        text.push_str(&remark("not imported", obstacle, sign, home));
    }
    for left in &source.left_out {
        text.push_str(&remark("left out", left, sign, home));
    }
    text
}

fn remark(word: &str, remark: &Remark, sign: &str, home: Option<&str>) -> String {
    let mut text = format!("{sign}  {word}: {}: {}\n", one_line(&in_home(&remark.what, home)), one_line(&remark.why));
    if let Some(hint) = &remark.hint {
        text.push_str(&format!("{sign}    {}\n", one_line(&in_home(hint, home))));
    }
    text
}

/// `alknetctl add-forward prod -L 8080:db:5432 -D 1080`, as a shell takes it.
pub(crate) fn add_line(specs: &[ForwardSpec]) -> Option<String> {
    let first = specs.first()?;
    let mut words = vec!["alknetctl".to_owned(), "add-forward".to_owned(), quoted(&first.destination.to_string())];
    for spec in specs {
        let forwarding = short(&spec.forwarding);
        let (option, text) = forwarding.split_once(' ').unwrap_or((&forwarding, ""));
        words.extend([option.to_owned(), quoted(text)]);
    }
    words.extend(first.accept_new.then(|| "--accept-new".to_owned()));
    Some(words.join(" "))
}

/// Without the bind address where it is the one that is meant without it.
pub(crate) fn short(forwarding: &Forwarding) -> String {
    let whole = forwarding.to_string();
    let bare = whole.replacen(" 127.0.0.1:", " ", 1);
    match bare.parse::<Forwarding>() {
        Ok(same) if same == *forwarding => bare,
        Ok(_) | Err(_) => whole,
    }
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn in_home(text: &str, home: Option<&str>) -> String {
    match home.filter(|home| 1 < home.len()) {
        Some(home) => text.replacen(&format!("{}/", home.trim_end_matches('/')), "~/", 1),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
