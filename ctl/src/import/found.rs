//! Makes sources of the forwards that the daemon found in the ssh configuration: one for each Host.

use alknet_proto::Destination;
use alknet_proto::explain::{self, FoundForward, Taken};

use super::{Remark, Source};

/// One source for each Host, in the order of the Hosts. A line of this machine that stands for several Hosts is left
/// out: only one of them could listen.
pub(crate) fn of_configuration(found: &[FoundForward]) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for forward in found {
        let destination = &forward.destination;
        let place = sources.iter().position(|source| source.destination.as_ref() == Some(destination));
        let place = place.unwrap_or_else(|| {
            let name = format!("Host {destination}");
            sources.push(Source { destination: Some(destination.clone()), ..Source::new(name) });
            sources.len() - 1
        });
        let source = &mut sources[place];
        let what = match &forward.source {
            explain::Source::File { .. } => format!("{}: {}", forward.source, forward.line),
            explain::Source::Default
            | explain::Source::Config
            | explain::Source::Destination
            | explain::Source::Environment(_) => forward.line.clone(),
        };
        match &forward.taken {
            Taken::Not { why } => source.left_out.push(Remark::new(what, why)),
            Taken::Over(forwarding) => {
                let others = others(found, forward);
                if others.is_empty() || forwarding.kind().listens_remotely() {
                    source.forwards.push(forwarding.clone());
                } else {
                    let names: Vec<String> = others.iter().map(ToString::to_string).collect();
                    let why = format!("it stands for {} too, and only one of them can listen here", names.join(", "));
                    let hint = format!("`alknetctl import {destination}` takes it over for this one");
                    source.left_out.push(Remark::new(what, why).with_hint(hint));
                }
            }
        }
    }
    sources
}

/// The other Hosts that the same line stands for.
fn others<'a>(found: &'a [FoundForward], forward: &FoundForward) -> Vec<&'a Destination> {
    let is_same_line = |other: &&FoundForward| match other.source {
        explain::Source::File { .. } => other.source == forward.source,
        explain::Source::Default
        | explain::Source::Config
        | explain::Source::Destination
        | explain::Source::Environment(_) => false,
    };
    let others = found.iter().filter(is_same_line).map(|other| &other.destination);
    others.filter(|destination| **destination != forward.destination).collect()
}

#[cfg(test)]
mod tests {
    use alknet_proto::Forwarding;

    use super::*;

    fn found(host: &str, line: u32, forwarding: &str) -> FoundForward {
        FoundForward {
            destination: host.parse().unwrap(),
            line: forwarding.to_owned(),
            source: explain::Source::File { path: "/c".to_owned(), line },
            taken: match forwarding.parse::<Forwarding>() {
                Ok(forwarding) => Taken::Over(forwarding),
                Err(why) => Taken::Not { why },
            },
        }
    }

    fn shown(sources: &[Source]) -> Vec<String> {
        let show = |source: &Source| {
            let forwards: Vec<String> = source.forwards.iter().map(ToString::to_string).collect();
            let left: Vec<String> = source.left_out.iter().map(|r| format!("{} ({})", r.what, r.why)).collect();
            format!("{}: {} | {}", source.name, forwards.join(" "), left.join(" "))
        };
        sources.iter().map(show).collect()
    }

    #[test]
    fn each_host_is_one_source() {
        let found = [found("a", 2, "-L 1:x:1"), found("a", 3, "-D 2"), found("b", 5, "-R 3")];

        assert_eq!(
            shown(&of_configuration(&found)),
            ["Host a: -L 127.0.0.1:1:x:1 -D 127.0.0.1:2 | ", "Host b: -R 127.0.0.1:3 | "]
        );
    }

    #[test]
    fn a_line_for_several_hosts_can_listen_here_for_none_of_them_by_itself() {
        let found =
            [found("a", 2, "-L 1:x:1"), found("b", 2, "-L 1:x:1"), found("a", 3, "-R 9"), found("b", 3, "-R 9")];

        assert_eq!(
            shown(&of_configuration(&found)),
            [
                "Host a: -R 127.0.0.1:9 | /c:2: -L 1:x:1 (it stands for b too, and only one of them can listen here)",
                "Host b: -R 127.0.0.1:9 | /c:2: -L 1:x:1 (it stands for a too, and only one of them can listen here)",
            ]
        );
    }

    #[test]
    fn what_the_daemon_could_not_read_is_left_out_with_its_reason() {
        assert_eq!(
            shown(&of_configuration(&[found("a", 2, "-L 1")])),
            ["Host a:  | /c:2: -L 1 (`-L 1` names no target: [bind_address:]port:host:hostport is needed)"]
        );
    }
}
