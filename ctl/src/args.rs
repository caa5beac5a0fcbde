//! The command line: what may be asked for, and the help that says so.

mod add;
mod import;
mod selectors;
mod since;
mod usage;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use alknet_proto::{Destination, Selector, Seq};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use add::AddArgs;
pub(crate) use import::ImportArgs;
pub(crate) use selectors::{AnySelectors, RestartArgs, SomeSelectors};
pub(crate) use since::Since;
pub(crate) use usage::{Asked, read};

use crate::goal::Goal;

/// How long `--wait` alone waits.
const DEFAULT_WAIT: &str = "30";
/// How often `watch --stats` alone prints figures.
const DEFAULT_STATS: &str = "2";

const ABOUT: &str = "Adds, removes, lists and watches the forwards of alknetd";
const EXAMPLES: &str = "\
Examples:
  alknetctl add-forward prod -L 8080:localhost:80   carry port 8080 to port 80 of prod
  alknetctl list-forwards                           what there is and how it is
  alknetctl watch                                   every change, as it happens
  alknetctl remove-forward prod-8080                take it away again

Exit codes:
  0 done   1 failed   2 usage   3 no daemon, or not active (status --check)
  4 no such forward or session   5 conflict   6 a person must answer something
  7 permission   124 waited too long   130 interrupted";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "alknetctl", version, about = ABOUT, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What holds for every verb.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The verb.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options that every verb takes, before it or behind it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The control socket [env: ALKNET_SOCKET] [default: that of alknetd, see its --help]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON: one value a line, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Use colours; auto means on a terminal, unless NO_COLOR or TERM=dumb is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Print only names, and no notes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say on stderr which messages go to the daemon and come back
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// How many seconds an answer, or a wait, may take; fractions are allowed [default: 30; for watch --until none]
    #[arg(long, global = true, value_name = "SECONDS", allow_negative_numbers = true, value_parser = value::seconds)]
    pub(crate) timeout: Option<Duration>,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Also in files and pipes.
    Always,
    /// Nowhere.
    Never,
}

impl From<Color> for anstream::ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
    }
}

/// The verbs. The long names are canonical, the short ones are aliases.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add forwards to a destination: all of them or none
    ///
    /// Answers when the addresses are bound and the rules are saved: they survive a restart of the
    /// daemon. The session connects on its own time; --wait waits for it.
    #[command(name = "add-forward", visible_alias = "add", after_help = add::EXAMPLES)]
    AddForward(Box<AddArgs>),
    /// Remove forwards and free their addresses
    #[command(name = "remove-forward", visible_aliases = ["rm", "remove", "delete"])]
    RemoveForward(SomeSelectors),
    /// List forwards: state, both ends, connections and bytes
    #[command(name = "list-forwards", visible_aliases = ["ls", "list"])]
    ListForwards(AnySelectors),
    /// Show one forward in full: what, where, why, since when, history, counters
    Show {
        /// An id, a name, or the unique beginning of an id
        #[arg(value_name = "SELECTOR")]
        selector: Selector,
    },
    /// Bring stopped forwards back
    Start(SomeSelectors),
    /// Stop forwards: the rules stay, every retry is cancelled, only start brings them back
    Stop(SomeSelectors),
    /// Stop and start forwards; a failed session tries again
    ///
    /// With --seamless it is their sessions that are replaced, and no connection breaks.
    Restart(RestartArgs),
    /// Wait until every selected forward is in a state at the same time
    ///
    /// Waits at most --timeout seconds (exit 124). Ends at once with the reason when a forward that
    /// should become active is in error: time alone does not cure it.
    Wait(WaitArgs),
    /// Print every change as it happens, beginning with how things are
    ///
    /// With --json one object a line: first a snapshot, then forward_added, forward_removed,
    /// forward_status, session_status, heartbeat (every 15 s), lagged, and stats with --stats.
    Watch(WatchArgs),
    /// Show the daemon, its sessions and its forwards at a glance
    #[command(visible_alias = "st")]
    Status {
        /// Exit 3 unless every forward that is not stopped is active; with -q, print nothing
        #[arg(long)]
        check: bool,
    },
    /// Print outages and availability: when each began, how long it took, and why
    ///
    /// An outage is a time at which a forward should have been active and was not, because its session was lost, its
    /// address was taken, or the daemon did not run. Time in which a person had stopped it does not count.
    History(HistoryArgs),
    /// List sessions: destination, state, peer, algorithms, round trip, channels, bytes
    #[command(name = "list-sessions", visible_alias = "sessions")]
    ListSessions,
    /// Connect now what is down, instead of at the next try
    Retry {
        /// Which destinations [default: all that are down]
        #[arg(value_name = "DESTINATION")]
        destinations: Vec<Destination>,
    },
    /// Drop the session to a destination; its forwards come back with retry
    Disconnect {
        /// As the forwards name it
        #[arg(value_name = "DESTINATION")]
        destination: Destination,
    },
    /// Let the daemon read its configuration again
    ///
    /// Prints the settings that are others now. A file that cannot be used changes nothing, and the
    /// error names file and line.
    Reload,
    /// Ask the daemon whether it is there
    Ping,
    /// Print the versions of this program and of the daemon
    Version,
    /// Stop the daemon in an orderly way and wait until it is gone, at most --timeout seconds
    Shutdown,
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// Which shell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Show what the ssh configuration makes of a destination: every value and where it stands
    ///
    /// Says of each directive whether it is honoured, harmlessly ignored or a reason not to connect,
    /// which hosts are on the way, and which keys would be offered. Needs no forward and no session,
    /// and connects to nothing.
    #[command(after_help = "\
