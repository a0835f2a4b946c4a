//! The one place of this crate that lets time pass.
//!
//! What a process does cannot always be waited for by an event: the death of somebody else's child has none that
//! works everywhere. So there is one polling loop, with an end.

use std::time::Duration;

use tokio::time::Instant;

/// Asks `condition` now and then every `interval` until it says yes or `time_max` has passed; says which it was.
///
/// The condition is asked one last time when the time is over, so a slow machine cannot turn a yes into a no.
///
/// # Cancel safety
///
/// Dropping the future stops the asking and has no other effect.
pub async fn until(
    time_max: Duration,
    interval: Duration,
    mut condition: impl FnMut() -> bool,
) -> bool {
    let end = Instant::now() + time_max;
    loop {
        if condition() {
            return true;
        }
        let now = Instant::now();
        if now >= end {
            return false;
        }
        pause(interval.min(end - now)).await;
    }
}

/// Lets `length` pass.
pub(crate) async fn pause(length: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate stands below lease_core::retry; its callers bound the number of pauses"
    )]
    tokio::time::sleep(length).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn asks_until_the_answer_is_yes() {
        let mut asked = 0;
        let yes = until(Duration::from_secs(10), Duration::from_millis(1), || {
            asked += 1;
            asked == 3
        });
        assert!(yes.await);
        assert_eq!(asked, 3);
    }

    #[tokio::test]
    async fn asks_at_least_once_and_gives_up() {
        let mut asked = 0;
        let no = until(Duration::ZERO, Duration::from_millis(1), || {
            asked += 1;
            false
        });
        assert!(!no.await);
        assert_eq!(asked, 1);
    }
}
