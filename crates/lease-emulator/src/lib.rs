//! Emulators of cloud providers, faithful and hostile, with a ledger outside the code under test.
//!
//! A [`Cloud`] is a state machine that answers HTTP requests. It is served over real sockets, or asked directly by a
//! test whose clock is paused; either way it is the same cloud. What goes wrong on the way is a script of its own, so
//! that every cloud can be lost, late, doubled and cut off in the same ways.

pub mod exchange;
pub mod fal;
pub mod hetzner;
pub mod machine;
pub mod script;
pub mod server;

pub use exchange::{Cloud, LedgerEntry, Request, Response, Served};
pub use machine::{Birth, Machines, NoMachines};
pub use script::Scripted;
pub use server::Server;

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
