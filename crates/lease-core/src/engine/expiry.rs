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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::tests::{Story, at};

    /// It was opened in second 1, may be idle for 5, and ends in second 90.
    #[track_caller]
    fn check(
        retention: Retention,
        now: u64,
        (liveness, in_use): (Liveness, bool),
        why: Option<Why>,
    ) {
        let claim = Story::opened(retention).claim;
        assert_eq!(due(&claim, at(now), Presence { liveness, in_use }), why);
    }

    #[test]
    fn a_lease_is_over_with_its_owner_or_at_its_deadlines() {
        use Liveness::{Alive, Dead, Unknown};
        use Retention::{Keep, UntilDeadline, WithOwner};
        check(UntilDeadline, 5, (Unknown, false), None);
        check(UntilDeadline, 6, (Unknown, false), Some(Why::Idle));
        check(UntilDeadline, 6, (Unknown, true), None);
        check(UntilDeadline, 89, (Unknown, true), None);
        check(UntilDeadline, 90, (Unknown, true), Some(Why::Expired));
        check(UntilDeadline, 2, (Dead, false), None);
        check(WithOwner, 2, (Dead, true), Some(Why::OwnerDied));
        check(WithOwner, 2, (Alive, false), None);
        check(WithOwner, 2, (Unknown, false), None);
        check(WithOwner, 90, (Alive, true), Some(Why::Expired));
        check(Keep, 1_000, (Dead, false), None);
    }
}
