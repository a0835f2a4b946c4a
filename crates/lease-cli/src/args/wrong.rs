//! What is said about words that the parser does not understand, where it can be said better than the parser does: which
//! command was meant, and what to type instead.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::config::nearest;

/// What other programs call what we do.
const ELSEWHERE: &[(&str, &str)] = &[
    ("create", "acquire"),
    ("delete", "release"),
    ("destroy", "release"),
    ("down", "release"),
    ("info", "show"),
    ("log", "logs"),
    ("new", "acquire"),
    ("ps", "list"),
    ("remove", "release"),
    ("rm", "release"),
    ("scp", "cp"),
    ("shell", "ssh"),
    ("start", "acquire"),
    ("status", "list"),
    ("up", "acquire"),
];

/// What is wrong and what to type next, if more is known of it than the parser says.
pub(super) fn told(
    program: &Command,
    error: &clap::Error,
    arguments: &[OsString],
) -> Option<(String, String)> {
    let kind = error.kind();
    if kind == ErrorKind::InvalidSubcommand {
        unknown_command(program, error, arguments)
    } else if kind == ErrorKind::UnknownArgument {
        without_dashes(program, error, arguments)
    } else if kind == ErrorKind::MissingRequiredArgument {
        without_last(program, arguments)
    } else {
        None
    }
}

fn unknown_command(
    program: &Command,
    error: &clap::Error,
    arguments: &[OsString],
) -> Option<(String, String)> {
    let typed = text(error, ContextKind::InvalidSubcommand)?;
    let (mut at, mut path) = (program, "lease".to_owned());
    for word in arguments.iter().skip(1).filter_map(|it| it.to_str()).filter(|it| *it != "help") {
        if let Some(found) = at.find_subcommand(word) {
            path = format!("{path} {}", found.get_name());
            at = found;
        }
    }
    let there = || at.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help");
    let meant = ELSEWHERE.iter().find(|(word, _)| *word == typed).map(|(_, ours)| *ours);
    let near = || {
        let names = there().flat_map(|it| [it.get_name()].into_iter().chain(it.get_all_aliases()));
        nearest(typed, names)
    };
    let meant = meant.filter(|it| at.find_subcommand(it).is_some()).or_else(near);
    Some(match meant {
        Some(meant) => (
            format!("there is no command {typed:?}; did you mean `{meant}`?"),
            format!("{path} {meant} --help"),
        ),
        None if path == "lease" => {
            (format!("there is no command {typed:?}"), "lease --help".to_owned())
        }
        None => {
            let names: Vec<_> = there().map(Command::get_name).collect();
            let what = format!("{path} has no command {typed:?}; it has: {}", names.join(", "));
            (what, format!("{path} --help"))
        }
    })
}

/// A command for the box that was typed without `--` before it.
fn without_dashes(
    program: &Command,
    error: &clap::Error,
    arguments: &[OsString],
) -> Option<(String, String)> {
    let typed = text(error, ContextKind::InvalidArg).filter(|it| !it.starts_with('-'))?;
    // The same word may stand before that as the value of a flag.
    let places = arguments.iter().enumerate().filter(|(_, it)| *it == typed);
    let corrected = places.map(|(at, _)| {
        let mut words = arguments.to_vec();
        words.insert(at, "--".into());
        words
    });
    let mut understood = corrected.filter(|words| is_understood(program, words));
    let words = understood.next()?;
    Some(("a command for the box comes after `--`".to_owned(), line(&words)))
}

/// Nothing was typed for the box to run, or for the one argument that a command needs.
fn without_last(program: &Command, arguments: &[OsString]) -> Option<(String, String)> {
    let mut words = arguments.to_vec();
    if words.last().is_some_and(|it| it == "--") {
        words.pop();
    }
    words.extend(["--".into(), "COMMAND".into()]);
    let command = arguments.iter().skip(1).find_map(|it| program.find_subcommand(it.to_str()?))?;
    let place = match command.get_name() {
        "man" => Some(("no directory is given", "lease man ~/.local/share/man/man1")),
        "completions" => Some(("no shell is given", "lease completions bash")),
        _ => None,
    };
    if let Some((what, next)) = place {
        return Some((what.to_owned(), next.to_owned()));
    }
    let takes = command.get_arguments().any(|it: &Arg| it.get_id() == "command");
    (takes && is_understood(program, &words))
        .then(|| ("no command is given".to_owned(), line(&words)))
}

fn is_understood(program: &Command, words: &[OsString]) -> bool {
    program.clone().try_get_matches_from(words).is_ok()
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// The words as one would type them.
fn line(words: &[OsString]) -> String {
    let words = words.iter().skip(1).map(|it| quoted(&it.to_string_lossy()));
    std::iter::once("lease".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use crate::args::{Parsed, parse};

    #[track_caller]
    fn check(typed: &[&str], what: &str, next: &str) {
        let words: Vec<_> = std::iter::once(&"lease").chain(typed).map(Into::into).collect();
        let Parsed::Wrong { failure, .. } = parse(&words) else { panic!("it was understood") };
        assert_eq!(failure.to_string(), format!("lease: {what}; nothing was changed; run: {next}"));
    }

    #[test]
    fn a_command_without_its_dashes_is_given_them() {
        let what = "a command for the box comes after `--`";
        check(&["run", "cargo", "test"], what, "lease run -- cargo test");
        check(&["run", "-q", "ls", "-la"], what, "lease run -q -- ls -la");
        check(&["run", "--slug", "make", "make"], what, "lease run --slug make -- make");
        check(
            &["exec", "demo", "sh", "-c", "echo 'x'"],
            what,
            r"lease exec demo -- sh -c 'echo '\''x'\'''",
        );
        check(&["watch", "make"], what, "lease watch -- make");
    }

    #[test]
    fn a_missing_command_is_asked_for_where_it_belongs() {
        check(&["run"], "no command is given", "lease run -- COMMAND");
        check(
            &["run", "--id", "demo", "--"],
            "no command is given",
            "lease run --id demo -- COMMAND",
        );
        check(&["exec", "demo"], "no command is given", "lease exec demo -- COMMAND");
        check(&["man"], "no directory is given", "lease man ~/.local/share/man/man1");
    }

    #[test]
    fn the_command_that_was_meant_is_named() {
        let no = |typed: &str, meant: &str| {
            let what = format!("there is no command {typed:?}; did you mean `{meant}`?");
            check(&[typed], &what, &format!("lease {meant} --help"));
        };
        no("rnu", "run");
        no("rm", "release");
        no("ps", "list");
        let run = "there is no command \"rnu\"; did you mean `run`?";
        check(&["help", "rnu"], run, "lease run --help");
        check(&["frobnicate"], "there is no command \"frobnicate\"", "lease --help");
        check(&["help", "frobnicate"], "there is no command \"frobnicate\"", "lease --help");
        check(
            &["config", "get", "x"],
            "lease config has no command \"get\"; it has: show",
            "lease config --help",
        );
        let size = "there is no command \"size\"; did you mean `sizes`?";
        check(&["provider", "size", "local"], size, "lease providers sizes --help");
    }
}