Examples:
  alknetctl explain prod
  alknetctl explain me@prod:2222 --compare
  alknetctl explain prod --json | jq -r '.settings[] | select(.verdict == \"refused\") | .keyword'")]
    Explain {
        /// [user@]host[:port], or a Host of the ssh configuration
        #[arg(value_name = "DESTINATION")]
        destination: Destination,
        /// Ask `ssh -G` as well, and show where the two differ
        #[arg(long)]
        compare: bool,
    },
    /// Make rules of the forwards of ssh's configuration, of ssh and autossh commands and of systemd units
    ///
    /// Shows the add-forward commands that it comes to, and what cannot be carried over and why.
    /// Nothing changes without --apply. The forwards of one Host, command or ExecStart= are added all or none.
    #[command(after_help = import::EXAMPLES)]
    Import(ImportArgs),
}

const COMPLETIONS: &str = "\
Examples:
  alknetctl completions bash > ~/.local/share/bash-completion/completions/alknetctl
  alknetctl completions fish > ~/.config/fish/completions/alknetctl.fish";

/// What `wait` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  alknetctl wait web db && psql -h 127.0.0.1
  alknetctl wait --all --timeout 5
  alknetctl wait web --for gone")]
pub(crate) struct WaitArgs {
    /// Which forwards.
    #[command(flatten)]
    pub(crate) selectors: SomeSelectors,
    /// The state to wait for; gone is reached when none is left
    #[arg(long = "for", value_name = "STATE", default_value = "active")]
    pub(crate) goal: Goal,
}

/// What `history` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  alknetctl history                       every forward over the last seven days
  alknetctl history web --since 24h
  alknetctl history --host prod --since 2026-01-31 --json")]
pub(crate) struct HistoryArgs {
    /// Which forwards; removed ones are found by the name they had.
    #[command(flatten)]
    pub(crate) selectors: AnySelectors,
    /// From when on: 7d, 12h, 30m, a date (2026-01-31) or a moment (2026-01-31T12:00:00Z)
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) since: Since,
}

/// What `watch` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  alknetctl watch --json | jq -c 'select(.event == \"forward_status\")'
  alknetctl watch web --until active
  alknetctl watch --stats=5")]
