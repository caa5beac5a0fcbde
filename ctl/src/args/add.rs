//! What `add-forward` takes, and the specs that it makes of it.

use std::time::Duration;

use alknet_proto::operation::MAX_ADDED_AT_ONCE;
use alknet_proto::spec::MAX_TAGS;
use alknet_proto::{Code, Destination, Fault, ForwardName, ForwardSpec, Forwarding, OnSuspend, Tag};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, FromArgMatches};

use super::value;

pub(super) const EXAMPLES: &str = "\
SPEC is OpenSSH's, all of it:
  -L [bind_address:]port:host:hostport    -R the same, or [bind_address:]port alone for SOCKS
  -L [bind_address:]port:/path/to/socket  -D [bind_address:]port
  -L /path/to/socket:host:hostport        IPv6 in brackets, * for every address,
  -L /path/to/socket:/path/to/socket      port 0 for a free one

Examples:
  alknetctl add-forward prod -L 8080:localhost:80            port 8080 here is port 80 of prod
  alknetctl add-forward prod -L 5432:db:5432 --name db --wait
  alknetctl add-forward me@prod:2222 -R 9000:localhost:3000  port 9000 there is port 3000 here
  alknetctl add-forward prod -D 1080                         a SOCKS proxy that goes out at prod
  alknetctl add-forward prod -L 8080:web:80 -L 5432:db:5432 --tag work --on-suspend refuse
  alknetctl add-forward prod -L /run/user/1000/docker.sock:/var/run/docker.sock";

/// What `add-forward` takes.
#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    forwardings: Forwardings,
    /// [user@]host[:port], ssh://[user@]host[:port], or a Host of the ssh configuration
    #[arg(value_name = "DESTINATION")]
    destination: Destination,
    /// Name it, for one forward only [default: made of destination and port, such as prod-8080]
    #[arg(long, value_name = "NAME")]
    name: Option<ForwardName>,
    /// A note for people: one line, at most 256 bytes
    #[arg(long, value_name = "TEXT", value_parser = value::description)]
    description: Option<String>,
    /// A label to select by as @TAG; may be given up to 8 times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<Tag>,
    /// What a new connection does while the session is down: hold=SECONDS (0 to 3600) waits for it,
    /// refuse resets it at once
    #[arg(long, value_name = "hold[=SECONDS]|refuse", default_value = "hold=10")]
    on_suspend: OnSuspend,
    /// Connect only when the first connection comes
    #[arg(long)]
    lazy: bool,
    /// Forget the rule when the daemon ends
    #[arg(long)]
    ephemeral: bool,
    /// Keep the rule and do not start it
    #[arg(long, conflicts_with = "wait")]
    stopped: bool,
    /// End the session of a lazy rule after so many seconds without a connection; 0 is never
    #[arg(long, value_name = "SECONDS", default_value = "0", allow_negative_numbers = true,
          value_parser = value::whole_seconds)]
    idle_timeout: u32,
    /// Store the host key of a server that is not known yet; a changed key is refused all the same
    #[arg(long)]
    accept_new: bool,
    /// For -R: when the port is held by an earlier session of this forward that the server has not given up, end that
    /// session's process on the server (Linux) by a command; nothing else is ever ended
    #[arg(long)]
    reclaim: bool,
    /// Wait until all are active, at most so many seconds; alone 30. Exit 124 when it runs out: the rules stay
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true,
          default_missing_value = super::DEFAULT_WAIT, value_parser = value::seconds)]
    pub(crate) wait: Option<Duration>,
}

