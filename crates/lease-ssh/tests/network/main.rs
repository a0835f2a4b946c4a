//! Jobs across a network that is cut: hosts in namespaces of their own, packets that do not arrive, clients that die.
//!
//! It needs the rights of root, so it is no part of `cargo test`; `cargo xtask ci` has a step for it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod cuts;
mod job;
mod silence;
mod site;
