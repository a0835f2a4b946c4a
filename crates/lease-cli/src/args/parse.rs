//! From words to [`Cli`], and from a wrong word to one line.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

use super::{Cli, overview, wrong};
use crate::failure::{Failure, Meaning};

/// What was typed.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A command to run.
    Command(Box<Cli>),
    /// A question about the program itself, with its answer.
    Text(String),
    /// Words that mean nothing.
    Wrong {
        /// What is wrong with them.
        failure: Failure,
        /// Whether JSON was asked for before that.
        json: bool,
    },
}

/// The definition of the command line, with a page of its own for the whole program.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let page = overview::page(&command);
    command.override_help(page)
}

/// Reads the command line, program name first.
pub(crate) fn parse(arguments: &[OsString]) -> Parsed {
    if let Some(text) = topic(arguments) {
        return Parsed::Text(text);
    }
    // Only help prints the page, so only then is it put together.
    let asked = arguments.iter().any(|it| it == "--help" || it == "-h" || it == "help");
    let mut program = if asked { command() } else { Cli::command() };
    let parsed =
        program.try_get_matches_from_mut(arguments).and_then(|it| Cli::from_arg_matches(&it));
    match parsed {
        Ok(cli) => Parsed::Command(Box::new(cli)),
        Err(error) if !error.use_stderr() => Parsed::Text(error.render().to_string()),
        Err(error) => {
            let json =
                arguments.iter().skip(1).take_while(|it| *it != "--").any(|it| it == "--json");
            let (what, next) = wrong::told(&program, &error, arguments)
                .unwrap_or_else(|| (in_one_line(&error), help_for(arguments)));
            let failure = Failure::invalid(what, next);
            Parsed::Wrong { failure: failure.meaning(Meaning::NothingChanged).kind("usage"), json }
        }
    }
}

/// What `lease help` says about something that is no command.
pub(super) fn topic(arguments: &[OsString]) -> Option<String> {
    let [_, help, word] = arguments else { return None };
    let word = word.to_str().filter(|_| help == "help")?;
    let about_itself = ["help", "--help", "-h"].contains(&word);
    if about_itself { Some(overview::page(&Cli::command())) } else { overview::topic(word) }
}

/// The message with its lists and tips, without the usage text.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let message = text
        .split("\n\nUsage:")
        .next()
        .unwrap_or(&text)
        .split("\n\nFor more")
        .next()
        .unwrap_or(&text);
    // How to pass a misspelt flag as a value is no help to anyone who misspelt a flag.
    let lines = message
        .lines()
        .map(str::trim)
        .filter(|it| !it.is_empty() && !it.starts_with("tip: to pass"));
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").replace(" tip: ", "; ")
}

/// The command that prints the help of the command that the words name, program name first.
pub(crate) fn help_for(arguments: &[OsString]) -> String {
    let (mut at, mut path) = (Cli::command(), "lease".to_owned());
    for word in arguments.iter().skip(1).take_while(|it| *it != "--").filter_map(|it| it.to_str()) {
        if let Some(found) = at.find_subcommand(word).cloned() {
            path = format!("{path} {}", found.get_name());
            at = found;
        }
    }
    path + " --help"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        match parse(&words(line)) {
            Parsed::Wrong { failure, .. } => assert_eq!(failure.to_string(), expected),
            other @ (Parsed::Command(_) | Parsed::Text(_)) => {
                panic!("{line} was understood: {other:?}")
            }
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_wrong_word_is_one_line_with_a_tip() {
        check(
            "lease run --provder x -- true",
            "lease: unexpected argument '--provder' found; a similar argument exists: '--provider'; nothing was changed; run: lease run --help",
        );
        check(
            "lease run --",
            "lease: no command is given; nothing was changed; run: lease run -- COMMAND",
        );
        check(
            "lease relase x",
            "lease: there is no command \"relase\"; did you mean `release`?; nothing was changed; run: lease release --help",
        );
    }

    #[test]
    fn help_is_asked_for_in_every_way_that_one_would_try() {
        let page = overview::page(&Cli::command());
        for line in [
            "lease --help",
            "lease -h",
            "lease help",
            "lease help help",
            "lease help --help",
            "lease -q -h",
        ] {
            let Parsed::Text(text) = parse(&words(line)) else { panic!("{line}") };
            assert_eq!(text.trim_end(), page.trim_end(), "{line}");
        }
        for topic in overview::topics() {
            let Parsed::Text(text) = parse(&words(&format!("lease help {topic}"))) else {
                panic!("{topic}")
            };
            assert!(text.lines().all(|it| it.chars().count() <= 100), "{text}");
        }
    }

    #[test]
    fn json_behind_the_dashes_belongs_to_the_command() {
        let Parsed::Wrong { json, .. } = parse(&words("lease run --nonsense -- x --json")) else {
            panic!("understood")
        };
        assert!(!json);
    }

    #[cfg(unix)]
    #[test]
    fn a_command_may_be_any_bytes() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(vec![0xff, b'\n', b'$']);
        let mut line = words("lease run --");
        line.push(odd.clone());
        let Parsed::Command(cli) = parse(&line) else { panic!("not understood") };
        let Some(Command::Run(run)) = cli.command else { panic!("another command") };
        assert_eq!(run.command, [odd]);
    }
}
