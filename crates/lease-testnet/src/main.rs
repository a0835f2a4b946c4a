//! The network for whoever is not written in this crate: `serve` holds one, `measure` says what a command cost.
//!
//! ```text
//! lease-testnet serve SCRATCH RTT_MS[:MBIT]...   prints a line of JSON: how to enter the client and each host; then
//!                                                answers lines: `take N`, `cut N`, `restore N`. At the end of its
//!                                                input everything on the network ends, and SCRATCH is removed.
//! lease-testnet measure DIRECTORY ERRORS COMMAND...            runs it without input and output, its standard error in the file
//!                                                ERRORS, and prints a line of JSON
//! ```

#[cfg(target_os = "linux")]
mod command;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    command::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
