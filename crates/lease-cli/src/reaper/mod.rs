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

use crate::config::Settings;
use crate::context::{Base, Context};
use crate::failure::Failure;
use crate::setup::Setup;

pub(crate) use census::owner;
pub(crate) use coverage::{Coverage, remedy};
pub(crate) use install::{install, uninstall};
pub(crate) use post::Post;
pub(crate) use watch::watch;

/// What makes sure that a reaper is at one of our posts before anything is created. Whoever creates gives the settings
/// that it does so with.
pub(crate) fn guardian(
    base: &Base<'_>,
    posts: Vec<Post>,
    settings: Option<Settings>,
) -> Result<Arc<dyn Guardian>, Failure> {
    Ok(Arc::new(guardian::Reaper::new(base, posts, settings)?))
}

/// Has a reaper started for every account whose leases were made with other settings than ours and that nobody watches:
/// after a reboot nobody else does it.
pub(crate) async fn start_others(context: &Context<'_>) -> Result<(), Failure> {
    let state_dir = context.base.state_dir()?;
    let entries = context.engine.store().scan().await?;
    let claims: Vec<_> = entries.iter().filter_map(|it| it.claim.as_ref().ok()).collect();
    for setup in Setup::for_claims(&state_dir, claims) {
        let watched = lock::watchers(&state_dir)?.iter().any(|it| it.serves(&setup.scope));
        if !watched && !setup.is_in(context.settings.values()) {
            guardian::Reaper::new(&context.base, Vec::new(), None)?.start(Some(&setup))?;
        }
    }
    Ok(())
}

/// What tells whether the owner of a lease still runs.
pub(crate) fn census() -> Arc<dyn Census> {
    Arc::new(census::Processes)
}
