//! What a command sees and says on a box is what it would see and say here: arguments, streams, exit codes, signals; and
//! what is left afterwards is what was asked for.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod afterwards;
mod arguments;
mod codes;
#[path = "../installation/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod installation;
mod mending;
mod secrets;
mod signals;
mod streams;
mod syncing;
