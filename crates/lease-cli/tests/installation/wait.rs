//! Waiting for a condition until a deadline, the one place of the tests that sleeps.

use std::time::Duration;

use tokio::time::Instant;

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A moment after which waiting is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    pub(crate) fn is_over(self) -> bool {
        Instant::now() >= self.0
    }
}

/// Looks until the condition holds; the pauses grow to 50 ms.
///
/// # Errors
/// When it did not hold in time.
pub(crate) fn eventually(deadline: Deadline, holds: impl FnMut() -> bool) -> Result<(), ()> {
    look(deadline, (LOOK_EVERY, LOOK_EVERY * 10), holds)
}

/// The same for a condition that is met at the moment when it holds: the pauses stay at 1 ms.
///
/// # Errors
/// When it did not hold in time.
pub(crate) fn closely(deadline: Deadline, holds: impl FnMut() -> bool) -> Result<(), ()> {
    look(deadline, (LOOK_EVERY / 5, LOOK_EVERY / 5), holds)
}

#[expect(clippy::disallowed_methods, reason = "a test waits for a condition and has no runtime")]
fn look(
    deadline: Deadline,
    (mut pause, pause_max): (Duration, Duration),
    mut holds: impl FnMut() -> bool,
) -> Result<(), ()> {
    loop {
        if holds() {
            return Ok(());
        }
        if deadline.is_over() {
            return Err(());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(pause_max);
    }
}
