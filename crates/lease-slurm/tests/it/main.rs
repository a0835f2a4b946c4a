//! Jobs of a real cluster, with real logins and real trouble.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]
#![expect(clippy::panic, reason = "a failed expectation is the test")]

mod accounting;
mod bench;
#[path = "../cluster/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod cluster;
mod controller;
mod doctor;
mod ending;
mod identity;
mod lease;
mod login_node;
mod plain_user;
mod waiting;
