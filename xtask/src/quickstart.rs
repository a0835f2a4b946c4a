//! From a bare machine with Rust and git to a command that ran on a leased box, with proof that nothing is left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::{Call, Stopwatch, cargo, repository_root, say};
use crate::{packages, residue};

/// Prints where it runs, and shows that this tree arrived.
const ON_THE_BOX: &str = "pwd; ls -d Cargo.toml crates/lease-core; wc -l README.md";

const OK: &str = "quickstart: ok - command ran on a leased box, box returned, nothing left (0 leases, 0 processes, 0 files)";

/// Runs every step; what it makes is in a temporary directory and goes with it.
pub(crate) fn run() -> Result<()> {
    let started = Stopwatch::start();
    let root = repository_root()?;
    heading(1, "what is needed");
    packages::ensure(packages::TO_RUN)?;
    heading(2, "build");
    // The dev profile: the first build is what a newcomer waits for, and nothing here is measured.
    cargo().args(["build", "-p", "lease-cli"]).within(&root).run()?;
    let lease = target_directory(&root)?.join("debug/lease");
    let private = private_directory()?;
    let session = Session { root, lease, state: private.path().join("state") };
    match session.run() {
        Ok(looked) => {
            private.close().context("cannot remove the temporary directory")?;
            say(format_args!("{looked}; {} in all", seconds(started.elapsed())));
            say(OK);
            Ok(())
        }
        // What is left may be described there and nowhere else.
        Err(error) => {
            Err(error.context(format!("the state directory is kept: {}", private.keep().display())))
        }
    }
}

/// A directory that only we can read. Its path is short, because the name of a socket below it must fit in a hundred
/// bytes, which the usual place on macOS does not leave room for.
pub(crate) fn private_directory() -> Result<tempfile::TempDir> {
    let parent =
        if cfg!(target_os = "macos") { PathBuf::from("/tmp") } else { std::env::temp_dir() };
    tempfile::Builder::new()
        .prefix("lease-start-")
        .tempdir_in(parent)
        .context("cannot make a temporary directory")
}

/// One use of the program with a state directory of its own.
#[derive(Debug)]
struct Session {
    root: PathBuf,
    lease: PathBuf,
    state: PathBuf,
}

impl Session {
    fn call(&self, words: &[&str]) -> Call {
        let lease = self.lease.display().to_string();
        // Whatever the person's own configuration says, this leases nothing that costs money.
        Call::new(lease)
            .args(words)
            .env("LEASE_STATE_DIR", self.state.display().to_string())
            .env("LEASE_PROVIDER", "local")
            .within(&self.root)
    }

    fn run(&self) -> Result<String> {
        let place = self.use_a_box()?;
        heading(5, "what is left");
        self.left_behind(&place)
    }

    /// Checks the machine, then runs two commands; returns where the box was.
    fn use_a_box(&self) -> Result<PathBuf> {
        heading(3, "will it work?");
        self.call(&["doctor"]).run()?;
        heading(4, "run on a box");
        self.call(&["run", "--", "cargo", "--version"]).run()?;
        let show = self.call(&["run", "--", "sh", "-c", ON_THE_BOX]);
        say(format_args!("$ {show}"));
        let printed = show.output()?;
        say(printed.trim_end());
        let place = printed.lines().next().filter(|line| line.starts_with('/'));
        let place =
            PathBuf::from(place.context("the command on the box did not say where it ran")?);
        if place == self.root {
            bail!("the command ran in this very directory instead of on a box");
        }
        Ok(place)
    }

    /// Fails unless no lease, no process and no file of the box is left.
    fn left_behind(&self, place: &Path) -> Result<String> {
        let listed = self.call(&["list", "--json"]).output()?;
        let leases = leases(&listed)?;
        if leases > 0 {
            bail!("{leases} leases are left:\n{listed}");
        }
        let state = self.state.display().to_string();
        let place_text = place.display().to_string();
        let processes = residue::processes(&[&state, &place_text])?;
        if !processes.is_empty() {
            bail!("these processes are left:\n{}", processes.join("\n"));
        }
        if place.exists() {
            bail!(
                "the box is still there: {place_text}, with {} files",
                residue::files(place)?.len()
            );
        }
        // The first command had a box of its own; wherever that was, it held a copy of this tree.
        let copies =
            residue::files(&self.state)?.into_iter().filter(|file| file.ends_with("/Cargo.toml"));
        let copies: Vec<String> = copies.collect();
        if !copies.is_empty() {
            bail!("copies of the tree are left:\n{}", copies.join("\n"));
        }
        Ok(format!("looked at `lease list`, at every process, at {place_text} and below {state}"))
    }
}

/// The number of leases in the output of `lease list --json`.
fn leases(listed: &str) -> Result<usize> {
    let value: Value =
        serde_json::from_str(listed).context("`lease list --json` printed no JSON")?;
    let leases = value.get("leases").unwrap_or(&value);
    Ok(leases.as_array().context("`lease list --json` holds no list of leases")?.len())
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory(root: &Path) -> Result<PathBuf> {
    let metadata =
        cargo().args(["metadata", "--no-deps", "--format-version", "1"]).within(root).output()?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let directory =
        metadata["target_directory"].as_str().context("cargo names no target directory")?;
    Ok(PathBuf::from(directory))
}

fn heading(step: u32, what: &str) {
    say(format_args!("\n== {step}/5 {what}"));
}

/// How long a span took, for people.
pub(crate) fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_counted_and_a_surprise_is_not_zero() {
        assert_eq!(leases(r#"{"schema":"lease.list/1","leases":[]}"#).unwrap(), 0);
        assert_eq!(leases(r#"[{"id":"lse-x"}]"#).unwrap(), 1);
        assert!(leases("{}").is_err());
        assert!(leases("").is_err());
    }
}
