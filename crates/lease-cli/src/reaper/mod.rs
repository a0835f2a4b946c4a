//! The process that ends abandoned leases: one per state directory, started on demand, gone when nothing is left to
//! watch. It decides nothing itself; it repeats what `lease cleanup` does, as soon as it is due.

mod census;
mod guardian;
mod install;
mod lock;
mod watch;

use std::sync::Arc;

use lease_core::watch::{Census, Guardian};

use crate::context::Base;
use crate::failure::Failure;

pub(crate) use census::owner;
pub(crate) use install::{install, uninstall};
pub(crate) use lock::{Watcher, watcher};
pub(crate) use watch::watch;

/// What makes sure that a reaper watches before anything is created.
pub(crate) fn guardian(base: &Base<'_>) -> Result<Arc<dyn Guardian>, Failure> {
    Ok(Arc::new(guardian::Reaper::new(base)?))
}

/// What tells whether the owner of a lease still runs.
pub(crate) fn census() -> Arc<dyn Census> {
    Arc::new(census::Processes)
}
