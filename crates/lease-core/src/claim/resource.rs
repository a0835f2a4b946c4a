//! One resource of a claim: what was intended, what is known of it, and when its creates were sent.

use std::time::Duration;

use crate::id::ResourceId;
use crate::journal::{Disposition, Intended};
use crate::state::ResourceState;
use crate::time::{Clock, Steady, Timestamp};

/// One resource of a claim.
#[derive(Clone, Debug)]
pub struct ClaimedResource {
    pub(crate) intended: Intended,
    pub(crate) state: ResourceState,
    pub(crate) id: Option<ResourceId>,
    pub(crate) identified: bool,
    pub(crate) sent_at: Option<Moment>,
    pub(crate) last_sent_at: Option<Moment>,
    pub(crate) sends: u32,
    pub(crate) note: Option<String>,
}

/// A point in time on two clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moment {
    /// The wall clock, which can be set.
    pub at: Timestamp,
    /// The time since the boot, which cannot, where it could be read.
    pub steady: Option<Steady>,
}

impl Moment {
    /// The least time that has passed since by both clocks of `clock`; `None` when only the wall clock could tell.
    ///
    /// After a reboot the time since it is what the steady clock knows, and no more than that has passed. For a record
    /// that another machine made, its own wall clock and ours have to agree.
    pub fn least_elapsed(&self, clock: &dyn Clock) -> Option<Duration> {
        let (now, then) = (clock.steady()?, self.steady.as_ref()?);
        let steady = now.since(then).unwrap_or(Duration::from_millis(now.ms));
        Some(steady.min(clock.now().since(self.at)))
    }

    /// The most time that has passed since by either clock of `clock`; `None` when only the wall clock could tell, or
    /// when it was set back.
    pub fn most_elapsed(&self, clock: &dyn Clock) -> Option<Duration> {
        let steady = clock.steady()?.since(self.steady.as_ref()?)?;
        let now = clock.now();
        (now >= self.at).then(|| steady.max(now.since(self.at)))
    }
}

impl ClaimedResource {
    pub(super) fn begin(intended: Intended) -> Self {
        // What is only referenced exists already and is never ours to create or destroy: for the lease it is gone
        // from the start, whatever happens to it.
        let state = match intended.disposition {
            Disposition::Own => ResourceState::Intended,
            Disposition::Referenced => ResourceState::Gone,
        };
        Self {
            id: intended.id.clone(),
            intended,
            state,
            identified: false,
            sent_at: None,
            last_sent_at: None,
            sends: 0,
            note: None,
        }
    }

    /// What was journalled before it was created.
    pub fn intended(&self) -> &Intended {
        &self.intended
    }

    /// Where it stands.
    pub fn state(&self) -> ResourceState {
        self.state
    }

    /// The provider's id, once known.
    pub fn id(&self) -> Option<&ResourceId> {
        self.id.as_ref()
    }

    /// Whether the id is proven without marks: it stood in the answer to our own create, or a login with the lease's
    /// key succeeded, or a person named it.
    pub fn is_identified(&self) -> bool {
        self.identified
    }

    /// When the first create was sent.
    pub fn sent_at(&self) -> Option<&Moment> {
        self.sent_at.as_ref()
    }

    /// When the latest create was sent.
    pub fn last_sent_at(&self) -> Option<&Moment> {
        self.last_sent_at.as_ref()
    }

    /// How often a create was sent.
    pub fn sends(&self) -> u32 {
        self.sends
    }

    /// The last thing that went wrong with it.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct At(u64, Option<Steady>);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }

        fn steady(&self) -> Option<Steady> {
            self.1.clone()
        }
    }

    fn steady(boot: &str, ms: u64) -> Steady {
        Steady { boot: boot.to_owned(), ms }
    }

    #[test]
    fn the_least_time_that_passed_is_what_both_clocks_saw() {
        let sent = Moment { at: Timestamp::from_millis(10_000), steady: Some(steady("a", 5_000)) };
        let least = |now: u64, on: Steady| sent.least_elapsed(&At(now, Some(on)));
        let ms = |it: u64| Some(Duration::from_millis(it));
        assert_eq!(least(13_000, steady("a", 8_000)), ms(3_000));
        // A wall clock that was set forward, and one that was set back.
        assert_eq!(least(99_000, steady("a", 8_000)), ms(3_000));
        assert_eq!(least(10_500, steady("a", 8_000)), ms(500));
        // After a reboot the time since it counts, as far as the wall clock agrees.
        assert_eq!(least(99_000, steady("b", 2_000)), ms(2_000));
        assert_eq!(least(11_000, steady("b", 2_000)), ms(1_000));
        assert_eq!(sent.least_elapsed(&At(99_000, None)), None);
        let unknown = Moment { steady: None, ..sent.clone() };
        assert_eq!(unknown.least_elapsed(&At(99_000, Some(steady("a", 8_000)))), None);
    }

    #[test]
    fn the_most_time_that_passed_is_not_known_across_a_reboot() {
        let sent = Moment { at: Timestamp::from_millis(10_000), steady: Some(steady("a", 5_000)) };
        let most = |now: u64, on: Steady| sent.most_elapsed(&At(now, Some(on)));
        assert_eq!(most(13_000, steady("a", 9_000)), Some(Duration::from_secs(4)));
        assert_eq!(most(20_000, steady("a", 9_000)), Some(Duration::from_secs(10)));
        assert_eq!(most(9_000, steady("a", 9_000)), None);
        assert_eq!(most(13_000, steady("b", 9_000)), None);
    }
}
