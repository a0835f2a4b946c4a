//! Runs the fault matrix and keeps its report, `docs/faults.md`, true.
//!
//! The matrix of the engine is the same on every machine, so a check compares it to the letter. The matrix over the wire
//! takes long with all its pairs, and the kills of the real program are numbered by system calls, which differ from
//! machine to machine: their summaries are kept in files that only a new report writes, and the tests that make them run,
//! with their own limits, in every `cargo xtask ci`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::generated::{Mode, reconcile};
use crate::machine::{cargo, repository_root, say};
use crate::packages;

/// It prints the report to standard output and fails on a leak, a foreign delete or a surviving mutant.
const MATRIX: &[&str] =
    &["run", "--quiet", "--release", "-p", "lease-testkit", "--bin", "lease-faults"];
const REPORT: &str = "docs/faults.md";

/// Where the summaries of the tests that kill the real program are kept.
const KILLS_REPORT: &str = "testdata/kills/report.md";

/// Where the report of the matrix over the wire is kept: the test runs the faults of each class and all seeded bugs in
/// every `cargo xtask ci`, and the pairs only when a new report is asked for.
const WIRE_REPORT: &str = "testdata/wire/report.md";
const WIRE: &[&str] =
    &["test", "--quiet", "--release", "-p", "lease-emulator", "--test", "matrix", "whatever_goes"];

/// Where the counts of the trials on real Slurm clusters are kept, which every `cargo xtask ci` makes again and compares.
const SLURM_REPORT: &str = "testdata/kills/slurm.md";
const SLURM: &[&str] =
    &["test", "--quiet", "-p", "lease-cli", "--all-features", "--test", "slurm_lease", "trouble"];

/// A test that kills the real program: its arguments, and what its summary means.
struct Kills {
    test: &'static [&'static str],
    head: &'static str,
}

const KILLS: &[Kills] = &[
    Kills {
        test: &["test", "--quiet", "-p", "lease-cli", "--test", "kill"],
        head: "\
## The real program, killed

`lease run` on a real `local` box is killed at system calls (`strace` counts and injects: *before* is `SIGKILL` at the \
entry of the call, *after* is a deadly signal that takes effect when the call has returned) and, with `SIGKILL`, at \
moments that can be seen from outside. Within ten seconds nothing of that installation may be alive: no process, no box, \
no lease; and what others own beside it is untouched. A kill before the reaper was started can leave a record of a lease \
that has nothing; the next command ends it. The numbers vary by a few points from run to run.
",
    },
    Kills {
        test: &[
            "test",
            "--quiet",
            "-p",
            "lease-cli",
            "--features",
            "hetzner,fal",
            "--test",
            "clouds_kill",
        ],
        head: "\
## The real program, killed at a cloud

`lease run`, `lease acquire` and `lease release` at emulated clouds, over HTTP and with machines that are real `sshd` \
processes, are killed with `SIGKILL` at every request that arrives there, before and after its effect, and `lease run` at \
system calls that are spread evenly over it. In half of the points the reaper lives, and within ten seconds nothing of \
ours may be alive: no server, key, address or instance, no machine, no process, no lease. In the other half it is killed \
too, and `lease cleanup` has to end what is left until it says that nothing is. Where the *records are lost* as well, \
what can be marked is shown as unclaimed and is not deleted, what cannot is left alone, and `lease adopt ID --release` \
gives back all of it. What others have there stays as it was, and no lease ever has two machines at once (*second*); \
*machines* counts those that were ever made. The emulators show at once what was done, so the settling time is set to \
200 ms and the landing time to 1 s, which are settings of the user. The numbers vary by a few points from run to run.
",
    },
];

/// Runs the matrix, then writes or compares the report.
pub(crate) fn run(mode: Mode) -> Result<()> {
    let root = repository_root()?;
    if mode == Mode::Write {
        kill(&root)?;
        packages::ensure(packages::FOR_CLUSTER)?;
        rewrite(&root, SLURM, ("LEASE_SLURM_REPORT", SLURM_REPORT))?;
        rewrite(&root, WIRE, ("LEASE_WIRE_REPORT", WIRE_REPORT))?;
    }
    let quoted = ["--", KILLS_REPORT, SLURM_REPORT, WIRE_REPORT];
    let matrix = cargo().args(MATRIX).args(quoted).within(&root);
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

/// Has a test write its report anew.
fn rewrite(root: &Path, test: &[&str], (variable, path): (&str, &str)) -> Result<()> {
    let report = root.join(path);
    if let Some(parent) = report.parent() {
        fs::create_dir_all(parent)?;
    }
    let call = cargo().args(test).env(variable, report.display().to_string()).within(root);
    say(format_args!("$ {call}"));
    call.run()
}

/// Kills the real program at every point and keeps the summaries.
fn kill(root: &Path) -> Result<()> {
    let mut sections = Vec::new();
    for kills in KILLS {
        let summary = tempfile::NamedTempFile::new()?;
        let path = summary.path().display().to_string();
        let call = cargo().args(kills.test).env("LEASE_KILL_REPORT", path).within(root);
        say(format_args!("$ {call}"));
        call.run()?;
        let text = fs::read_to_string(summary.path())?;
        sections.push(format!("{}\n```text\n{}\n```\n", kills.head, text.trim()));
    }
    let path = root.join(KILLS_REPORT);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, sections.join("\n")).with_context(|| format!("cannot write {KILLS_REPORT}"))
}
