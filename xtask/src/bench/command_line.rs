//! The command line with many leases: time and memory of what one types most, and the sizes of the binary.
//!
//! Each figure stands beside the bare start of a process on the same machine, because an absolute number says more
//! about the machine than about us.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::crowd::Crowd;
use super::figures::Sample;
use super::report::{Binary, Measured, Report};
use crate::machine::{Call, cargo, say};
use crate::trim;

const RUNS: usize = 15;
/// How often memory is measured; the highest counts.
const MEMORY_RUNS: usize = 3;
const CLAIMS: usize = 10_000;

/// The builds whose size is stated: a name, and the arguments that choose the features.
const BUILDS: &[(&str, &[&str])] = &[
    ("default", &[]),
    ("local only", &["--no-default-features", "--features", "local"]),
    ("default and hetzner", &["--features", "hetzner"]),
    ("default and fal", &["--features", "fal"]),
    ("default and slurm", &["--features", "slurm"]),
    ("default and external", &["--features", "external"]),
    ("full", &["--features", "full"]),
];

/// What is promised: the command, and the limits of its median wall time and of its memory.
struct Promise {
    words: &'static [&'static str],
    wall_ms_max: f64,
    memory_mib_max: Option<f64>,
}

const LIST: Promise = Promise { words: &["list"], wall_ms_max: 150.0, memory_mib_max: Some(60.0) };
const SHOW: Promise = Promise { words: &["show"], wall_ms_max: 150.0, memory_mib_max: Some(60.0) };
const CLEANUP: Promise =
    Promise { words: &["cleanup", "--dry-run"], wall_ms_max: 150.0, memory_mib_max: Some(60.0) };
const VERSION: Promise = Promise { words: &["--version"], wall_ms_max: 5.0, memory_mib_max: None };

/// Measures all of it.
pub(super) fn measure(root: &Path, release: &Path, machine: String) -> Result<Report> {
    let private = tempfile::Builder::new().prefix("lease-bench-").tempdir()?;
    // The last build is the one that is measured, therefore the default comes last.
    let mut binaries = Vec::new();
    for &(name, features) in BUILDS.iter().rev() {
        binaries.push(build(root, release, name, features)?);
    }
    binaries.reverse();
    let state = private.path().join("state");
    cargo()
        .args(["build", "--release", "-p", "lease-testkit", "--bin", "lease-claims"])
        .within(root)
        .run()?;
    make_claims(&release.join("lease-claims"), &state)?;

    let bench =
        Bench { lease: release.join("lease"), state, scratch: private.path().to_path_buf() };
    Ok(Report {
        machine,
        spawn: sample(&Call::new("true"))?,
        measured: bench.measure_all()?,
        binaries,
        crowd: Crowd::measure(root, release)?,
        runs: RUNS,
        claims: CLAIMS,
    })
}

struct Bench {
    lease: PathBuf,
    state: PathBuf,
    scratch: PathBuf,
}

impl Bench {
    fn measure_all(&self) -> Result<Vec<Measured>> {
        let listed: Value = serde_json::from_str(&self.call(&["list", "--json"]).output()?)?;
        let leases = listed
            .get("leases")
            .unwrap_or(&listed)
            .as_array()
            .context("`lease list --json` has no list")?;
        if leases.len() != CLAIMS {
            bail!("{} claims were made and {} are listed", CLAIMS, leases.len());
        }
        let id = leases[CLAIMS / 2]["id"].as_str().context("a lease has no id")?;
        let mut measured = Vec::new();
        for (promise, extra) in [(LIST, None), (SHOW, Some(id)), (CLEANUP, None), (VERSION, None)] {
            let words: Vec<&str> = promise.words.iter().copied().chain(extra).collect();
            let call = self.call(&words);
            say(format_args!("measuring: lease {}", words.join(" ")));
            let shown = if extra.is_some() {
                [promise.words, &["ID"]].concat()
            } else {
                promise.words.to_vec()
            };
            measured.push(Measured {
                command: format!("lease {}", shown.join(" ")),
                wall: sample(&call)?,
                wall_ms_max: promise.wall_ms_max,
                memory_mib: self.memory_mib(&words)?,
                memory_mib_max: promise.memory_mib_max,
            });
        }
        Ok(measured)
    }

    fn call(&self, words: &[&str]) -> Call {
        let state = self.state.display().to_string();
        Call::new(self.lease.display().to_string()).args(words).env("LEASE_STATE_DIR", state)
    }

    /// The highest resident memory, through `time`: a child that a small program starts has that program's memory as
    /// its floor, one that we start would have ours.
    fn memory_mib(&self, words: &[&str]) -> Result<f64> {
        let note = self.scratch.join("memory");
        let note_text = note.display().to_string();
        let wrapper: &[&str] = if cfg!(target_os = "macos") {
            &["/usr/bin/time", "-l", "-o", &note_text]
        } else {
            &["time", "-f", "%M maximum resident set size", "-o", &note_text]
        };
        let mut highest = 0.0_f64;
        for _ in 0..MEMORY_RUNS {
            self.call(words).wrapped(wrapper).duration()?;
            let units_per_mib = if cfg!(target_os = "macos") { 1024.0 * 1024.0 } else { 1024.0 };
            let peak = peak(&fs::read_to_string(&note)?).context("`time` told no memory")?;
            highest = highest.max(peak / units_per_mib);
        }
        Ok(highest)
    }
}

fn sample(call: &Call) -> Result<Sample> {
    // The first run reads the program and its data from the disk; nobody waits for that twice.
    call.duration()?;
    let spans = (0..RUNS)
        .map(|_| Ok(call.duration()?.as_secs_f64() * 1000.0))
        .collect::<Result<Vec<_>>>()?;
    Sample::of(&spans).context("nothing was measured")
}

/// The number before "maximum resident set size", in the unit of the system's `time`.
fn peak(note: &str) -> Option<f64> {
    note.lines()
        .find_map(|line| line.trim().strip_suffix("maximum resident set size")?.trim().parse().ok())
}

fn build(root: &Path, release: &Path, name: &'static str, features: &[&str]) -> Result<Binary> {
    cargo().args(["build", "--release", "-p", "lease-cli"]).args(features).within(root).run()?;
    let bytes = fs::metadata(release.join("lease")).context("the build left no binary")?.len();
    let arguments: Vec<String> =
        ["-p", "lease-cli"].iter().chain(features).map(|word| (*word).to_owned()).collect();
    let crates = trim::crates(root, &arguments)?.len();
    Ok(Binary { features: name, bytes, crates })
}

fn make_claims(program: &Path, state: &Path) -> Result<()> {
    let state = state.display().to_string();
    Call::new(program.display().to_string()).args([state, CLAIMS.to_string()]).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_read_from_either_time() {
        assert_eq!(peak("2048 maximum resident set size\n"), Some(2048.0));
        assert_eq!(
            peak("        0.00 real\n             1048576  maximum resident set size\n"),
            Some(1_048_576.0)
        );
        assert_eq!(peak("Command terminated by signal 9\n"), None);
    }

    #[test]
    fn the_default_build_is_the_one_that_is_measured() {
        assert_eq!(
            BUILDS[0],
            ("default", &[][..]),
            "builds run in reverse, so the first stays in place"
        );
    }
}
