//! From words to [`Cli`], and from a wrong word to one line.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use super::Cli;
use crate::failure::{Failure, Meaning};
use crate::{env, exit};

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

/// The definition of the command line, with the tables of exit codes and variables at its end.
pub(crate) fn command() -> clap::Command {
    Cli::command().after_long_help(format!("{}\n{}", exit::help(), env::help()))
}

/// Reads the command line, program name first.
pub(crate) fn parse(arguments: &[OsString]) -> Parsed {
    let mut command = Cli::command();
    // Only the long help prints the tables, so only then are they put together.
    if arguments.len() == 2 && arguments.iter().any(|it| it == "--help" || it == "help") {
        command = self::command();
    }
    let parsed =
        command.try_get_matches_from_mut(arguments).and_then(|it| Cli::from_arg_matches(&it));
    match parsed {
        Ok(cli) => Parsed::Command(Box::new(cli)),
        Err(error) if !error.use_stderr() => Parsed::Text(error.render().to_string()),
        Err(error) => {
            let words = arguments.iter().skip(1).take_while(|it| *it != "--");
            let json = words.clone().any(|it| it == "--json");
            let failure = Failure::invalid(
                in_one_line(&error),
                help_for(&command, words.map(OsString::as_os_str)),
            );
            Parsed::Wrong { failure: failure.meaning(Meaning::NothingChanged).kind("usage"), json }
        }
    }
}

/// The message with its lists and tips, without the usage text.
fn in_one_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a word is missing after the command".to_owned();
    }
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

/// The help of the subcommand that the words name.
fn help_for<'a>(
    command: &clap::Command,
    words: impl Iterator<Item = &'a std::ffi::OsStr>,
) -> String {
    for word in words {
        if let Some(found) = word.to_str().and_then(|it| command.find_subcommand(it)) {
            return format!("lease {} --help", found.get_name());
        }
    }
    "lease --help".to_owned()
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
            "lease: the following required arguments were not provided: <COMMAND>...; nothing was changed; run: lease run --help",
        );
        check(
            "lease relase x",
            "lease: unrecognized subcommand 'relase'; some similar subcommands exist: 'reaper', 'release'; nothing was changed; run: lease --help",
        );
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
