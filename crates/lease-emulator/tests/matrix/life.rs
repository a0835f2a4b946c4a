//! What the acting process does before somebody else has to clean up.

use std::fmt;
use std::time::Duration;

use lease_core::engine::{Acquire, AcquireFailure, By, Left, Outcome, Release};
use lease_core::spec::Retention;
use lease_core::store::LockKind;
use lease_core::{Claim, Engine};
use lease_testkit::sim::Processes;

use crate::notes::Rule;
use crate::stage::{End, Stage};

const PID: u32 = 4711;
/// How long nobody looks in [`Life::FoundLate`]: longer than any cloud here remembers a create.
const UNSEEN: Duration = Duration::from_secs(30);

/// Longer than any run.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// One life of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    /// Acquire, use, release.
    Release,
    /// What is wished for first cannot be had.
    SoldOut,
    /// The machine never answers a login.
    Unreachable,
    /// Acquire, keep; a person releases it in the end.
    Keep,
    /// Acquire; the process dies without a release.
    OwnerDies,
    /// As [`Life::Release`], but only deaths, and nobody looks until nothing may be repeated any more.
    FoundLate,
    /// As [`Life::FoundLate`], and the machine never answers a login either.
    LostForGood,
}

/// Every life, in the order of the report.
pub(crate) const ALL: [Life; 7] = [
    Life::Release,
    Life::SoldOut,
    Life::Unreachable,
    Life::Keep,
    Life::OwnerDies,
    Life::FoundLate,
    Life::LostForGood,
];

impl Life {
    /// Whether nobody looks for a while, so that only what a death leaves is of interest.
    pub(crate) fn is_found_late(self) -> bool {
        matches!(self, Self::FoundLate | Self::LostForGood)
    }

    /// How long nobody looks after the acting process.
    pub(crate) fn unseen(self) -> Duration {
        if self.is_found_late() { UNSEEN } else { Duration::ZERO }
    }

    /// Plays it: one process acts, and is no more afterwards.
    pub(crate) async fn play(self, stage: &Stage) {
        match self {
            Self::SoldOut => stage.backend.sell_out(),
            Self::Unreachable | Self::LostForGood => stage.boxes.deafen(),
            Self::Release | Self::Keep | Self::OwnerDies | Self::FoundLate => {}
        }
        let engine = stage.engine();
        match stage.process(Box::pin(self.act(stage, &engine))).await {
            End::Returned(()) | End::Died => stage.processes.end(PID),
        }
    }

    async fn act(self, stage: &Stage, engine: &Engine) {
        let mut request = Acquire::new(stage.backend.spec());
        request.owner = Some(Processes::owner(PID));
        request.retention = Retention::WithOwner;
        // A day away, so that it is shown and never met.
        request.total = Some(DEADLINE);
        let claim = match engine.acquire(request).await {
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
            Self::OwnerDies => {}
            Self::Release
            | Self::SoldOut
            | Self::Unreachable
            | Self::FoundLate
            | Self::LostForGood => {
                use_and_release(stage, engine, &claim).await;
            }
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
    if let Ok(Outcome::Released) = engine.release(lease, release).await {
        stage.check_nothing_left(lease, "released");
    }
}

fn check_failure(stage: &Stage, failure: &AcquireFailure) {
    let Some(lease) = &failure.lease else {
        // Without a lease there is nothing that anybody could clean up.
        if let Some(entry) = stage.notes.ours_alive().first() {
            let what = format!("no lease, and {} {} lives", entry.kind, entry.id);
            stage.notes.blame(Rule::Promise, what);
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

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Release => "acquire, use, release",
            Self::SoldOut => "first choice cannot be had",
            Self::Unreachable => "login never works, rollback",
            Self::Keep => "kept, released by a person",
            Self::OwnerDies => "owner dies, reaper",
            Self::FoundLate => "client dies, found after the replay window",
            Self::LostForGood => "the same, and login never works",
        })
    }
}
