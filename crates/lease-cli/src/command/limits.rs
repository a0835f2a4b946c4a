//! The limits of a lease whose command goes on without us: lifted for it, and given back with its end.

use std::sync::PoisonError;
use std::time::Duration;

use lease_core::{Claim, Deadlines, Retention};

use crate::context::Context;
use crate::document::{LiftedLimits, RunRecord, Time};
use crate::failure::Failure;
use crate::session::Recorder;

/// When a lease with a detached run ends at the latest, where nothing else says so.
const DETACHED_AGE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Takes the idle limit of a lease away, so that it stays for the run, and notes in the record what it was. Somebody
/// has to end it all the same, so it gets an end where it has none. A lease without an idle limit stays as it is.
pub(super) async fn lift(
    context: &Context<'_>,
    claim: &Claim,
    recorder: &Recorder,
) -> Result<(), Failure> {
    if claim.retention() == Retention::Keep {
        return Ok(());
    }
    let current = claim.deadlines();
    let last = context.settings.max_age().unwrap_or(DETACHED_AGE_MAX);
    let added = current.expires_at.is_none().then(|| context.base.now().after(last));
    let lifted = match current.idle_ms {
        Some(idle_ms) => Some(LiftedLimits { idle_ms, end_added: added.map(Time::from) }),
        // Another run may have lifted it, and may end before this one.
        None => context.base.runs()?.lifted(claim.lease().as_str())?,
    };
    // The record comes first: whoever finds it with a lease that has its limits leaves those alone.
    let noted = recorder.lock().unwrap_or_else(PoisonError::into_inner).lift(lifted);
    noted.map_err(|failure| failure.lease(claim.lease()))?;
    let without = Deadlines { idle_ms: None, expires_at: current.expires_at.or(added) };
    let deadlines = current.idle_ms.is_some().then_some(without);
    let touched = context.engine.touch(claim.lease(), deadlines).await;
    touched.map(drop).map_err(|error| Failure::from(error).lease(claim.lease()))
}

/// Gives a lease the limits back that were lifted for a run, unless another run needs that they are not there.
pub(super) async fn restore(context: &Context<'_>, record: &RunRecord) {
    let Some(lifted) = &record.lifted else { return };
    let Ok(claim) = context.claim(&record.lease).await else { return };
    let current = claim.deadlines();
    // What somebody has set since then is what counts.
    if current.idle_ms.is_some() || context.base.runs().is_ok_and(|it| it.needs_lifted(record)) {
        return;
    }
    let is_added =
        lifted.end_added.is_some() && current.expires_at.map(Time::from) == lifted.end_added;
    let expires_at = if is_added { None } else { current.expires_at };
    let deadlines = Deadlines { idle_ms: Some(lifted.idle_ms), expires_at };
    if let Err(error) = context.engine.touch(claim.lease(), Some(deadlines)).await {
        tracing::warn!(%error, "the lease has not got its limits back");
    }
}
