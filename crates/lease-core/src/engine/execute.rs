//! Carrying out a plan: each step on its own, so that the errors of one lease never stop the sweep of the others.

use std::sync::Arc;

use crate::claim::Claim;
use crate::engine::Engine;
use crate::engine::adopt::Terms;
use crate::engine::plan::{Step, Why, decide};
use crate::engine::release::{By, Outcome, Release};
use crate::error::{ErrorKind, Result};
use crate::evidence::Sighting;
use crate::evidence::{Found, Inventory};
use crate::id::{LeaseId, ResourceId, Slug};
use crate::proof::VerifiedScope;
use crate::spec::Retention;
use crate::store::LockKind;

/// What carrying out a plan came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// One entry for each step that asked for an action, in the order of the plan.
    pub done: Vec<Done>,
}

/// What one step came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// The lease.
    pub lease: LeaseId,
    /// Its short name.
    pub slug: Slug,
    /// What became of it.
    pub result: Result<Outcome>,
}

impl Engine {
    /// Carries out the steps that ask for an action; the others are for people.
    ///
    /// # Cancel safety
    /// Steps that were carried out stay carried out; the next plan shows the rest.
    pub async fn execute(&self, steps: &[Step]) -> Report {
        let mut report = Report::default();
        for step in steps {
            let (lease, slug, why) = match step {
                Step::Release { lease, slug, why, evidence } => {
                    (lease, slug, format!("{}: {evidence}", reason(*why)))
                }
                Step::Archive { lease, slug } => {
                    (lease, slug, "everything of it is gone".to_owned())
                }
                Step::Reclaim { provider, found, why } => {
                    report.done.extend(self.reclaim(provider, &found.id, why).await);
                    continue;
                }
                Step::Wait { .. }
                | Step::Leave { .. }
                | Step::Attention { .. }
                | Step::Orphan { .. }
                | Step::Unlisted { .. } => continue,
            };
            if let Step::Release { why, .. } = step
                && !self.still_due(lease, *why).await
            {
                tracing::debug!(%lease, ?why, "not due any more");
                continue;
            }
            let result = self.release(lease, Release::new(By::Reaper, why)).await;
            report.done.push(Done { lease: lease.clone(), slug: slug.clone(), result });
        }
        report
    }

    /// Whether the provider says, in the right account, that it has no machine of that id.
    async fn machine_is_absent(&self, claim: &Claim) -> bool {
        let Ok(provider) = self.provider(claim.provider()) else { return false };
        let Some(id) = claim.resources().iter().rev().find_map(|it| it.id().cloned()) else {
            return false;
        };
        let look = async {
            VerifiedScope::verify(provider.as_ref(), claim.scope()).await?;
            provider.inspect(&id).await
        };
        matches!(self.call("look at the machine", look).await, Ok(Sighting::Absent))
    }

    /// Gives a record to what a released lease of ours had, and releases it. What is gone meanwhile, or has a record
    /// meanwhile, needs nothing.
    async fn reclaim(&self, provider: &str, id: &ResourceId, why: &str) -> Option<Done> {
        let claim = match self.adopt_remembered(provider, id, why).await {
            Ok(claim) => claim?,
            Err(error) => {
                tracing::warn!(%id, %error, "what a released lease left could not be reclaimed");
                return None;
            }
        };
        let release = Release::new(By::Reaper, why);
        let result = self.release(claim.lease(), release).await;
        Some(Done { lease: claim.lease().clone(), slug: claim.slug().clone(), result })
    }

    async fn adopt_remembered(
        &self,
        provider: &str,
        id: &ResourceId,
        why: &str,
    ) -> Result<Option<Claim>> {
        let provider = Arc::clone(self.provider(provider)?);
        let inventory = self.call("list the resources", provider.list()).await?;
        let Some(inventory) = self.only_remembered(inventory, id).await? else { return Ok(None) };
        let Some(found) = inventory.items.iter().find(|it| it.id == *id) else { return Ok(None) };
        let terms = Terms { slug: None, retention: Retention::UntilDeadline, why: why.to_owned() };
        match self.adopt_found(&provider, &inventory, found, terms).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            result => result.map(Some),
        }
    }

    /// The listing without what the record of the lease of `id` does not name: marks alone are no proof, and nobody was
    /// asked about what merely carries the same lease.
    async fn only_remembered(
        &self,
        inventory: Inventory,
        id: &ResourceId,
    ) -> Result<Option<Inventory>> {
        let shown = inventory.items.iter().find(|it| it.id == *id);
        let Some(marks) = shown.and_then(|it| it.marks.as_ref()) else { return Ok(None) };
        let claim = self.store.load(&marks.lease).await?;
        let had = |it: &Found| {
            let nonce = it.marks.as_ref().map(|it| &it.nonce);
            claim.resources().iter().any(|it| Some(&it.intended().nonce) == nonce)
        };
        let items = inventory.items.into_iter().filter(had).collect();
        Ok(Some(Inventory { scope: inventory.scope, items }))
    }

    /// Asks again, right before acting: a plan may be minutes old when others before it took long, and the lease may
    /// have been touched, used or handed over since.
    async fn still_due(&self, lease: &LeaseId, why: Why) -> bool {
        let Ok(claim) = self.store.load(lease).await else { return true };
        if why == Why::Vanished {
            // A lease that is not due is seen without its locks, and whoever works on it may know more than a listing.
            for kind in [LockKind::Operate, LockKind::Use] {
                if !matches!(self.store.lock(lease, kind).await, Ok(Some(_))) {
                    return false;
                }
            }
            // A listing may lack a machine that is there: a label was changed, a page shifted. A release cannot be taken
            // back and deletes what it finds, so the machine itself is asked for first.
            return self.machine_is_absent(&claim).await;
        }
        let Ok(seen) = self.see(claim).await else { return true };
        matches!(decide(&seen, self.clock.now()), Some(Step::Release { .. } | Step::Archive { .. }))
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::OwnerDied => "its owner ended",
        Why::Expired => "its time is over",
        Why::Idle => "it was idle",
        Why::Abandoned => "acquiring was abandoned",
        Why::Vanished => "its machine vanished",
        Why::Resume => "a release was begun",
    }
}
