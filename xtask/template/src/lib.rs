//! Machines of Sample. VENDOR: say here what a machine is, what proves that it is ours, and what it costs to forget one.
//!
//! How to read it: [`SampleProvider`] maps the contract of `lease-core` to `vendor`, which is one function for each call
//! of the vendor's interface; `labels` says whose a machine is, and `error` what a failed call may have changed.
//! `grep -rn VENDOR:` lists every place that waits for the vendor.

mod config;
mod descriptor;
mod error;
mod labels;
mod provider;
mod vendor;

pub use config::SampleConfig;
pub use descriptor::DESCRIPTOR;
pub use error::SampleError;
pub use provider::SampleProvider;

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
