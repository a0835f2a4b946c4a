//! Runs the fault matrix and keeps its report, `docs/faults.md`, true.
//!
//! The matrix of the engine is the same on every machine, so a check compares it to the letter. The kills of the real
//! program are numbered by system calls, which differ from machine to machine: their summary is kept in a file that only
//! a new report writes, and the test that makes them runs, with its own limits, in every `cargo xtask ci`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::generated::{Mode, reconcile};
use crate::machine::{cargo, repository_root, say};

/// It prints the report to standard output and fails on a leak, a foreign delete or a surviving mutant.
const MATRIX: &[&str] =
    &["run", "--quiet", "--release", "-p", "lease-testkit", "--bin", "lease-faults"];
const REPORT: &str = "docs/faults.md";

/// The test that kills the real program, and where its summary is kept.
const KILLS: &[&str] = &["test", "--quiet", "-p", "lease-cli", "--test", "kill"];
const KILLS_REPORT: &str = "testdata/kills/report.md";
const KILLS_HEAD: &str = "\
## The real program, killed

`lease run` on a real `local` box is killed at system calls (`strace` counts and injects: *before* is `SIGKILL` at the \
entry of the call, *after* is a deadly signal that takes effect when the call has returned) and, with `SIGKILL`, at \
moments that can be seen from outside. Within ten seconds nothing of that installation may be alive: no process, no box, \
no lease; and what others own beside it is untouched. A kill before the reaper was started can leave a record of a lease \
that has nothing; the next command ends it. The numbers vary by a few points from run to run.
";

/// Runs the matrix, then writes or compares the report.
pub(crate) fn run(mode: Mode) -> Result<()> {
    let root = repository_root()?;
    if mode == Mode::Write {
        kill(&root)?;
    }
    let matrix = cargo().args(MATRIX).args(["--", KILLS_REPORT]).within(&root);
    say(format_args!("$ {matrix}"));
    let outcome = matrix.outcome()?;
    if !outcome.success {
        say(&outcome.stdout);
        bail!(
            "the fault matrix found a fault: it ended with {}; the report is above",
            outcome.status
        );
    }
    let report = outcome.stdout.trim_end();
    if !report.starts_with('#') {
        bail!("the fault matrix printed no report");
    }
    reconcile(&root, REPORT, &format!("{report}\n"), mode, "cargo xtask faults")
        .context("faults")?;
    say("faults: ok - no leak, no foreign delete, no surviving mutant");
    Ok(())
}

/// Kills the real program at every point and keeps the summary.
fn kill(root: &Path) -> Result<()> {
    let summary = tempfile::NamedTempFile::new()?;
    let kills = cargo()
        .args(KILLS)
        .env("LEASE_KILL_REPORT", summary.path().display().to_string())
        .within(root);
    say(format_args!("$ {kills}"));
    kills.run()?;
    let text = fs::read_to_string(summary.path())?;
    let path = root.join(KILLS_REPORT);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, format!("{KILLS_HEAD}\n```text\n{}\n```\n", text.trim()))
        .with_context(|| format!("cannot write {KILLS_REPORT}"))
}
