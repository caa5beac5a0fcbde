//! Where a value of the configuration comes from, and how a mistake names that place.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use alknet_proto::{Code, Reason, Stage, explain};

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// Which one.
    pub(super) file: Arc<Path>,
    /// Counted from 1.
    pub(super) line: usize,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Who said a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nobody: it is what holds otherwise.
    Default,
    /// The destination, as `user@` or `:port`.
    Destination,
    /// The daemon's own configuration; it comes before ssh's.
    Config,
    /// A line of ssh's configuration.
    File(Spot),
}

impl Source {
    /// As the control protocol says it.
    pub(super) fn on_the_wire(&self) -> explain::Source {
        match self {
            Source::Default => explain::Source::Default,
            Source::Destination => explain::Source::Destination,
            Source::Config => explain::Source::Config,
            Source::File(spot) => explain::Source::File {
                path: spot.file.display().to_string(),
                line: u32::try_from(spot.line).unwrap_or(u32::MAX),
            },
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::Destination => f.write_str("destination"),
            Source::Config => f.write_str("alknet's configuration"),
            Source::File(spot) => spot.fmt(f),
        }
    }
}

/// A mistake at a place of the configuration.
pub(super) fn invalid(place: &impl fmt::Display, what: impl fmt::Display) -> Reason {
    Reason::new(Stage::Config, Code::InvalidConfig, format!("{place}: {what}"))
        .with_hint("see ssh_config(5) for what may stand there; `ssh -G HOST` shows what ssh makes of it")
}
