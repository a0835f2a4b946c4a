//! `lease man`: the man pages, one for each command.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::{self, ManArgs};
use crate::context::Base;
use crate::env::VARIABLES;
use crate::exit::{self, Exit};
use crate::failure::Failure;

const FILES: &[(&str, &str)] = &[
    ("~/.config/lease/config.yaml", "the settings of the user; `lease config show` names it"),
    ("lease.yaml", "those of a repository, at its top"),
    ("~/.local/state/lease", "what is leased, the keys, and what ran"),
];

/// Writes the pages.
pub(crate) fn run(base: &Base<'_>, args: &ManArgs) -> Result<Exit, Failure> {
    let directory = base.environment.absolute(&args.directory)?;
    write(&directory).map_err(|error| {
        let in_the_way = [io::ErrorKind::AlreadyExists, io::ErrorKind::NotADirectory];
        let why = if in_the_way.contains(&error.kind()) {
            "it is not a directory".to_owned()
        } else {
            error.to_string()
        };
        Failure::tool(format!("write the man pages: {}: {why}", directory.display()))
            .next("lease man ~/.local/share/man/man1")
    })?;
    let first = directory.join("lease.1");
    base.output.note(&format!("the man pages are written; run: man -l {}", first.display()));
    Ok(Exit::Success)
}

fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (name, text) in pages()? {
        fs::File::create(directory.join(name))?.write_all(&text)?;
    }
    Ok(())
}

/// Every page with the name of its file.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = args::command().disable_help_subcommand(true);
    program.build();
    let mut open = vec![program];
    let mut pages = Vec::new();
    while let Some(command) = open.pop() {
        open.extend(command.get_subcommands().filter(|it| !it.is_hide_set()).cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        pages.push((format!("{name}.1"), page(&name, command)?));
    }
    Ok(pages)
}

fn page(name: &str, mut command: Command) -> io::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let usage = command.render_usage().to_string();
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let has_commands = command.get_subcommands().any(|it| !it.is_hide_set());
    let is_program = name == "lease";
    let man = Man::new(command);
    let title = name.to_uppercase();
    // By hand, because an empty date would be left out, and what follows it taken for the date.
    let mut text =
        format!(".TH {title} 1 \"\" \"lease {version}\" \"Lease Manual\"\n").into_bytes();
    man.render_name_section(&mut text)?;
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    synopsis.text([bold(usage.trim_start_matches("Usage:").trim())]);
    synopsis.to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_commands {
        man.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    after_help(&mut rest, if is_program { "Example:\n  lease run -- cargo test" } else { &after });
    if is_program {
        table(&mut rest, "EXIT STATUS", exit::TABLE.iter().copied());
        table(&mut rest, "ENVIRONMENT", VARIABLES.iter().map(|it| (it.name, it.about)));
        table(&mut rest, "FILES", FILES.iter().copied());
    } else {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([bold("lease"), roman("(1), which has the exit codes and the variables")]);
    }
    rest.to_writer(&mut text)?;
    Ok(text)
}

/// What the help says after the options: the example as it is typed, and what there is to know beside it.
fn after_help(roff: &mut Roff, text: &str) {
    let (mut example, mut notes) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|it| *it != "Example:") {
        if line.starts_with("  ") { example.push(line) } else { notes.push(line) }
    }
    if !example.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        roff.text(example.into_iter().flat_map(|it| [roman(it), roman("\n")]).collect::<Vec<_>>());
        roff.control("fi", []);
    }
    let notes = notes.join("\n");
    let mut paragraphs = notes.split("\n\n").map(str::trim).filter(|it| !it.is_empty()).peekable();
    if paragraphs.peek().is_some() {
        roff.control("SH", ["NOTES"]);
    }
    for paragraph in paragraphs {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
}

fn table<'a>(roff: &mut Roff, heading: &str, rows: impl Iterator<Item = (&'a str, &'a str)>) {
    roff.control("SH", [heading]);
    for (name, about) in rows {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(about)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> String {
        let (_, text) = pages().unwrap().into_iter().find(|(it, _)| it == name).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_page_has_the_sections_that_readers_of_man_pages_look_for() {
        let pages = pages().unwrap();
        assert!(pages.len() > 35 && !pages.iter().any(|(name, _)| name.contains("keeper")));
        for (name, text) in pages {
            let text = String::from_utf8(text).unwrap();
            let title = name.trim_end_matches(".1").to_uppercase();
            let first = text.lines().find(|it| it.starts_with(".TH")).unwrap();
            let version = env!("CARGO_PKG_VERSION");
            assert_eq!(first, format!(".TH {title} 1 \"\" \"lease {version}\" \"Lease Manual\""));
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
                assert_eq!(
                    text.matches(&format!(".SH {section}\n")).count(),
                    1,
                    "{name}: {section}"
                );
            }
            assert!(!text.contains("EXTRA"), "{name}");
        }
    }

    #[test]
    fn the_first_page_has_every_code_and_variable() {
        let text = text("lease.1").replace('\\', "").replace("*(Aq", "'");
        assert!(text.contains(".SH \"EXIT STATUS\"") && text.contains(".SH FILES"), "{text}");
        for (code, about) in exit::TABLE {
            assert!(text.contains(code) && text.contains(about), "{code}");
        }
        for it in VARIABLES {
            assert!(text.contains(it.name), "{}", it.name);
        }
    }

    #[test]
    fn a_synopsis_can_be_typed() {
        let text = text("lease-run.1").replace('\\', "");
        assert!(text.contains("lease run [OPTIONS] -- <COMMAND>..."), "{text}");
        let text = self::text("lease-completions.1");
        assert!(text.contains("lease completions bash > "), "{text}");
    }
}
