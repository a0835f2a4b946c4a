//! The emulators as their users meet them: over sockets, through `ssh`, and as a program.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod asking;
mod fal;
mod machines;
mod programs;
mod scripts;
mod serving;
