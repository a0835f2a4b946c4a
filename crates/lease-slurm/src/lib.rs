//! Allocations of a Slurm cluster as leases: a job that is a box.
//!
//! A lease is one batch job with an sshd of the user's own in it. The job and its directory on the shared file system
//! are one resource, named by the job's name and the marks in its comment; a job number is never an identity, because
//! Slurm gives the same number out again.
//!
//! How to read it: [`SlurmProvider`] maps the contract to scripts (`scripts/`) that a `desk` runs where Slurm's
//! commands are, here or on a login node. `report` reads what a script answers, `queue`, `submission`, `pulse` and
//! `endpoint` read what Slurm, ssh and the job said, `sighting` says what all of it proves, and `checks` looks at
//! everything that would fail later. The box itself is `scripts/job.sh`.

mod checks;
mod config;
#[cfg(test)]
mod corpus;
mod descriptor;
mod desk;
mod endpoint;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod identity;
mod partition;
mod provider;
mod pulse;
mod queue;
mod report;
mod sighting;
mod submission;
mod wish;

pub use config::{Contain, Route, SlurmConfig};
pub use descriptor::DESCRIPTOR;
pub use error::SlurmError;
pub use provider::SlurmProvider;

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