impl AddArgs {
    /// One spec for each -L, -R and -D, in their order on the command line.
    ///
    /// # Errors
    /// [`Code::InvalidSpec`] when the options do not go together.
    pub(crate) fn specs(&self) -> Result<Vec<ForwardSpec>, Fault> {
        let n_forwards = self.forwardings.0.len();
        if self.name.is_some() && n_forwards != 1 {
            return Err(Fault::new(
                Code::InvalidSpec,
                format!("--name names one forward, and {n_forwards} are asked for"),
            )
            .with_hint("leave --name out, or add them one by one"));
        }
        if MAX_ADDED_AT_ONCE < n_forwards {
            return Err(Fault::new(
                Code::InvalidSpec,
                format!("{n_forwards} forwards are asked for, and one call adds at most {MAX_ADDED_AT_ONCE}"),
            )
            .with_hint("spread them over several calls"));
        }
        if MAX_TAGS < self.tags.len() {
            return Err(Fault::new(
                Code::InvalidSpec,
                format!("{} tags are given, and a forward has at most {MAX_TAGS}", self.tags.len()),
            )
            .with_hint("leave some out"));
        }
        Ok(self.forwardings.0.iter().map(|forwarding| self.spec(forwarding)).collect())
    }

    fn spec(&self, forwarding: &Forwarding) -> ForwardSpec {
        ForwardSpec {
            destination: self.destination.clone(),
            forwarding: forwarding.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            on_suspend: self.on_suspend,
            lazy: self.lazy,
            ephemeral: self.ephemeral,
            stopped: self.stopped,
            accept_new: self.accept_new,
            idle_timeout_seconds: self.idle_timeout,
            reclaim: self.reclaim,
        }
    }
}

/// The -L, -R and -D of one call in any mixture, in the order in which they were written.
///
/// By hand, because a derived list would tell the three apart and lose the order between them.
#[derive(Clone, Debug)]
struct Forwardings(Vec<Forwarding>);

const IDS: [&str; 3] = ["local", "remote", "dynamic"];

