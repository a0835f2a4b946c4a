//! The reaper's loop.

use std::path::Path;
use std::time::Duration;

use lease_core::engine::{Done, Outcome, Report, Step, View, plan};
use lease_core::retry::{Bounds, Pace, pause};
use lease_core::{Phase, Retention};
use tokio::time::Instant;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::reaper::lock::Watch;

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
/// For how long the lock is tried for; somebody who merely looks holds it for an instant.
const LOCK_TIME_MAX: Duration = Duration::from_secs(1);

/// Watches until nothing is left to watch, another reaper watches already, or a signal asks for the end.
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
        let Some(watch) = take(state_dir).await? else {
            tracing::info!("another reaper watches already");
            return Ok(());
        };
        until_idle(context).await;
        watch.give_back();
        // A lease that was opened after the last look saw a reaper that was about to leave. Either its opener found the
        // lock free, or this look, after the lock was given back, finds the lease.
        let view = context.engine.glance().await?;
        if !is_worth_watching(&view) {
            return Ok(());
        }
    }
}

async fn take(state_dir: &Path) -> Result<Option<Watch>, Failure> {
    let bounds =
        Bounds::within(LOCK_TIME_MAX).paused(Duration::from_millis(5), Duration::from_millis(50));
    let mut pace = Pace::start(bounds);
    loop {
        if let Some(watch) = Watch::take(state_dir)? {
            return Ok(Some(watch));
        }
        if !pace.wait(None).await {
            return Ok(None);
        }
    }
}

async fn until_idle(context: &Context<'_>) {
    let mut listed_at = Instant::now();
    let mut idle_since: Option<Instant> = None;
    loop {
        let began = Instant::now();
        let looked = if listed_at.elapsed() >= LIST_EVERY {
            listed_at = began;
            context.engine.observe(None).await
        } else {
            context.engine.glance().await
        };
        let view = match looked {
            Ok(view) => view,
            // A full disk or a lost file system passes; whoever relies on a reaper must not lose it over that.
            Err(error) => {
                tracing::warn!(%error, "the records cannot be read");
                pause(TROUBLE_PAUSE).await;
                continue;
            }
        };
        let look_took = began.elapsed();
        let steps = plan(&view, context.base.now());
        let report = context.engine.execute(&steps).await;
        log(&steps, &report);
        if is_worth_watching(&view) {
            idle_since = None;
        } else if idle_since.get_or_insert(began).elapsed() >= LINGER {
            return;
        }
        let troubled = report.done.iter().any(|it| it.result.is_err());
        let least = if troubled { TROUBLE_PAUSE } else { LOOK_EVERY };
        // With many leases one look takes long; the machine must not be busy with looking.
        pause(least.max((look_took * 10).min(LOOK_PAUSE_MAX))).await;
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
    for Done { lease, slug, result } in &report.done {
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
