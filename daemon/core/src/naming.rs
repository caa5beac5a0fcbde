//! A readable name for a forward that came without one.

use alknet_proto::spec::MAX_NAME_BYTES;
use alknet_proto::{Bind, ForwardName, ForwardSpec, Forwarding, Target};

/// `prod-8080`, with a number behind it where that is taken.
pub(crate) fn name_for(spec: &ForwardSpec, is_taken: impl Fn(&ForwardName) -> bool) -> ForwardName {
    let base = format!("{}-{}", word(&spec.destination.host, "host"), what(&spec.forwarding));
    (1u32..)
        .filter_map(|n| {
            let suffix = if n == 1 { String::new() } else { format!("-{n}") };
            let room = MAX_NAME_BYTES - suffix.len();
            let end = (0..=base.len().min(room)).rev().find(|end| base.is_char_boundary(*end))?;
            format!("{}{suffix}", &base[..end]).parse().ok()
        })
        .find(|name| !is_taken(name))
        .expect("there are more numbers than forwards")
}

/// The port that it listens on, or what it leads to where the port is still to be found.
fn what(forwarding: &Forwarding) -> String {
    match (forwarding.bind(), forwarding.target()) {
        (Bind::Tcp(_, port @ 1..), _) => port.to_string(),
        (Bind::Unix(path), _) | (Bind::Tcp(_, 0), Some(Target::Unix(path))) => word(file_stem(path), "socket"),
        (Bind::Tcp(_, 0), Some(Target::Tcp(host, port))) => format!("{}-{port}", word(host, "host")),
        (Bind::Tcp(_, 0), None) => "socks".to_owned(),
    }
}

fn file_stem(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once('.').map_or(file, |(stem, _)| stem)
}

/// Keeps what a name may contain.
fn word(text: &str, otherwise: &str) -> String {
    let kept: String = text.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    let kept = kept.trim_matches(['-', '.']);
    if kept.is_empty() { otherwise.to_owned() } else { kept.chars().take(40).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(forwarding: Result<Forwarding, String>, destination: &str, taken: &[&str]) -> String {
        let spec = ForwardSpec::new(destination.parse().unwrap(), forwarding.unwrap());
        name_for(&spec, |name| taken.contains(&name.as_str())).to_string()
    }

    #[test]
    fn a_name_says_where_and_what() {
        assert_eq!(named(Forwarding::parse_local("8080:localhost:80"), "me@prod:2222", &[]), "prod-8080");
        assert_eq!(named(Forwarding::parse_local("0:db.corp:5432"), "prod", &[]), "prod-db.corp-5432");
        assert_eq!(named(Forwarding::parse_dynamic("0"), "prod", &[]), "prod-socks");
        assert_eq!(named(Forwarding::parse_local("/tmp/pg.sock:/run/x"), "prod", &[]), "prod-pg");
        assert_eq!(named(Forwarding::parse_local("8080:a:80"), "[::1]:22", &[]), "1-8080");
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let taken = ["prod-8080", "prod-8080-2"];
        assert_eq!(named(Forwarding::parse_remote("8080:localhost:80"), "prod", &taken), "prod-8080-3");
    }

    #[test]
    fn the_longest_host_still_gives_a_name() {
        assert!(named(Forwarding::parse_local("0:db:1"), &"ä".repeat(127), &["x"]).len() <= MAX_NAME_BYTES);
    }
}
