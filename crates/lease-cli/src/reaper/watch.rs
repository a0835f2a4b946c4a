//! The reaper's loop.

use std::path::Path;
use std::time::Duration;

use lease_core::engine::{Done, Outcome, Report, Step, View, plan};
use lease_core::retry::pause;
use lease_core::{Phase, Retention};
use tokio::time::Instant;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::reaper::duty::{Duty, take};

/// How often the records and owners are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The longest pause that a slow look leads to.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(5);
/// The pause after something on this machine failed, such as a disk.
const TROUBLE_PAUSE: Duration = Duration::from_secs(2);
/// How often the providers are asked for what they list, to notice machines that vanished.
const LIST_EVERY: Duration = Duration::from_secs(300);
/// How long the reaper stays after the last lease, so that a loop of short runs does not start one each time.
const LINGER: Duration = Duration::from_secs(3);

/// Watches until nothing is left that this process could give back, others watch all of it already, or a signal asks
/// for the end.
pub(crate) async fn watch(context: &Context<'_>) -> Result<(), Failure> {
    let state_dir = context.base.state_dir()?;
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        result = watch_all(context, &state_dir) => result,
        // What was begun is recorded; whoever looks next goes on with it.
        _ = interrupts.next() => Ok(()),
    }
}

async fn watch_all(context: &Context<'_>, state_dir: &Path) -> Result<(), Failure> {
    loop {
        let mut duties = take(context, state_dir).await?;
        if duties.is_empty() {
            tracing::info!("others watch already");
            return Ok(());
        }
        until_idle(context, &mut duties).await;
        let left: Vec<_> = duties.into_iter().map(Duty::leave).collect();
        // A lease that was opened after the last look saw a reaper that was about to leave. Either its opener found the
        // lock free, or this look, after the locks were given back, finds the lease.
        let mut view = context.engine.glance().await?;
        view.claims.retain(|seen| left.iter().any(|it| it.serves(&seen.claim)));
        if !is_worth_watching(&view) {
            return Ok(());
        }
    }
}

/// Watches until there has been nothing to watch for a while, or a post is not held any more.
async fn until_idle(context: &Context<'_>, duties: &mut [Duty]) {
    let mut listed_at = Instant::now();
    let mut idle_since: Option<Instant> = None;
    loop {
        // Somebody deleted the state directory or the lock. Whoever comes next sees nobody at the post, so it is taken
        // anew, by that one or by us, and without a state directory by nobody.
        if duties.iter().any(Duty::is_void) {
            tracing::warn!("the lock was deleted");
            return;
        }
        let began = Instant::now();
        let view = match glance(context, duties).await {
            Ok(view) => view,
            // A full disk or a lost file system passes; whoever relies on a reaper must not lose it over that.
            Err(error) => {
                tracing::warn!(%error, "the records cannot be read");
                pause(TROUBLE_PAUSE).await;
                continue;
            }
        };
        let worth_watching = is_worth_watching(&view);
        let listing = listed_at.elapsed() >= LIST_EVERY;
        let steps = if listing {
            listed_at = began;
            inspected(context, duties).await
        } else {
            planned(context, duties, view)
        };
        let look_took = began.elapsed();
        let report = context.engine.execute(&steps).await;
        log(&steps, &report);
        let troubled = report.done.iter().any(|it| it.result.is_err());
        hear(context, duties, &report).await;
        if worth_watching {
            idle_since = None;
        } else if idle_since.get_or_insert(began).elapsed() >= LINGER {
            return;
        }
        let least = if troubled { TROUBLE_PAUSE } else { LOOK_EVERY };
        // With many leases one look takes long; the machine must not be busy with looking.
        pause(least.max((look_took * 10).min(LOOK_PAUSE_MAX))).await;
    }
}

/// The leases that can be given back from here, from the records alone.
async fn glance(context: &Context<'_>, duties: &mut [Duty]) -> lease_core::Result<View> {
    let mut view = context.engine.glance().await?;
    for duty in duties.iter_mut() {
        duty.ask(&view.claims).await;
    }
    view.claims.retain(|seen| duties.iter().any(|it| it.serves(&seen.claim)));
    Ok(view)
}

/// The steps for leases that are not left alone.
fn planned(context: &Context<'_>, duties: &[Duty], mut view: View) -> Vec<Step> {
    let is_on = |it: &&Duty| !it.rests();
    view.claims.retain(|seen| duties.iter().filter(is_on).any(|it| it.serves(&seen.claim)));
    plan(&view, context.base.now())
}

/// The steps with what each provider lists, asked one by one: what one cannot show hides no other.
async fn inspected(context: &Context<'_>, duties: &[Duty]) -> Vec<Step> {
    let mut steps = Vec::new();
    for duty in duties {
        match context.engine.observe(Some(duty.provider())).await {
            Ok(view) => steps.extend(planned(context, std::slice::from_ref(duty), view)),
            Err(error) => tracing::warn!(%error, "the records cannot be read"),
        }
    }
    steps
}

/// Tells each duty what came of the releases of its provider.
async fn hear(context: &Context<'_>, duties: &mut [Duty], report: &Report) {
    for done in report.done.iter().filter(|it| it.result.is_err()) {
        let Ok(claim) = context.engine.store().load(&done.lease).await else { continue };
        for duty in duties.iter_mut().filter(|it| it.serves(&claim)) {
            duty.hear(done);
        }
    }
}

/// Whether any lease may need a reaper later. Kept ones never do, and unreadable ones need a person.
fn is_worth_watching(view: &View) -> bool {
    let done = |phase| phase == Phase::Released;
    view.claims.iter().any(|it| it.claim.retention() != Retention::Keep || done(it.claim.phase()))
}

/// One line for everything that was done, with the id and the reason.
fn log(steps: &[Step], report: &Report) {
    for step in steps {
        if let Step::Release { lease, slug, why, evidence } = step {
            tracing::info!(%lease, %slug, ?why, %evidence, "releasing");
        }
    }
    for Done { lease, slug, result, .. } in &report.done {
        match result {
            Ok(Outcome::Released) => tracing::info!(%lease, %slug, "released"),
            Ok(Outcome::Kept(_)) => tracing::info!(%lease, %slug, "kept"),
            Ok(Outcome::Pending(claim)) => {
                let obstacle =
                    claim.obstacle().map_or("another process is at it", |it| it.message.as_str());
                tracing::warn!(%lease, %slug, %obstacle, "not released yet");
            }
            Err(error) => tracing::warn!(%lease, %slug, %error, "could not be released"),
        }
    }
}
