//! What the other side's clock shows, and whether ours agrees: leases end by the clock, and a wrong one ends live boxes.

use std::time::Duration;

use lease_core::Timestamp;
use lease_core::provider::{Check, Verdict};
use tokio::time::Instant;

/// A difference that answers which took long can have.
const SKEW_COMFORTABLE: Duration = Duration::from_secs(60);

/// A difference from which on leases end noticeably early or late.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// A time that the other side told, and when we read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    time: Timestamp,
    at: Instant,
}

impl Told {
    /// The date of an answer that has just come, in seconds since the Unix epoch.
    pub(crate) fn just_now(date_secs: u64) -> Self {
        Self { time: Timestamp::from_millis(date_secs.saturating_mul(1000)), at: Instant::now() }
    }

    /// What that clock shows by now.
    pub(crate) fn by_now(self) -> Timestamp {
        self.time.after(self.at.elapsed())
    }
}

/// Compares our clock with that of somebody else, for `doctor`.
pub(crate) fn compare(whose: &str, theirs: Timestamp, ours: Timestamp) -> Check {
    const NAME: &str = "clock";
    let (skew, side) = if ours > theirs {
        (ours.since(theirs), "ahead of")
    } else {
        (theirs.since(ours), "behind")
    };
    let verdict = match skew {
        skew if skew > SKEW_MAX => Verdict::Problem,
        skew if skew > SKEW_COMFORTABLE => Verdict::Warning,
        _ => return Check::new(NAME, Verdict::Ok, format!("this clock agrees with {whose}")),
    };
    let detail = format!(
        "this clock is {} s {side} the one of {whose}, so leases end at the wrong time; run: sudo timedatectl set-ntp true",
        skew.as_secs()
    );
    Check::new(NAME, verdict, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ours_secs: u64, verdict: Verdict, words: &str) {
        let at = |secs: u64| Timestamp::from_millis(secs * 1000);
        let found = compare("the cloud", at(1_000_000), at(ours_secs));
        assert!(found.verdict == verdict && found.detail.contains(words), "{found:?}");
    }

    #[test]
    fn a_clock_that_is_off_is_told_in_both_directions() {
        check(1_000_000, Verdict::Ok, "agrees");
        check(1_000_060, Verdict::Ok, "agrees");
        check(1_000_061, Verdict::Warning, "61 s ahead of");
        check(1_000_301, Verdict::Problem, "301 s ahead of");
        check(999_939, Verdict::Warning, "61 s behind");
        check(996_400, Verdict::Problem, "3600 s behind the one of the cloud");
        check(0, Verdict::Problem, "set-ntp true");
    }

    #[tokio::test(start_paused = true)]
    async fn a_told_time_goes_on() {
        let told = Told::just_now(1_000);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(told.by_now(), Timestamp::from_millis(1_005_000));
    }
}
