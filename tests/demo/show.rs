//! How the demo looks: numbered steps, commands as typed, what they print, a check mark for each fact.

use std::any::Any;

use alknet_tests::World;
use serde_json::Value;

/// The demo so far.
pub(crate) struct Show {
    steps: usize,
    facts: usize,
    is_utf8: bool,
}

impl Default for Show {
    fn default() -> Self {
        // The first of these that is set and not empty counts, as everywhere.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let is_utf8 = locale.is_some_and(|locale| locale.to_lowercase().replace('-', "").contains("utf8"));
        Show { steps: 0, facts: 0, is_utf8 }
    }
}

impl Show {
    /// Begins the next step.
    pub(crate) fn step(&mut self, title: &str) {
        self.steps += 1;
        println!("\n{}. {title}\n", self.steps);
    }

    /// A command, as a person would type it.
    pub(crate) fn typed(&self, command: &str) {
        println!("    $ {command}");
    }

    /// Runs alknetctl and shows what it prints; it has to succeed.
    pub(crate) fn run(&mut self, world: &World, arguments: &[&str]) {
        let output = world.ctl(arguments);
        self.typed(&output.command);
        for line in output.stdout.lines().chain(output.stderr.lines()) {
            println!("    {line}");
        }
        assert!(output.code == 0, "`{}` ended with exit code {}", output.command, output.code);
    }

    /// Says that something was checked; it has to be true.
    pub(crate) fn fact(&mut self, what: &str, is_so: bool) {
        assert!(is_so, "this is not so: {what}");
        self.facts += 1;
        println!("    {} {what}", if self.is_utf8 { "\u{2713}" } else { "[ok]" });
    }

    /// One event of the watch, shortened to what matters here.
    pub(crate) fn event(&self, event: &Value) {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let reason = event["reason"]["message"].as_str().map(|why| format!("  ({why})")).unwrap_or_default();
        println!("    {}  {}: {} -> {}{reason}", text("at"), text("name"), text("from"), text("to"));
    }

    /// How many facts were checked.
    pub(crate) fn facts(&self) -> usize {
        self.facts
    }
}

/// What a panic says.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
