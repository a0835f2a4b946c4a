//! Leases on remote machines whose ownership and cleanup are never ambiguous.
//!
//! A caller writes a [`Spec`]. The [`Engine`] journals an [`Intent`] in the [`Store`] and shows the [`Provider`] that
//! intent; what comes back is journalled too. The [`Claim`] is the fold of a lease's journal: what is owned, in which
//! [`Scope`], how to reach it, how to destroy it. A pure planner compares claims with what a provider lists and says
//! what to do next. A [`Host`] is what one gets to run on.
//!
//! This crate opens no socket, starts no process, and reads neither environment nor home nor terminal. It is given a
//! [`Clock`], an [`Entropy`] source, a [`Store`], a [`Transport`] and providers.
//!
//! The layers, each importing only from above it: words ([`id`], [`time`], [`secret`], [`error`], [`entropy`]), model
//! ([`scope`], [`owner`], [`spec`], [`state`], [`journal`], [`claim`]), contracts ([`descriptor`], [`host`],
//! [`evidence`], [`proof`], [`provider`], [`watch`], [`store`]), engine ([`retry`], [`engine`]).

pub mod claim;
pub mod descriptor;
pub mod engine;
pub mod entropy;
pub mod error;
pub mod evidence;
pub mod host;
pub mod id;
pub mod journal;
pub mod owner;
pub mod proof;
pub mod provider;
pub mod retry;
pub mod scope;
pub mod secret;
pub mod spec;
pub mod state;
pub mod store;
pub mod time;
pub mod watch;

pub use claim::Claim;
pub use descriptor::Descriptor;
pub use engine::Engine;
pub use entropy::{Entropy, OsEntropy};
pub use error::{Effect, Error, ErrorKind, Result};
pub use evidence::{Found, Inventory, Marks, Sighting, Status};
pub use host::{Host, HostKey, Probe, Reach, Recognition, Transport};
pub use id::{InstallationId, LeaseId, Nonce, ResourceId, ResourceName, Slug};
pub use owner::{Liveness, Owner};
pub use proof::{Held, Intent, Owned, VerifiedScope};
pub use provider::{Candidate, Created, Price, Provider, Size, Template};
pub use scope::Scope;
pub use secret::Secret;
pub use spec::{Deadlines, Retention, Spec};
pub use state::{Phase, ResourceState};
pub use store::Store;
pub use time::{Clock, Steady, Timestamp};

/// Keeps the program of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
