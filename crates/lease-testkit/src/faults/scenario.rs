//! What the acting process does before somebody else has to clean up.

use std::fmt;
use std::time::Duration;

use lease_core::engine::{Acquire, AcquireFailure, By, Left, Release};
use lease_core::spec::Retention;
use lease_core::store::LockKind;
use lease_core::{Claim, Engine, Spec};

use super::stage::{End, Stage, says_released};
use crate::sim::{Flavor, Processes};
use crate::world::Violation;

const PID: u32 = 4711;

/// One life of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// Acquire, use, release.
    Release,
    /// The first machine type is sold out, the second is not; then as [`Scenario::Release`].
    Fallback,
    /// Logins never work; the acquire rolls back.
    Rollback,
    /// Logins never work; the caller asked to keep what failed.
    KeepOnFailure,
    /// Acquire, keep; a person releases it in the end.
    Keep,
    /// Acquire; the process dies without a release.
    OwnerDies,
    /// Acquire with an idle and a total deadline; nobody releases it.
    Deadline,
    /// As [`Scenario::Release`], in a cloud where everything shows late.
    Lagging,
    /// As [`Scenario::Release`], with a provider that honours idempotency keys.
    Keyed,
    /// As [`Scenario::Release`], with a provider where only searching settles anything.
    Searching,
    /// As [`Scenario::Release`], with a provider that stores no marks.
    Markless,
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Self; 11] = [
        Self::Release,
        Self::Fallback,
        Self::Rollback,
        Self::KeepOnFailure,
        Self::Keep,
        Self::OwnerDies,
        Self::Deadline,
        Self::Lagging,
        Self::Keyed,
        Self::Searching,
        Self::Markless,
    ];

    /// Which promises the provider makes.
    pub fn flavor(self) -> Flavor {
        match self {
            Self::Keyed => Flavor::Keyed,
            Self::Searching => Flavor::Searching,
            Self::Markless => Flavor::Markless,
            Self::Release
            | Self::Fallback
            | Self::Rollback
            | Self::KeepOnFailure
            | Self::Keep
            | Self::OwnerDies
            | Self::Deadline
            | Self::Lagging => Flavor::UniqueNames,
        }
    }

    /// Plays it: one process acts, and is no more afterwards.
    pub(super) async fn play(self, stage: &Stage) {
        match self {
            Self::Fallback => stage.world.sell_out("s1"),
            Self::Rollback | Self::KeepOnFailure => stage.world.refuse_logins(),
            Self::Lagging => stage.world.slow_down(),
            Self::Release
            | Self::Keep
            | Self::OwnerDies
            | Self::Deadline
            | Self::Keyed
            | Self::Searching
            | Self::Markless => {}
        }
        let engine = stage.engine();
        match stage.process(Box::pin(self.act(stage, &engine))).await {
            End::Returned(()) | End::Died => stage.processes.end(PID),
        }
    }

    fn request(self) -> Acquire {
        let mut request = Acquire::new(Spec::new("sim"));
        request.owner = Some(Processes::owner(PID));
        request.retention = Retention::WithOwner;
        request.keep_on_failure = self == Self::KeepOnFailure;
        if self == Self::Deadline {
            request.owner = None;
            request.retention = Retention::UntilDeadline;
            request.idle = Some(Duration::from_secs(20 * 60));
            request.total = Some(Duration::from_secs(60 * 60));
        }
        request
    }

    async fn act(self, stage: &Stage, engine: &Engine) {
        let claim = match engine.acquire(self.request()).await {
            Ok(claim) => claim,
            Err(failure) => return check_failure(stage, &failure),
        };
        stage.check_running(&claim);
        match self {
            Self::Keep => {
                if engine.keep(claim.lease(), "a person asked").await.is_ok() {
                    stage.promise_kept(claim.lease());
                }
            }
            Self::OwnerDies | Self::Deadline => {}
            Self::Release
            | Self::Fallback
            | Self::Rollback
            | Self::KeepOnFailure
            | Self::Lagging
            | Self::Keyed
            | Self::Searching
            | Self::Markless => use_and_release(stage, engine, &claim).await,
        }
    }
}

async fn use_and_release(stage: &Stage, engine: &Engine, claim: &Claim) {
    let lease = claim.lease();
    let guard = engine.store().lock(lease, LockKind::Use).await;
    // A touch that fails is noticed by nobody; the work goes on.
    drop(engine.touch(lease, None).await);
    drop(guard);
    let release = Release::new(By::Owner, "the command ended");
    let outcome = engine.release(lease, release).await;
    if says_released(&outcome) {
        stage.check_nothing_left(lease, "released");
    }
}

fn check_failure(stage: &Stage, failure: &AcquireFailure) {
    let Some(lease) = &failure.lease else {
        // Without a lease there is nothing that anybody could clean up.
        if let Some(entry) = stage.world.ours_alive().first() {
            let what = format!("no lease, and {} {} lives", entry.kind.name(), entry.name);
            stage.world.blame(Violation::PromiseBroken(what));
        }
        return;
    };
    match failure.left {
        Left::Nothing => stage.check_nothing_left(lease, "nothing was created"),
        Left::Released => stage.check_nothing_left(lease, "rolled back"),
        Left::Kept => stage.promise_kept(lease),
        Left::MayExist => {}
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Release => "acquire, use, release",
            Self::Fallback => "first candidate sold out",
            Self::Rollback => "login never works, rollback",
            Self::KeepOnFailure => "login never works, keep on failure",
            Self::Keep => "kept, released by a person",
            Self::OwnerDies => "owner dies, reaper",
            Self::Deadline => "deadline passes, reaper",
            Self::Lagging => "everything shows late",
            Self::Keyed => "idempotency keys",
            Self::Searching => "no replay, only search",
            Self::Markless => "no marks",
        })
    }
}
