//! GPU machines of fal Compute as leases that cannot leak.
//!
//! fal's interface has four operations on instances and nowhere to write on one: no name, no label, no expiry. So what is
//! ours is known from the answer to our own create; when that is lost, from the same create repeated within the time for
//! which fal remembers it; and after that from the instances that were not there before, of which the one that takes the
//! lease's own key is ours.
//!
//! How to read it: [`FalProvider`] maps the contract to the calls in `api`, whose shapes are in `wire`; `refusal` says what
//! a refusal means, `inventory` makes pages a listing, `sighting` says what an instance shows, `request` is what stands in
//! the journal before a create, `machines` is what can be had, and `checks` looks at everything that would fail later.

mod api;
mod checks;
mod config;
mod descriptor;
mod error;
mod inventory;
mod machines;
mod provider;
mod refusal;
mod request;
mod sighting;
mod wire;

pub use config::{ENDPOINT, FalConfig};
pub use descriptor::DESCRIPTOR;
pub use error::FalError;
pub use provider::FalProvider;

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
