//! Types the lines of a session into a shell, one after the other, and keeps what they print with its times.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::machine::{Call, Stopwatch, cargo, environment, say};
use crate::quickstart::target_directory;
use crate::{packages, residue};

/// A line that was typed, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) command: String,
    /// Each line of output, with its time since the command was started.
    pub(super) lines: Vec<(Duration, String)>,
    pub(super) took: Duration,
}

/// The project that is tested in the session.
const PROJECT: &[(&str, &str)] = &[
    ("Cargo.toml", "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
    (
        "src/main.rs",
        "fn main() {}\n\n#[cfg(test)]\n#[test]\nfn adds() {\n    assert_eq!(1 + 1, 2);\n}\n",
    ),
];

/// Performs the session with the program of this tree; fails when something of it is left.
pub(super) fn perform(root: &Path, lines: &[&str]) -> Result<Vec<Shown>> {
    packages::ensure(packages::TO_RUN)?;
    // With all features, as for the table of providers: one build serves both.
    cargo().args(["build", "--quiet", "-p", "lease-cli", "--all-features"]).within(root).run()?;
    let place = Place::new(&target_directory(root)?.join("debug/lease"))?;
    let mut shown = Vec::new();
    for line in lines {
        say(format_args!("$ {line}"));
        shown.push(place.type_in(line)?);
    }
    let state = place.state().display().to_string();
    let left = residue::processes(&[&state])?;
    if !left.is_empty() {
        bail!("these processes are left:\n{}", left.join("\n"));
    }
    Ok(shown)
}

/// A home, a state directory and a project, all gone with it.
#[derive(Debug)]
struct Place {
    home: tempfile::TempDir,
    project: tempfile::TempDir,
}

impl Place {
    fn new(lease: &Path) -> Result<Self> {
        // Short, because the name of a socket below it must fit in a hundred bytes; and the project's is shown.
        let make = |prefix| tempfile::Builder::new().prefix(prefix).tempdir_in("/tmp");
        let place = Self { home: make("record-")?, project: make("demo-")? };
        let programs = place.home.path().join("bin");
        fs::create_dir(&programs)?;
        std::os::unix::fs::symlink(lease, programs.join("lease"))?;
        for (path, text) in PROJECT {
            let full = place.project.path().join(path);
            fs::create_dir_all(full.parent().context("a file has a directory")?)?;
            fs::write(full, text)?;
        }
        Call::new("git").args(["init", "--quiet"]).within(place.project.path()).run()?;
        Ok(place)
    }

    fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    fn type_in(&self, line: &str) -> Result<Shown> {
        let home = self.home.path();
        let path = environment("PATH").unwrap_or_default();
        let mut child = Call::new("sh")
            .args(["-c", &format!("exec 2>&1 </dev/null; {line}")])
            .env("HOME", home.display().to_string())
            .env("PATH", format!("{}:{path}", home.join("bin").display()))
            .env("LEASE_STATE_DIR", self.state().display().to_string())
            .env("LEASE_CONFIG_DIR", home.join("config").display().to_string())
            .env("LEASE_PROVIDER", "local")
            .within(self.project.path())
            .piped()?;
        let started = Stopwatch::start();
        let output = child.stdout.take().context("a shell has an output")?;
        let mut lines = Vec::new();
        for read in BufReader::new(output).lines() {
            let line = read.context("the session prints text")?;
            // Where this machine keeps a box is of no interest to others.
            let state = self.state().display().to_string();
            lines.push((started.elapsed(), line.replace(&state, "…")));
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("`{line}` ended with {status}:\n{lines:#?}");
        }
        Ok(Shown { command: line.to_owned(), lines, took: started.elapsed() })
    }
}

/// The lines of a session, without what differs from run to run or is said by somebody else's version.
pub(super) fn compared(text: &str) -> Vec<String> {
    let drawn = text.lines().find_map(|line| {
        line.strip_prefix("lease: ")?.split_once(": acquiring (").map(|(slug, _)| slug)
    });
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| "(),;".contains(c));
        let place = match bare {
            _ if Some(bare) == drawn
                || drawn.is_some_and(|slug| bare.strip_suffix(':') == Some(slug)) =>
            {
                "NAME"
            }
            _ if bare.starts_with("lse-") => "LEASE",
            _ if bare.starts_with("run-") => "RUN",
            _ if bare.starts_with("/tmp/demo-") => "PROJECT",
            _ if is_span(bare) => "SPAN",
            _ if bare.starts_with("20") && bare.ends_with('Z') => "TIME",
            _ => return word.to_owned(),
        };
        place.to_owned()
    };
    let lines = text.lines().map(str::trim_start).filter(|line| !is_of_cargo(line));
    let lines = lines.map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty() && !line.starts_with("```")).collect()
}

/// A number with a unit of time.
fn is_span(word: &str) -> bool {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    rest.len() < word.len() && matches!(rest, "ms" | "s" | "m" | "h")
}

/// What cargo says of its own work differs between its versions, and comes on another stream than the tests' output.
fn is_of_cargo(line: &str) -> bool {
    ["Compiling ", "Finished ", "Running "].iter().any(|word| line.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let text = "```console\n$ lease run -- cargo test\nlease: clear-willow: acquiring (lse-abc)\n   Compiling demo\n\nfinished in 0.02s\n\
                    run-23  2026-11-20T22:09:26.073Z  0s  7  clear-willow  demo  /tmp/demo-x1\n";
        assert_eq!(
            compared(text),
            [
                "$ lease run -- cargo test",
                "lease: NAME acquiring LEASE",
                "finished in SPAN",
                "RUN TIME SPAN 7 NAME demo PROJECT",
            ]
        );
        assert!(!is_span("7") && !is_span("s") && is_span("1.5s"));
    }
}
