//! Carrying out a plan: each step on its own, so that the errors of one lease never stop the sweep of the others.

use crate::engine::Engine;
use crate::engine::plan::{Step, Why, decide};
use crate::engine::release::{By, Outcome, Release};
use crate::error::Result;
use crate::id::{LeaseId, Slug};

/// What carrying out a plan came to.
#[derive(Debug, Default)]
pub struct Report {
    /// One entry for each step that asked for an action, in the order of the plan.
    pub done: Vec<Done>,
}

/// What one step came to.
#[derive(Debug)]
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
            let result = self.release(lease, Release { by: By::Reaper, why, keep: false }).await;
            report.done.push(Done { lease: lease.clone(), slug: slug.clone(), result });
        }
        report
    }

    /// Asks again, right before acting: a plan may be minutes old when others before it took long, and the lease may
    /// have been touched, used or handed over since.
    async fn still_due(&self, lease: &LeaseId, why: Why) -> bool {
        let Ok(claim) = self.store.load(lease).await else { return true };
        let Ok(seen) = self.see(claim).await else { return true };
        match why {
            // What the provider lists is proven again by the release itself.
            Why::Vanished => !seen.operating && !seen.in_use,
            Why::OwnerDied | Why::Expired | Why::Idle | Why::Abandoned | Why::Resume => {
                matches!(
                    decide(&seen, self.clock.now()),
                    Some(Step::Release { .. } | Step::Archive { .. })
                )
            }
        }
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
