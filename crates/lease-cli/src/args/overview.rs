//! The page that `lease --help` prints: every command in one line, with what belongs together in one place.

use std::fmt::Write as _;

use crate::{env, exit};

/// A page that is no command's.
type Page = fn() -> String;

/// What is asked for after `lease help`, beside the commands.
const TOPICS: &[(&str, Page)] = &[("environment", env::help), ("exit-codes", exit::help)];

/// The visible commands in the order in which a person comes to need them.
const GROUPS: &[(&str, &[&str])] = &[
    ("A box that comes and goes:", &["run", "watch"]),
    (
        "A box that stays:",
        &["acquire", "list", "show", "ssh", "exec", "sync", "cp", "forward", "release"],
    ),
    ("How long boxes live, and who ends them:", &["touch", "keep", "cleanup", "reaper", "adopt"]),
    ("What ran:", &["history", "logs", "attach"]),
    (
        "What would work here, and with which settings:",
        &["doctor", "providers", "config", "trust", "completions", "man", "schema"],
    ),
];

const END: &str = "\
Every command takes --json (versioned data), -q (no progress), -v (a log) and -h (its help).
More: lease COMMAND --help, lease help environment, lease help exit-codes, lease --version
";

const EXAMPLE: &str = "Example:\n  lease run -- cargo test\n";

/// The page for `command`, which is the whole program.
pub(super) fn page(command: &clap::Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = format!("{about}\n\nUsage: lease COMMAND\n{EXAMPLE}\n");
    for (heading, names) in GROUPS {
        page.push_str(heading);
        page.push('\n');
        for found in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = found.get_about().map(ToString::to_string).unwrap_or_default();
            let aliases: Vec<_> = found.get_visible_aliases().collect();
            let also = match aliases.as_slice() {
                [] => String::new(),
                names => format!(" [also: {}]", names.join(", ")),
            };
            writeln!(page, "  {:<12} {about}{also}", found.get_name()).unwrap_or_default();
        }
    }
    page + "\n" + END
}

/// What a word after `lease help` asks for, if it is no command.
pub(super) fn topic(word: &str) -> Option<String> {
    TOPICS.iter().find(|(name, _)| *name == word).map(|(_, text)| text())
}

/// The names of the topics.
#[cfg(test)]
pub(super) fn topics() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use lease_docs::commands::in_help;

    use super::*;
    use crate::args::command;

    /// What fits a window that nobody has made larger or smaller.
    const LINES_MAX: usize = 40;
    const COLUMNS_MAX: usize = 100;

    /// The words that lead to the program and to every command of it.
    fn all() -> Vec<Vec<String>> {
        let mut open = vec![(vec!["lease".to_owned()], command())];
        let mut found = Vec::new();
        while let Some((words, command)) = open.pop() {
            for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
                let mut words = words.clone();
                words.push(below.get_name().to_owned());
                open.push((words, below.clone()));
            }
            found.push(words);
        }
        found
    }

    /// What the program prints for the words.
    fn printed(words: &[String], flag: &str) -> String {
        let typed = words.iter().map(String::as_str).chain([flag]);
        command().term_width(COLUMNS_MAX).try_get_matches_from(typed).unwrap_err().to_string()
    }

    /// The names of the commands that the words lead to.
    fn led_to(typed: &[String]) -> Vec<String> {
        let matches = command().try_get_matches_from(typed).unwrap();
        let (mut path, mut at) = (vec!["lease".to_owned()], &matches);
        while let Some((name, below)) = at.subcommand() {
            path.push(name.to_owned());
            at = below;
        }
        path
    }

    #[test]
    fn every_help_fits_a_screen_and_has_one_example_of_its_command() {
        let all = all();
        assert!(all.len() > 35, "only {} commands were found", all.len());
        for words in all {
            for flag in ["-h", "--help"] {
                let help = printed(&words, flag);
                let lines: Vec<_> = help.trim_end().lines().collect();
                assert!(lines.len() <= LINES_MAX, "{words:?} {flag}: {} lines", lines.len());
                let widest = lines.iter().map(|it| it.chars().count()).max().unwrap_or_default();
                assert!(widest <= COLUMNS_MAX, "{words:?} {flag}: {widest} columns");
                let examples: Vec<_> =
                    lines.iter().enumerate().filter(|(_, it)| **it == "Example:").collect();
                let [(at, _)] = examples.as_slice() else {
                    panic!("{words:?} {flag} has {} examples", examples.len());
                };
                let example = in_help("lease", lines[at + 1]);
                let typed = example.first().and_then(|it| it.words.clone()).unwrap_or_default();
                assert!(led_to(&typed).starts_with(&words), "{words:?}: {typed:?}");
            }
        }
    }

    #[test]
    fn the_page_names_every_command_once() {
        let program = command();
        let visible = program.get_subcommands().filter(|it| !it.is_hide_set());
        let mut expected: Vec<_> = visible.map(|it| it.get_name().to_owned()).collect();
        let mut named: Vec<_> =
            GROUPS.iter().flat_map(|(_, names)| *names).map(|it| (*it).to_owned()).collect();
        expected.sort();
        named.sort();
        assert_eq!(named, expected);
        for topic in topics() {
            assert!(END.contains(&format!("lease help {topic}")), "{topic} is not mentioned");
        }
    }
}
