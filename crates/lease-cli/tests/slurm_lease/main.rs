//! The real program on real clusters: whole leases, everything that goes wrong with a cluster, and clients that are
//! killed. After each, no allocation, process, socket or file of ours may be left, and no job of others cancelled.
//!
//! The counts are in `testdata/kills/slurm.md`; a new report is written to the file that `LEASE_SLURM_REPORT` names.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod client;
#[path = "../../../lease-slurm/tests/cluster/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod cluster;
mod daemons;
mod figures;
mod gate;
#[path = "../installation/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod installation;
mod kill;
mod page;
mod report;
mod site;
mod trial;
mod trouble;
mod whole;