pub(crate) struct WatchArgs {
    /// Which forwards.
    #[command(flatten)]
    pub(crate) selectors: AnySelectors,
    /// Go on behind this change, where the daemon still remembers it; else begin with a snapshot
    #[arg(long, value_name = "SEQ", allow_negative_numbers = true, value_parser = value::seq)]
    pub(crate) since: Option<Seq>,
    /// End with 0 when every selected forward is in this state, with 124 when --timeout is over first
    #[arg(long, value_name = "STATE")]
    pub(crate) until: Option<Goal>,
    /// Print what forwards carry, and how fast, every so many seconds (0.1 to 86400); alone every 2
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true,
          default_missing_value = DEFAULT_STATS, value_parser = value::period)]
    pub(crate) stats: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(line: &str) -> Cli {
        Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn the_command_line_agrees_with_itself() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_alias_is_the_same_verb() {
        for (alias, name) in [
            ("alknetctl add prod -D 1080", "alknetctl add-forward prod -D 1080"),
            ("alknetctl rm web", "alknetctl remove-forward web"),
            ("alknetctl remove web", "alknetctl remove-forward web"),
            ("alknetctl delete web", "alknetctl remove-forward web"),
            ("alknetctl ls", "alknetctl list-forwards"),
            ("alknetctl list", "alknetctl list-forwards"),
            ("alknetctl st --check", "alknetctl status --check"),
            ("alknetctl sessions", "alknetctl list-sessions"),
        ] {
            assert_eq!(format!("{:?}", parsed(alias)), format!("{:?}", parsed(name)));
        }
    }

    #[test]
    fn global_options_stand_before_and_behind_the_verb() {
        for line in [
            "alknetctl --json --socket /s --timeout 0.5 -q ls",
            "alknetctl ls --json --socket /s --timeout 0.5 -q",
            "alknetctl --json ls --timeout=0.5 -q --socket=/s",
        ] {
            let global = parsed(line).global;

            assert!(global.json && global.quiet && !global.verbose, "{line}");
            assert_eq!(global.timeout, Some(Duration::from_millis(500)), "{line}");
            assert_eq!(global.socket, Some(PathBuf::from("/s")), "{line}");
        }
    }

    #[test]
    fn stats_has_a_period_of_its_own_and_takes_no_selector_for_it() {
        let stats = |line| match parsed(line).command {
            Command::Watch(args) => (args.stats, args.selectors.all().len()),
            other => panic!("{other:?}"),
        };

        assert_eq!(stats("alknetctl watch"), (None, 0));
        assert_eq!(stats("alknetctl watch --stats web"), (Some(Duration::from_secs(2)), 1));
        assert_eq!(stats("alknetctl watch --stats=0.5 web"), (Some(Duration::from_millis(500)), 1));
    }

    #[test]
    fn what_is_imported_is_a_host_a_unit_or_a_command() {
        let import = |line| match parsed(line).command {
            Command::Import(args) => (args.hosts.len(), args.units.len(), args.command.join(" "), args.apply),
            other => panic!("{other:?}"),
        };

        assert_eq!(import("alknetctl import"), (0, 0, String::new(), false));
        assert_eq!(import("alknetctl import web db --apply"), (2, 0, String::new(), true));
        assert_eq!(import("alknetctl import --unit a --unit b"), (0, 2, String::new(), false));
        let command = "ssh -N --json -L 1:a:1 prod".to_owned();
        assert_eq!(import("alknetctl import --apply -- ssh -N --json -L 1:a:1 prod"), (0, 0, command, true));
        for line in ["alknetctl import web -- ssh prod", "alknetctl import web --unit a", "alknetctl import -L 1:a:1"] {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line} was taken");
        }
    }

    #[test]
    fn a_state_to_wait_for_is_a_word_of_the_contract() {
        let goal = |line| match parsed(line).command {
            Command::Wait(args) => args.goal,
            other => panic!("{other:?}"),
        };

        assert_eq!(goal("alknetctl wait web"), Goal::Active);
        assert_eq!(goal("alknetctl wait --all --for gone"), Goal::Gone);
        assert_eq!(goal("alknetctl wait --host prod --for=stopped --timeout 5"), Goal::Stopped);
    }
}
