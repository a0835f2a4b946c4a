//! Builds the real program and the long run, and starts it.

use std::path::Path;

use anyhow::{Result, bail};

use crate::machine::{Call, cargo, repository_root};
use crate::packages;
use crate::quickstart::target_directory;

/// What a long run is made with; most of what `local` does is to look at processes, which takes time unoptimised.
const LONG_BUILD: &[&str] =
    &["build", "--release", "-p", "lease-cli", "-p", "lease-soak", "--all-features"];
/// As all tests are built, so that nothing is built twice.
const SHORT_BUILD: &[&str] = &["build", "--workspace", "--all-features", "--bins"];
/// Few enough for every `cargo xtask ci`, and enough for kills, cuts and faults at every provider.
const SHORT: &[&str] = &["--leases", "60", "--minutes", "2", "--seed", "1"];
/// The switches, each with a value, which the long run itself understands.
const SWITCHES: &[&str] = &["--leases", "--seed", "--minutes", "--only"];

/// Runs what the words after `soak` ask for.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    check(words)?;
    start(&repository_root()?, (LONG_BUILD, "release"), words)
}

/// The short run.
pub(crate) fn short(root: &Path) -> Result<()> {
    start(root, (SHORT_BUILD, "debug"), SHORT)
}

fn start(root: &Path, (how, profile): (&[&str], &str), words: &[&str]) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("processes are looked at and a cluster is started, which is done on Linux only");
    }
    packages::ensure(&[packages::TO_RUN, packages::TO_TEST, packages::FOR_CLUSTER].concat())?;
    cargo().args(how).within(root).run()?;
    let built = target_directory(root)?.join(profile);
    let lease = built.join("lease").display().to_string();
    let call = Call::new(built.join("lease-soak").display().to_string());
    call.args(["--lease", &lease]).args(words).within(root).run()
}

/// What is misspelt is said before anything is built.
fn check(words: &[&str]) -> Result<()> {
    for pair in words.chunks(2) {
        match pair {
            [switch, _] if SWITCHES.contains(switch) => {}
            other => bail!(
                "what is {}? there are: {}, each with a value",
                other.join(" "),
                SWITCHES.join(", ")
            ),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_have_values_and_others_are_an_error_that_lists_them() {
        assert!(check(&[]).is_ok());
        assert!(check(SHORT).is_ok());
        assert!(check(&["--seed", "7", "--only", "slurm"]).is_ok());
        for wrong in [&["--seed"][..], &["--fast", "1"], &["60"]] {
            let error = check(wrong).unwrap_err().to_string();
            assert!(error.contains("--leases, --seed"), "{error}");
        }
    }
}
