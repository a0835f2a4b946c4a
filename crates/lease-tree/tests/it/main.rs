//! The crate against real directories and a real git: what it says of a tree is compared with the tree itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod deltas;
mod edits;
mod fixture;
mod moving;
mod published;
mod scans;
