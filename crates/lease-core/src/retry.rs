//! The only place that waits: every loop of the workspace is paced here, with attempts and a deadline.

use std::time::Duration;

use tokio::time::Instant;

/// The bounds of a loop. Both are limits; whichever is met first ends the loop.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Bounds {
    /// How long the loop may take in all, in monotonic time.
    pub deadline: Duration,
    /// How many turns it may take.
    pub turns_max: u32,
    /// The first pause.
    pub pause_first: Duration,
    /// The longest pause.
    pub pause_max: Duration,
}

impl Bounds {
    /// A loop that may take `deadline`, with pauses growing by half from 100 ms to 2 s.
    pub const fn within(deadline: Duration) -> Self {
        Self {
            deadline,
            turns_max: 100_000,
            pause_first: Duration::from_millis(100),
            pause_max: Duration::from_secs(2),
        }
    }

    /// The same with other pauses.
    #[must_use]
    pub const fn paused(mut self, first: Duration, max: Duration) -> Self {
        self.pause_first = first;
        self.pause_max = max;
        self
    }
}

/// The pacemaker of one loop.
///
/// ```
/// # use std::time::Duration;
/// # use lease_core::retry::{Bounds, Pace};
/// # async fn poll() -> bool { true }
/// # async fn wait_for_it() -> bool {
/// let mut pace = Pace::start(Bounds::within(Duration::from_secs(30)));
/// while !poll().await {
///     if !pace.wait(None).await {
///         return false;
///     }
/// }
/// true
/// # }
/// ```
#[derive(Debug)]
pub struct Pace {
    bounds: Bounds,
    started: Instant,
    pause: Duration,
    turns: u32,
}

impl Pace {
    /// Starts the clock of a loop.
    pub fn start(bounds: Bounds) -> Self {
        Self { bounds, started: Instant::now(), pause: bounds.pause_first, turns: 0 }
    }

    /// Waits before the next turn: the growing pause, or `at_least` when the other side asked for more. Returns `false`
    /// without waiting when no further turn is allowed, or when the other side asked for more time than there is.
    ///
    /// # Cancel safety
    /// A cancelled wait used up its turn and nothing else.
    pub async fn wait(&mut self, at_least: Option<Duration>) -> bool {
        self.turns = self.turns.saturating_add(1);
        let left = self.left();
        if self.turns >= self.bounds.turns_max || left.is_zero() {
            return false;
        }
        // What the other side asked for cannot be waited for here; whoever comes later does.
        if at_least.is_some_and(|it| it > left) {
            return false;
        }
        let wanted = at_least.unwrap_or_default().max(self.pause);
        self.pause = (self.pause.mul_f64(1.5)).min(self.bounds.pause_max);
        // The last turn happens at the deadline itself, so that nothing is missed between the last pause and the end.
        pause(wanted.min(left)).await;
        true
    }

    /// How long the loop has been going on.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long it may still go on.
    pub fn left(&self) -> Duration {
        self.bounds.deadline.saturating_sub(self.started.elapsed())
    }
}

/// Waits once.
///
/// # Cancel safety
/// It only waits.
#[expect(clippy::disallowed_methods, reason = "this is the door that the rule names")]
pub async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

/// The wait before attempt number `attempt` (from 0) of something that is repeated over days: doubling from `first`.
pub fn backoff(attempt: u32, first: Duration, max: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(attempt.min(20))).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_ends_at_its_deadline_with_one_last_turn() {
        let mut pace = Pace::start(Bounds::within(Duration::from_secs(10)));
        let mut turns = 0;
        while pace.wait(None).await {
            turns += 1;
        }
        assert_eq!(pace.elapsed(), Duration::from_secs(10));
        assert!((8..20).contains(&turns), "{turns}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_ends_after_its_turns() {
        let mut pace =
            Pace::start(Bounds { turns_max: 3, ..Bounds::within(Duration::from_secs(1_000)) });
        assert!(pace.wait(None).await);
        assert!(pace.wait(Some(Duration::from_secs(5))).await);
        assert!(!pace.wait(None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_deadline_is_not_begun() {
        let mut pace = Pace::start(Bounds::within(Duration::from_secs(10)));
        assert!(pace.wait(Some(Duration::from_secs(4))).await);
        assert!(!pace.wait(Some(Duration::from_secs(3600))).await);
        assert_eq!(pace.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_ends_with_the_deadline_is_made() {
        let mut pace = Pace::start(Bounds::within(Duration::from_secs(10)));
        assert!(pace.wait(Some(Duration::from_secs(10))).await);
        assert_eq!((pace.elapsed(), pace.left()), (Duration::from_secs(10), Duration::ZERO));
        assert!(!pace.wait(None).await);
    }

    #[test]
    fn backoff_doubles_to_its_cap() {
        let (first, max) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(backoff(0, first, max), first);
        assert_eq!(backoff(3, first, max), Duration::from_secs(8));
        assert_eq!(backoff(40, first, max), max);
    }
}
