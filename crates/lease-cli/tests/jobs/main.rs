//! A command outlives its client: what it prints is followed again without a lost or repeated byte, its end is learnt
//! later, and it is never started twice.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod attaching;
#[path = "../stress/chance.rs"]
mod chance;
mod detaching;
#[path = "../installation/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod installation;
mod interrupting;
mod killing;
mod place;
mod terminal;
