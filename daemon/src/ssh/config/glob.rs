//! The files that the name in an Include means: `*`, `?` and `[a-z]` may stand in every part of it.

use std::path::{Component, Path, PathBuf};

/// The files that `path` means, sorted; what has no wildcard stands for itself, whether it exists or not.
pub(super) fn expand(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::new()];
    let mut has_wildcard = false;
    for part in path.components() {
        let pattern = match part {
            Component::Normal(name) => name.to_string_lossy(),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
                paths.iter_mut().for_each(|path| path.push(part));
                continue;
            }
        };
        if !is_pattern(&pattern) {
            paths.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        paths = paths.iter().flat_map(|folder| matching(folder, &pattern)).collect();
        has_wildcard = true;
    }
    if has_wildcard {
        // A part after the wildcard may be missing in some of the folders.
        paths.retain(|path| path.symlink_metadata().is_ok());
    }
    paths
}

/// Whether the name of a file means more than itself.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let pattern: Vec<char> = pattern.chars().collect();
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name: Vec<char> = entry.file_name().to_string_lossy().chars().collect();
            // As in a shell, a leading dot is only found by a leading dot.
            (pattern.first() == Some(&'.') || name.first() != Some(&'.')) && is_match(&pattern, &name)
        })
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

/// Goes back to the last star only, so that many stars take no more than the product of both lengths.
fn is_match(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while read < name.len() {
        if pattern.get(at) == Some(&'*') {
            last_star = Some((at, read));
            at += 1;
        } else if let Some(length) = pattern.get(at..).and_then(|pattern| one(pattern, name[read])) {
            at += length;
            read += 1;
        } else if let Some((star, from)) = last_star {
            last_star = Some((star, from + 1));
            (at, read) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// How much of the pattern `c` takes, where it matches.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match bracket(pattern, c) {
            Some((length, is_in)) => is_in.then_some(length),
            None => (c == '[').then_some(1),
        },
        '\\' if 1 < pattern.len() => (pattern[1] == c).then_some(2),
        literal => (*literal == c).then_some(1),
    }
}

/// The length of `[a-z]`, and whether `c` is in it; `None` where it is not closed.
fn bracket(pattern: &[char], c: char) -> Option<(usize, bool)> {
    let is_negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if is_negated { 2 } else { 1 };
    // A closing bracket at the first place is a character like others.
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|c| *c == ']')?;
    let set = &pattern[first..end];
    let mut is_in = false;
    let mut at = 0;
    while at < set.len() {
        if set.get(at + 1) == Some(&'-') && at + 2 < set.len() {
            is_in |= (set[at]..=set[at + 2]).contains(&c);
            at += 3;
        } else {
            is_in |= set[at] == c;
            at += 1;
        }
    }
    Some((end + 1, is_in != is_negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.CONF", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[^a]x", "ax", false),
            ("[]x]", "]", true),
            ("[ab", "[ab", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("\\*", "*", true),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            assert_eq!(is_match(&chars(pattern), &chars(name)), expected, "{pattern} {name}");
        }
    }
}
