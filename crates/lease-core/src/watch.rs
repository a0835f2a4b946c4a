//! Contracts for what the engine has to know or say but must not do itself: who still lives, who watches, who listens.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::id::LeaseId;
use crate::owner::{Liveness, Owner};
use crate::scope::Scope;
use crate::state::{Phase, ResourceState};

/// Tells whether the process that opened a lease still runs.
pub trait Census: fmt::Debug + Send + Sync {
    /// Whether `owner` runs. An answer other than [`Liveness::Dead`] keeps the lease.
    fn liveness(&self, owner: &Owner) -> Liveness;
}

/// A census that cannot tell; leases then end at their deadlines only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCensus;

impl Census for NoCensus {
    fn liveness(&self, _owner: &Owner) -> Liveness {
        Liveness::Unknown
    }
}

/// Makes sure that somebody exists who ends an abandoned lease (invariant I11).
#[async_trait]
pub trait Guardian: fmt::Debug + Send + Sync {
    /// Returns once a reaper watches the store that can give back what lives in `scope`, after `lease` was recorded
    /// and before anything is created for it.
    ///
    /// # Errors
    /// When no reaper could be started; nothing is created then.
    ///
    /// # Cancel safety
    /// A reaper that was started goes on; it ends by itself when there is nothing to watch.
    async fn ensure(&self, lease: &LeaseId, scope: &Scope) -> Result<()>;
}

/// For callers that release what they acquire, or that reap by other means.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGuardian;

#[async_trait]
impl Guardian for NoGuardian {
    async fn ensure(&self, _lease: &LeaseId, _scope: &Scope) -> Result<()> {
        Ok(())
    }
}

/// Hears what the engine does, for progress display and logs. It must return quickly and cannot influence anything.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Hears one notice.
    fn notice(&self, lease: &LeaseId, notice: &Notice<'_>);

    /// Hears that the engine waits before it asks a provider again while there is no lease yet: what for, and how long it
    /// has waited for this so far. Whoever shows nothing of that need not do anything.
    fn waiting(&self, what: &str, so_far: Duration) {
        let _ = (what, so_far);
    }
}

/// An observer that hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn notice(&self, _lease: &LeaseId, _notice: &Notice<'_>) {}
}

/// What the engine does right now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The lease was recorded under this slug.
    Opened {
        /// The short name.
        slug: &'a str,
    },
    /// A candidate is tried.
    Trying {
        /// What it is.
        label: &'a str,
    },
    /// A candidate was given up.
    GivenUp {
        /// What it is.
        label: &'a str,
        /// Why.
        why: &'a str,
    },
    /// A resource changed its state.
    Resource {
        /// Its kind.
        kind: &'a str,
        /// Where it stands now.
        state: ResourceState,
    },
    /// The lease changed its phase.
    Phase(Phase),
    /// The engine waits before it looks or asks again.
    Waiting {
        /// What for.
        what: &'a str,
        /// How long it waited for this so far.
        so_far: Duration,
    },
}
