//! The bounds of this crate's loops.

use std::time::Duration;

use lease_core::retry::Bounds;

/// Attempts to log in: from 100 ms, growing by half, every two seconds at most.
pub(crate) fn attempts(within: Duration) -> Bounds {
    Bounds::within(within).paused(Duration::from_millis(100), Duration::from_secs(2))
}

/// Looking whether something local or on the box has happened that takes milliseconds.
pub(crate) fn looks(within: Duration) -> Bounds {
    Bounds::within(within).paused(Duration::from_millis(20), Duration::from_millis(200))
}
