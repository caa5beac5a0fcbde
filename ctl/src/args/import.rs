//! What `import` takes.

use std::path::PathBuf;

use alknet_proto::Destination;
use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  alknetctl import                                     every Host of the ssh configuration
  alknetctl import prod --apply                        one of them, and add what it asks for
  alknetctl import -- autossh -M 0 -N -L 8080:db:5432 prod
  alknetctl import --unit /etc/systemd/system/tunnel.service --apply";

/// What `import` takes.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// Hosts of the ssh configuration whose forwards are taken over [default: every Host without a pattern]
    #[arg(value_name = "HOST", conflicts_with_all = ["units", "command"])]
    pub(crate) hosts: Vec<Destination>,
    /// A systemd unit with ssh or autossh commands; may be given several times
    #[arg(long = "unit", value_name = "FILE")]
    pub(crate) units: Vec<PathBuf>,
    /// Add the rules; without it they are only shown
    #[arg(long)]
    pub(crate) apply: bool,
    /// A command of ssh or autossh with its arguments, behind --
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}
