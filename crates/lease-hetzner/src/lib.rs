//! Servers of Hetzner Cloud: a key, an address and a server, each owned by labels that its own create wrote.
//!
//! Everything of a lease has a name that is never used twice, so a create whose answer was lost is settled by sending it
//! again: what comes back is a new resource, or a conflict that leads to the one that exists, and its labels say whose
//! it is.
//!
//! How to read it: [`HetznerProvider`] maps the contract to calls; `wish` and `catalog` turn a spec into candidates,
//! `making` turns an intent into one request, `user_data` and `host_key` say what the server is born with, `labels` and
//! `sighting` read back what is there. `api` sends, `listing` walks pages, `refusal` says what a failure means, `budget`
//! keeps requests in reserve for deletions, and `checks` looks at everything that would fail later.
#![warn(clippy::missing_errors_doc)]

mod api;
mod budget;
mod catalog;
mod checks;
mod config;
mod descriptor;
mod error;
mod host_key;
mod kind;
mod labels;
mod listing;
mod making;
mod provider;
mod refusal;
mod sighting;
mod user_data;
mod wire;
mod wish;

pub use config::{Architecture, ENDPOINT, Family, HetznerConfig};
pub use descriptor::DESCRIPTOR;
pub use error::HetznerError;
pub use provider::HetznerProvider;

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
