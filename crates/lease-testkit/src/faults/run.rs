//! One run: play a scenario with planned faults, recover, and let the ledger decide.

use std::path::PathBuf;
use std::sync::Arc;

use lease_core::{Error, Store};
use tokio::runtime::Builder;

use super::mutant::Mutant;
use super::point::Passed;
use super::scenario::Scenario;
use super::script::Planned;
use super::stage::Stage;
use crate::world::{Audit, Violation};

/// What came of one run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Every effect point that was passed.
    pub trace: Vec<Passed>,
    /// Whether every planned fault happened where it was planned.
    pub fired: bool,
    /// What is wrong.
    pub audit: Audit,
    /// Whether a person had to help: by removing what nothing could prove to be ours, or with the right credentials.
    pub helped: bool,
    /// How many billable seconds of machine time passed.
    pub billed_seconds: u64,
}

impl Run {
    /// What is wrong with the run in words; `None` when nothing is.
    pub fn complaint(&self) -> Option<String> {
        if !self.fired {
            return Some("a planned fault did not happen".to_owned());
        }
        (!self.audit.is_clean() || !self.audit.pending.is_empty()).then(|| {
            let pending = self.audit.pending.iter().map(|it| format!("; left over: {it}"));
            format!("{}{}", self.audit, pending.collect::<String>())
        })
    }
}

/// Plays a scenario with these faults, in a runtime of its own with a paused clock.
///
/// # Errors
/// When no runtime or no store can be had.
pub fn replay(
    scenario: Scenario,
    planned: &[Planned],
    mutant: Option<Mutant>,
) -> Result<Run, Error> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| {
        let kind = lease_core::ErrorKind::Internal;
        Error::harmless(kind, "start a run", "there is no runtime").with_source(error)
    })?;
    runtime.block_on(async {
        let stage = Stage::new(scenario.flavor(), planned, mutant)?;
        Ok(judge(scenario, &stage).await)
    })
}

/// The same over any store, inside the caller's runtime, whose clock must be paused. `files` is where the store keeps its
/// journals, if it does, so that a torn write leaves half a line there.
///
/// # Cancel safety
/// A cancelled run has no result.
pub async fn replay_over(
    store: Arc<dyn Store>,
    files: Option<PathBuf>,
    scenario: Scenario,
    planned: &[Planned],
) -> Run {
    let mut stage = Stage::over(store, scenario.flavor(), planned, None);
    stage.files = files;
    judge(scenario, &stage).await
}

async fn judge(scenario: Scenario, stage: &Stage) -> Run {
    scenario.play(stage).await;
    stage.conclude().await
}

impl Stage {
    /// Recovers, ends what is kept, recovers again, and lets the ledger decide.
    ///
    /// # Cancel safety
    /// A cancelled call has no result.
    pub async fn conclude(&self) -> Run {
        self.recover().await;
        self.end_kept().await;
        self.recover().await;
        let mut audit = self.world.audit(self.store.as_ref()).await;
        if audit.is_clean() && !self.live_claims().await.is_empty() {
            audit.pending.push("a lease".to_owned());
        }
        if audit.is_clean() && self.has_keys() {
            let left = "a login key was never forgotten".to_owned();
            audit.violations.push(Violation::PromiseBroken(left));
        }
        Run {
            trace: self.script.trace(),
            fired: self.script.all_fired(),
            audit,
            helped: self.world.was_helped(),
            billed_seconds: self.world.billable_seconds(),
        }
    }
}
