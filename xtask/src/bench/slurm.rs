//! A real Slurm cluster: how long a lease takes from the submission to the first byte of its command, alone and in a
//! crowd.
//!
//! The test that checks the crowd takes the figures, so what is measured is what is tested.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::page::Section;
use crate::cluster;
use crate::machine::{cargo, say};

const TEST: &[&str] = &[
    "test",
    "--release",
    "-p",
    "lease-cli",
    "--features",
    "slurm",
    "--test",
    "slurm_lease",
    "--",
    "figures::",
];
/// Where the test writes its table.
const VARIABLE: &str = "LEASE_SLURM_FIGURES";
/// The rows that the table must have below its two lines of head.
const ROWS: usize = 2;

/// Starts a cluster, measures, and ends it.
pub(super) fn measure(root: &Path, machine: &str) -> Result<Section> {
    cluster::install()?;
    let private = tempfile::Builder::new().prefix("lease-bench-").tempdir()?;
    let note = private.path().join("figures");
    say("measuring: slurm");
    cargo().args(TEST).env(VARIABLE, note.display().to_string()).within(root).run()?;
    let table = fs::read_to_string(&note).context("the test wrote no figures")?;
    Ok(Section { name: "slurm", body: body(machine, &table)? })
}

fn body(machine: &str, table: &str) -> Result<String> {
    let rows =
        table.lines().filter(|line| line.starts_with("| ") && line.contains(" ms (")).count();
    if rows != ROWS {
        bail!("the test wrote {rows} rows of figures instead of {ROWS}");
    }
    Ok(format!(
        "\n## Slurm\n\n\
         Measured on: {machine}. Repeat it with `cargo xtask bench --only slurm`.\n\n\
         A real cluster on this machine with two nodes of four processors. Each lease is a `lease run` of its own with one \
         processor, so of sixteen at once eight wait in the queue until others have been given back. Medians, with the \
         fastest and the slowest. Everything, the controller and all clients too, shares the processors of this machine.\n\n\
         {table}\n\
         The first byte is that of `date` on the box, by its own clock, which is also the client's here. The times are read \
         from the leases' journals.\n\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_figures_is_no_report() {
        let row = "| 10, one after the other | 1 ms (1 – 2) | 1 ms (1 – 2) | 1 ms (1 – 2) |\n";
        let head = "| Leases | Submission |\n|---|---|\n";
        let page = body("a machine", &format!("{head}{row}{row}")).unwrap();
        assert!(page.contains(row) && page.contains("a machine"), "{page}");
        assert!(body("a machine", head).is_err());
    }
}
