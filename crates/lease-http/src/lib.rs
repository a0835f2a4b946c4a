//! The one door to HTTP: one send for each call, bounded answers, and an effect for every failure.
//!
#![doc = include_str!("../README.md")]
#![warn(clippy::missing_errors_doc)]

mod answer;
mod call;
mod client;
mod clock;
mod endpoint;
mod failure;
mod heading;
mod http_wire;
mod redactor;
mod wire;

pub use answer::Answer;
pub use call::Call;
pub use client::{Client, Credential};
pub use endpoint::Endpoint;
pub use failure::Failure;
pub use heading::RateLimit;
pub use http_wire::{HttpWire, Limits};
pub use redactor::Redactor;
pub use wire::{Stage, Wire, WireError};
