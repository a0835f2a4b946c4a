//! The emulator of Hetzner Cloud as a client meets it, under a clock that the tests move.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod accounts;
mod answers;
mod budget;
mod client;
mod ips;
mod keys;
mod ledger;
mod life;
mod machines;
mod pages;
mod scarcity;
mod sight;
