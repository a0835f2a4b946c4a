//! The real program with adapters of every kind, whose machines are real sshd processes on loopback: what it leases from
//! them it gives back, whatever happens in between, and a repository's adapter is run only after a person's word.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod author;
mod faults;
mod forms;
#[path = "../installation/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod installation;
mod pages;
mod repository;
mod site;
mod spare;
