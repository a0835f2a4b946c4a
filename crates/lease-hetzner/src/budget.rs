//! How many requests are left, and what may still spend them: deletions must not find the project's hour used up.
//!
//! Hetzner documents 3600 requests an hour for a project, given back one a second, and says with each answer how many
//! are left. Creating, planning and relabelling stop while only the reserve is left. Looking and deleting do not: a look
//! may be what a deletion waits for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lease_core::{Error, ErrorKind};
use lease_http::RateLimit;
use tokio::time::Instant;

/// How many requests an hour has, if an answer does not say.
const LIMIT: u64 = 3_600;

const SECONDS_PER_HOUR: f64 = 3_600.0;

/// What the last answer said, and when.
#[derive(Clone, Copy, Debug)]
struct Told {
    remaining: u64,
    limit: u64,
    at: Instant,
}

/// The requests of the project, as far as the last answer told.
#[derive(Debug)]
pub(crate) struct Budget {
    reserve: u64,
    told: Mutex<Option<Told>>,
}

impl Budget {
    pub(crate) fn new(reserve: u64) -> Self {
        Self { reserve, told: Mutex::new(None) }
    }

    /// Notes what an answer said. One that says nothing changes nothing.
    pub(crate) fn note(&self, rate: RateLimit) {
        let Some(remaining) = rate.remaining else { return };
        let limit = rate.limit.filter(|it| *it > 0).unwrap_or(LIMIT);
        let told = Told { remaining, limit, at: Instant::now() };
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    /// What the last answer said: how many are left of how many.
    pub(crate) fn left(&self) -> Option<(u64, u64)> {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.map(|it| (it.remaining, it.limit))
    }

    /// Lets something through that could also wait.
    pub(crate) fn spend(&self, operation: &'static str) -> Result<(), Error> {
        let Some(wait) = self.wait() else { return Ok(()) };
        let message = format!(
            "the rate limit of the project is nearly used up, and the rest is kept for deletions; try again in {} s",
            wait.as_secs()
        );
        let error = Error::harmless(ErrorKind::Unavailable, operation, message);
        Err(error.with_retry_after(wait))
    }

    /// How long it takes until more than the reserve is left; `None` when more is left already.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the numbers are requests of an hour, far below the 52 bits of a float"
    )]
    fn wait(&self) -> Option<Duration> {
        let told = (*self.told.lock().unwrap_or_else(PoisonError::into_inner))?;
        // A reserve as large as the hour itself would never let anything through.
        let wanted = (self.reserve.min(told.limit / 2) + 1) as f64;
        let per_second = told.limit as f64 / SECONDS_PER_HOUR;
        let left = told.remaining as f64 + told.at.elapsed().as_secs_f64() * per_second;
        let missing = (wanted - left) / per_second;
        (missing > 0.0).then(|| Duration::from_secs_f64(missing.min(SECONDS_PER_HOUR).ceil()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(limit: u64, remaining: u64, reserve: u64) -> Budget {
        let budget = Budget::new(reserve);
        budget.note(RateLimit { limit: Some(limit), remaining: Some(remaining), reset: None });
        budget
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_wait_stops_at_the_reserve_and_goes_on_as_requests_come_back() {
        let budget = told(3600, 150, 200);
        let error = budget.spend("plan").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.asked_to_wait(), Some(Duration::from_secs(51)));
        tokio::time::advance(Duration::from_secs(50)).await;
        assert!(budget.spend("plan").is_err());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(budget.spend("plan").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_says_nothing_stops_nothing() {
        let budget = Budget::new(200);
        budget.note(RateLimit::default());
        assert!(budget.spend("plan").is_ok());
        assert_eq!(budget.left(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reserve_never_swallows_a_small_limit() {
        assert!(told(100, 60, 200).spend("plan").is_ok());
        assert!(told(100, 50, 200).spend("plan").is_err());
        assert!(told(3600, 0, 0).spend("plan").is_err());
    }
}
