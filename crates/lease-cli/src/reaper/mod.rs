//! The processes that end abandoned leases: one for each provider and credential, started on demand, gone when nothing is
//! left to watch. They decide nothing themselves; they repeat what `lease cleanup` does, as soon as it is due.

mod census;
mod coverage;
mod duty;
mod guardian;
mod install;
mod lock;
mod post;
mod watch;

use std::sync::Arc;

use lease_core::watch::{Census, Guardian};

use crate::context::Base;
use crate::failure::Failure;

pub(crate) use census::owner;
pub(crate) use coverage::{Coverage, remedy};
pub(crate) use install::{install, uninstall};
pub(crate) use post::Post;
pub(crate) use watch::watch;

/// What makes sure that a reaper is at one of our posts before anything is created.
pub(crate) fn guardian(base: &Base<'_>, posts: Vec<Post>) -> Result<Arc<dyn Guardian>, Failure> {
    Ok(Arc::new(guardian::Reaper::new(base, posts)?))
}

/// What tells whether the owner of a lease still runs.
pub(crate) fn census() -> Arc<dyn Census> {
    Arc::new(census::Processes)
}
