//! The only door to SSH of the lease workspace: keys, one multiplexed connection, readiness, runs and sync.
//!
//! * [`Client`] knows where keys and sockets live; it makes a lease's key pair, logs in and forgets.
//! * [`Session`] is one multiplexed connection; it runs commands ([`Session::start`], [`Session::run`]), asks about
//!   them, signals them and opens terminals.
//! * [`Session::copy_from`], [`Session::copy_to`] and their kin copy files, [`Forward`] opens a port of the box here.
//! * [`Client::keep_spare`] keeps a session open and waiting for the next command, which then costs one round trip.
//! * [`sync`] makes a directory on the box equal to a local tree, [`Session::start_synced`] starts a command in it.
//!
//! The box needs a POSIX `/bin/sh`, a login shell of that kind, and `tar`; `xargs` with `-0` for sync. Everything that
//! belongs to a lease lives below one [`BoxRoot`]: the tree in `work`, this crate's own records beside it in `.lease`.

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;

mod box_root;
mod client;
mod config;
mod copying;
mod endpoint;
mod error;
mod files;
mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod interactive;
mod keys;
mod pace;
mod quote;
mod run;
mod session;
mod spare;
mod sync;
mod transport;
mod version;

pub use box_root::BoxRoot;
pub use client::{Client, Settings};
pub use copying::{Copied, Existing, LeftOut, Overwrite, Patterns};
pub use endpoint::{Endpoint, HostKey};
pub use error::{LoginFailure, Result, SshError};
pub use files::private;
pub use forward::Forward;
pub use lease_tree::{Change, Compare, Kind, Scan, Skipped, Source, Tree, WhySkipped, scan};
pub use run::{
    Command, Followed, Input, JobSignal, JobState, Outcome, Reader, Relays, Running, Sink, Sinks,
    Streams, Until, Writer,
};
pub use session::Session;
pub use spare::Ahead;
pub use sync::{
    Drift, Extent, Mirror, Order, Plan, PlannedWrite, Progress, Seeding, Started, SyncReport, plan,
    sync,
};
pub use version::{VERSION_MIN, version};
