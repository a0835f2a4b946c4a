//! When a lease is over although nobody released it: one pure function.

use crate::claim::Claim;
use crate::engine::plan::Why;
use crate::owner::Liveness;
use crate::spec::Retention;
use crate::time::Timestamp;

/// What is known about the use of a lease besides its record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presence {
    /// Whether its owner lives.
    pub(super) liveness: Liveness,
    /// Whether somebody syncs or runs on it right now.
    pub(super) in_use: bool,
}

/// Why a ready lease is over, if it is.
///
/// An owner that cannot be checked is not a dead owner: such a lease ends at its deadlines only. The total deadline ends
/// a lease in use; the idle deadline does not.
pub(super) fn due(claim: &Claim, now: Timestamp, presence: Presence) -> Option<Why> {
    if claim.retention() == Retention::Keep {
        return None;
    }
    if claim.retention() == Retention::WithOwner && presence.liveness == Liveness::Dead {
        return Some(Why::OwnerDied);
    }
    if claim.deadlines().expires_at.is_some_and(|it| it <= now) {
        return Some(Why::Expired);
    }
    let idle = claim.ends_at().is_some_and(|it| it <= now);
    (idle && !presence.in_use).then_some(Why::Idle)
}
