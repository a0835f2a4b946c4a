//! Leases over the emulated fal: an engine, a paused clock, and logins that ask the emulated machines.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]
#![expect(clippy::panic, reason = "a failed expectation is the test")]

mod accounts;
mod answers;
mod bench;
mod ending;
mod listing;
mod lost;
mod machines;
mod real;
mod searching;
#[path = "../wire/mod.rs"]
mod wire;
