//! What people see: texts made of values, with styles that the printer may take out again.

mod detail;
mod events;
mod explanation;
mod figures;
mod forwards;
mod history;
mod imported;
mod sessions;
mod status;
mod table;
mod units;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) use detail::detail;
pub(crate) use events::event;
pub(crate) use explanation::{comparison, explanation, place};
pub(crate) use figures::Figures;
pub(crate) use forwards::{added, forwards};
pub(crate) use history::{history, outage};
pub(crate) use imported::{add_line, imported};
pub(crate) use sessions::sessions;
pub(crate) use status::status;

/// What stands out.
pub(crate) const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();

/// What a rendering depends on beside its values.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// Whether the terminal shows more than ASCII.
    pub(crate) unicode: bool,
    /// What times are relative to.
    pub(crate) now: Timestamp,
    /// Where the clock on the wall is.
    pub(crate) zone: TimeZone,
}

impl Look {
    /// As the environment says. `now` is the moment of the call.
    pub(crate) fn of_this_system() -> Self {
        let unicode = is_utf8(|name| std::env::var(name).ok());
        Look { unicode, now: Timestamp::now(), zone: TimeZone::system() }
    }
}

/// Whether the locale is one of UTF-8: the first variable that is set decides.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    if cfg!(windows) {
        // Old consoles of Windows show boxes; the new terminal names itself.
        return variable("WT_SESSION").is_some();
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// A text in a style.
pub(crate) fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text as it is where no colour is wanted.
    pub(super) fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    /// A terminal of UTF-8 (or not) at the moment of the samples.
    pub(super) fn look(unicode: bool) -> Look {
        Look { unicode, now: crate::sample::NOW, zone: TimeZone::UTC }
    }

    #[test]
    #[cfg(unix)]
    fn the_first_variable_that_is_set_decides_about_utf_8() {
        let utf8 = |set: &[(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };

        assert!(utf8(&[("LANG", "de_DE.UTF-8")]));
        assert!(utf8(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!utf8(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!utf8(&[]));
    }
}
