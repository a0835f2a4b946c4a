//! The real program against emulated clouds on loopback, with machines that are real sshd processes: what it leases there
//! it gives back, and what is somebody else's it leaves alone.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod doctor;
mod fal;
mod hetzner;
#[path = "../installation/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod installation;
mod shells;
mod site;
