//! Machines behind any program that speaks a small JSON protocol, or behind commands that are only templates.
//!
//! How to read it: [`ExternalProvider`] maps the contract to operations of an `adapter`; `call` runs its processes
//! within bounds, `answer` judges what they print, `wire` is what travels, `identity` is how a lease of ours is known
//! again in what an adapter shows, and `login` lets nothing through to ssh that could be an option. `lifecycle` is the
//! form without an adapter program. [`conformance`] holds any adapter against the protocol, and [`skeleton`] is one to
//! begin with. The protocol itself is described in `docs/external-protocol.md`.

mod adapter;
mod answer;
mod call;
mod checks;
mod config;
pub mod conformance;
mod descriptor;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod identity;
mod labels;
pub mod lifecycle;
mod login;
mod provider;
mod sighting;
pub mod skeleton;
mod wire;

pub use adapter::Cleanup;
pub use call::{Listener, Unheard};
pub use config::{ExternalConfig, Form, Identity};
pub use descriptor::DESCRIPTOR;
pub use error::ExternalError;
pub use provider::ExternalProvider;
pub use wire::Repo;

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
