//! Who watches which leases, and which leases nobody watches.

use lease_core::{Claim, Phase, Retention, Store as _};

use crate::catalog;
use crate::context::Base;
use crate::failure::Failure;
use crate::reaper::lock::{Watcher, watchers};

/// The watchers of a state directory and what they leave out.
#[derive(Debug)]
pub(crate) struct Coverage {
    /// Everybody who watches.
    pub(crate) watchers: Vec<Watcher>,
    /// The live leases that nobody watches. Kept ones need nobody.
    pub(crate) unwatched: Vec<Claim>,
}

impl Coverage {
    /// Looks at the records and the locks; no provider is asked.
    pub(crate) async fn look(base: &Base<'_>) -> Result<Self, Failure> {
        let state_dir = base.state_dir()?;
        // The records come first: who watches a lease that ends meanwhile may leave, and that is no gap.
        let entries = if state_dir.is_dir() { base.store()?.scan().await? } else { Vec::new() };
        let watchers = watchers(&state_dir)?;
        let needs_one = |it: &Claim| {
            it.retention() != Retention::Keep
                && it.phase() != Phase::Released
                && !watchers.iter().any(|one| one.serves(it.scope()))
        };
        let claims = entries.into_iter().filter_map(|it| it.claim.ok());
        let unwatched = claims.filter(needs_one).collect();
        Ok(Self { watchers, unwatched })
    }

    /// The processes, each with the providers whose leases it watches.
    pub(crate) fn processes(&self) -> Vec<(Option<u32>, Vec<&Watcher>)> {
        let mut processes: Vec<(Option<u32>, Vec<&Watcher>)> = Vec::new();
        for watcher in &self.watchers {
            match processes.iter_mut().find(|(pid, _)| pid.is_some() && *pid == watcher.pid) {
                Some((_, posts)) => posts.push(watcher),
                None => processes.push((watcher.pid, vec![watcher])),
            }
        }
        processes
    }
}

/// What to do about a lease that nobody watches.
pub(crate) fn remedy(claim: &Claim) -> String {
    match catalog::credentials(claim.provider()) {
        [] => "run: lease cleanup".to_owned(),
        names => format!(
            "run `lease cleanup` where {} is a credential of {}",
            names.join(" or "),
            claim.scope()
        ),
    }
}
