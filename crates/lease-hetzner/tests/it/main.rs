//! The provider against the emulated cloud, with an engine on top of it and with what goes wrong on the wire.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

mod bench;
mod leaks;
mod ownership;
mod plans;
mod rollbacks;
mod wires;
