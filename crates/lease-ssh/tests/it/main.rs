//! The crate against a real sshd: an unprivileged `sshd -i` that ssh starts as its proxy command, so no port listens.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod cancelling;
mod ciphers;
mod connection;
mod copying;
mod early_status;
mod edits;
mod fixture;
mod forwarding;
mod full;
mod greeting;
mod hooked;
mod job_limits;
mod jobs;
mod large_file;
mod noise;
mod runs;
mod scripts;
mod seeding;
mod seeding_odds;
mod spare;
mod sync_drift;
mod sync_first;
mod sync_plan;
mod sync_scripts;
mod sync_trouble;
mod syncing;
mod two_clients;
mod warm;
mod warm_edits;
mod warm_kept;
mod warm_moving;
mod warm_odds;
