//! Runs the tests that start real Slurm clusters on this machine, and installs Slurm for them.
//!
//! They are run by name among the whole workspace, so that they are built with the features that all other tests are
//! built with, and nothing is built twice. In one process, most of them share a cluster.

use std::path::Path;

use anyhow::Result;

use crate::machine::{cargo, repository_root};
use crate::packages;

/// How many tests run at once. Nearly all of their time they wait for daemons, timeouts and ends of jobs.
const THREADS: &str = "--test-threads=5";

/// The tests, by name: the contract, jobs and their trouble, and the real program.
const TARGETS: &[&str] = &["slurm_behavior", "slurm_cluster", "slurm_lease"];

/// Installs what is missing and runs the tests.
pub(crate) fn run() -> Result<()> {
    test(&repository_root()?)
}

/// The same, for a tree whose root is known.
pub(crate) fn test(root: &Path) -> Result<()> {
    install()?;
    let targets = TARGETS.iter().flat_map(|it| ["--test", *it]);
    let words = ["test", "--workspace", "--all-features", "--no-fail-fast"];
    cargo().args(words).args(targets).args(["--", THREADS]).within(root).run()
}

/// Installs what a cluster is made of, and what kills its clients.
pub(crate) fn install() -> Result<()> {
    packages::ensure(packages::TO_TEST_ON_LINUX)?;
    packages::ensure(packages::FOR_CLUSTER)
}
