//! The real program in a home of its own: what it prints, how it ends, and what it leaves on disk.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod bad_input;
mod generated;
mod home;
mod leasing;
mod pages;
mod records;
mod schemas;
mod trust;
#[path = "../installation/wait.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod wait;
