//! The commands around a run, on real boxes: copying files, forwarding ports, watching a tree, what a run leaves.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod copying;
mod downloading;
mod forwarding;
#[path = "../installation/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod installation;
mod leased;
mod reporting;
mod watching;
