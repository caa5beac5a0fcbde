//! That the README names every verb, option, setting and code there is.

use std::collections::BTreeSet;
use std::path::Path;

use alknet_tests::World;
use alknet_tests::ctl::CtlOutput;
use alknet_tests::programs::programs;

const README: &str = include_str!("../../README.md");

/// What `program arguments... --help` prints.
fn help(world: &World, program: &Path, arguments: &[&str]) -> String {
    let mut command = world.command(program);
    command.args(arguments).arg("--help");
    CtlOutput::of(command).ok().stdout
}

/// The verbs and their aliases, as the list in the help of alknetctl has them.
fn verbs(help: &str) -> Vec<(String, Vec<String>)> {
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut verbs: Vec<(String, Vec<String>)> = Vec::new();
    for line in list.lines() {
        if line.starts_with("  ") && !line.starts_with("   ") {
            verbs.push((line.split_whitespace().next().unwrap().to_owned(), Vec::new()));
        }
        if let Some((_, aliases)) = line.split_once("[alias") {
            let names = aliases.trim_start_matches("es").trim_start_matches(": ").trim_end_matches(']').split(", ");
            verbs.last_mut().unwrap().1.extend(names.map(str::to_owned));
        }
    }
    verbs
}

/// `--name`, `-q` and the like where a help text defines them, which is at the beginning of a line.
fn options(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim).filter(|line| line.starts_with('-') && !line.starts_with("- "));
    let words = lines.flat_map(|line| line.split("  ").next().unwrap_or_default().split([' ', ',', '[', '=']));
    words.filter(|word| word.starts_with('-')).map(str::to_owned).collect()
}

fn names(option: &str) -> bool {
    [' ', '`', ',', '=', '[', '\\', ']'].iter().any(|end| README.contains(&format!("{option}{end}")))
}

#[test]
fn every_verb_and_option_of_alknetctl_is_in_the_readme() {
    let world = World::new();
    let all = help(&world, &programs().alknetctl, &[]);
    let verbs = verbs(&all);
    assert!(15 <= verbs.len(), "{verbs:?}");
    let mut missing = Vec::new();

    for (verb, aliases) in &verbs {
        let aliases = aliases.iter().filter(|alias| !README.contains(&format!("`{alias}`")));
        missing.extend(aliases.cloned());
        if !README.contains(&format!("| `{verb}")) {
            missing.push(verb.clone());
        }
        if verb != "help" {
            let own = options(&help(&world, &programs().alknetctl, &[verb]));
            missing.extend(own.into_iter().filter(|option| !names(option)).map(|option| format!("{verb} {option}")));
        }
    }

    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_option_of_alknetd_is_in_the_readme() {
    let world = World::new();

    let own = options(&help(&world, &programs().alknetd, &[]));

    assert!(own.contains("--state-dir"), "{own:?}");
    let missing: Vec<&String> = own.iter().filter(|option| !names(option)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn the_configuration_of_the_readme_is_taken() {
    let world = World::new();
    let example = README.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::create_dir_all(world.path("config/alknet")).unwrap();
    std::fs::write(world.config_path(), example).unwrap();

    world.start_with(&[], &[]);

    world.ctl(["ping"]).ok();
}
