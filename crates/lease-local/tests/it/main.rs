//! Boxes with real logins, real processes and real crashes.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]
#![expect(clippy::panic, reason = "a failed expectation is the test")]

mod bench;
mod crash;
mod ending;
mod login;
mod plain_user;
mod planning;