impl Args for Forwardings {
    fn augment_args(command: clap::Command) -> clap::Command {
        let option =
            |id, short, help| Arg::new(id).short(short).value_name("SPEC").action(ArgAction::Append).help(help);
        command
            .arg(
                option(IDS[0], 'L', "Listen here and connect from the server, as in OpenSSH")
                    .value_parser(Forwarding::parse_local),
            )
            .arg(
                option(IDS[1], 'R', "Listen on the server and connect from here; without a target, SOCKS")
                    .value_parser(Forwarding::parse_remote),
            )
            .arg(
                option(IDS[2], 'D', "Listen here as a SOCKS proxy that connects from the server")
                    .value_parser(Forwarding::parse_dynamic),
            )
            .group(ArgGroup::new("forwardings").args(IDS).required(true).multiple(true))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Forwardings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found: Vec<(usize, Forwarding)> = Vec::new();
        for id in IDS {
            let places = matches.indices_of(id).into_iter().flatten();
            let values = matches.get_many::<Forwarding>(id).into_iter().flatten().cloned();
            found.extend(places.zip(values));
        }
        found.sort_by_key(|(place, _)| *place);
        Ok(Forwardings(found.into_iter().map(|(_, forwarding)| forwarding).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;
    use crate::args::{Cli, Command};

    fn added(line: &str) -> Result<AddArgs, ErrorKind> {
        match Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.kind())?.command {
            Command::AddForward(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    fn shown(line: &str) -> Vec<String> {
        added(line).unwrap().specs().unwrap().iter().map(|spec| spec.forwarding.to_string()).collect()
    }

    #[test]
    fn every_form_of_a_spec_is_taken() {
        for (option, spec, whole) in [
            ("-L", "8080:localhost:80", "127.0.0.1:8080:localhost:80"),
            ("-L", "*:8080:db:80", "*:8080:db:80"),
            ("-L", ":8080:db:80", "*:8080:db:80"),
            ("-L", "[::1]:0:[fd00::2]:80", "[::1]:0:[fd00::2]:80"),
            ("-L", "8080:/run/db.sock", "127.0.0.1:8080:/run/db.sock"),
            ("-L", "/tmp/a.sock:db:80", "/tmp/a.sock:db:80"),
            ("-L", "/tmp/a.sock:/run/db.sock", "/tmp/a.sock:/run/db.sock"),
            ("-R", "9000:localhost:22", "127.0.0.1:9000:localhost:22"),
            ("-R", "1080", "127.0.0.1:1080"),
            ("-R", "/run/x.sock:/tmp/y.sock", "/run/x.sock:/tmp/y.sock"),
            ("-D", "1080", "127.0.0.1:1080"),
            ("-D", "localhost:1080", "localhost:1080"),
        ] {
            let expected = format!("{option} {whole}");
            assert_eq!(shown(&format!("alknetctl add prod {option} {spec}")), [expected.as_str()]);
            assert_eq!(shown(&format!("alknetctl add {option}{spec} prod")), [expected.as_str()]);
        }
    }

    #[test]
    fn a_mixture_keeps_its_order() {
        assert_eq!(
            shown("alknetctl add -D 1 -L 2:a:1 prod -R 3:a:1 -L 4:a:1 -D 5"),
            ["-D 127.0.0.1:1", "-L 127.0.0.1:2:a:1", "-R 127.0.0.1:3:a:1", "-L 127.0.0.1:4:a:1", "-D 127.0.0.1:5"]
        );
    }

    #[test]
    fn wait_does_not_swallow_the_destination() {
        for (line, wait) in [
            ("alknetctl add -L 1:a:1 --wait prod", Some(30_000)),
            ("alknetctl add -L 1:a:1 --wait=5 prod", Some(5_000)),
            ("alknetctl add -L 1:a:1 --wait=0.5 prod", Some(500)),
            ("alknetctl add -L 1:a:1 prod --wait", Some(30_000)),
            ("alknetctl add -L 1:a:1 prod", None),
        ] {
            let args = added(line).unwrap();

            assert_eq!(args.wait, wait.map(Duration::from_millis), "{line}");
            assert_eq!(args.destination.to_string(), "prod", "{line}");
        }
    }

    #[test]
    fn every_option_reaches_the_spec() {
        let args = added(
            "alknetctl add me@prod:22 -D 1080 --name web --description x --tag a --tag b --on-suspend refuse --lazy \
             --ephemeral --stopped --idle-timeout 60 --accept-new --reclaim",
        );

        let expected = ForwardSpec {
            name: Some("web".parse().unwrap()),
            description: Some("x".to_owned()),
            tags: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            on_suspend: OnSuspend::Refuse,
            lazy: true,
            ephemeral: true,
            stopped: true,
            accept_new: true,
            idle_timeout_seconds: 60,
            reclaim: true,
            ..ForwardSpec::new("me@prod:22".parse().unwrap(), Forwarding::parse_dynamic("1080").unwrap())
        };
        assert_eq!(args.unwrap().specs(), Ok(vec![expected]));
    }

    #[test]
    fn what_cannot_be_never_leaves_the_program() {
        for (line, kind) in [
            ("alknetctl add prod", ErrorKind::MissingRequiredArgument),
            ("alknetctl add -D 1080", ErrorKind::MissingRequiredArgument),
            ("alknetctl add prod -L 8080", ErrorKind::ValueValidation),
            ("alknetctl add prod -L 65536:a:1", ErrorKind::ValueValidation),
            ("alknetctl add prod -L 1:a:0", ErrorKind::ValueValidation),
            ("alknetctl add prod -D 1:a:1", ErrorKind::ValueValidation),
            ("alknetctl add prod:0 -D 1", ErrorKind::ValueValidation),
            ("alknetctl add prod -D 1 --name a/b", ErrorKind::ValueValidation),
            ("alknetctl add prod -D 1 --on-suspend drop", ErrorKind::ValueValidation),
            ("alknetctl add prod -D 1 --wait=soon", ErrorKind::ValueValidation),
            ("alknetctl add prod -D 1 --idle-timeout -1", ErrorKind::ValueValidation),
            ("alknetctl add prod -D 1 --stopped --wait", ErrorKind::ArgumentConflict),
        ] {
            assert_eq!(added(line).map(|args| args.specs()).unwrap_err(), kind, "{line}");
        }
    }

    #[test]
    fn a_name_is_for_one_forward_only() {
        let fault = added("alknetctl add prod -D 1 -D 2 --name web").unwrap().specs().unwrap_err();

        assert_eq!(fault.message, "--name names one forward, and 2 are asked for");
        assert_eq!(fault.code, Code::InvalidSpec);
    }
}
