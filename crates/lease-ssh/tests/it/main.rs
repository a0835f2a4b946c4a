//! The crate against a real sshd: an unprivileged `sshd -i` that ssh starts as its proxy command, so no port listens.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod connection;
mod fixture;
mod job_limits;
mod jobs;
mod runs;
mod scripts;
mod sync_trouble;
mod syncing;
mod warm;
mod warm_odds;
