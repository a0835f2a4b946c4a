//! Boxes on the machine itself: the embedded default, and the provider to read first.
//!
//! A box is a private directory and an `sshd` that no port leads to: ssh starts it as its proxy command, talks to it
//! over its standard streams, and it ends with the connection. So there is no daemon that could stay behind.
//!
//! **It is no sandbox.** What runs in a box runs as the caller, on the caller's machine, with the caller's files.
//!
//! How to read it: [`LocalProvider`] maps the contract to a directory (`layout`, `record`), which `making` fills and
//! `removal` empties, and `sighting` says what it shows; `sshd` writes what the server reads, `processes` ends what a box started, `containment` puts it
//! into a PID namespace where the kernel allows, and `checks` looks at everything that would fail later.

mod account;
mod checks;
mod config;
mod containment;
mod descriptor;
mod error;
mod identity;
mod latch;
mod layout;
mod making;
mod processes;
mod provider;
mod record;
mod removal;
mod sighting;
mod sshd;

pub use config::LocalConfig;
pub use containment::{Contain, Containment};
pub use descriptor::DESCRIPTOR;
pub use error::LocalError;
pub use provider::LocalProvider;

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
