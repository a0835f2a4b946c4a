//! Wall-clock time as data: libraries never read the clock, they are given one.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A point in wall-clock time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Makes a timestamp from milliseconds since the Unix epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time `span` later; stays at the end of time rather than wrap.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// How much later `self` is than `earlier`; zero when it is not later (clocks step back).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A time before the epoch is the epoch: no lease is that old.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()))
    }
}

/// A reading of a clock that nobody can set: the time since a boot of this machine, sleep included.
///
/// Two readings of the same boot tell how much time passed between two processes, whatever happened to the wall clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steady {
    /// The kernel's id of the boot.
    pub boot: String,
    /// Milliseconds since that boot.
    pub ms: u64,
}

impl Steady {
    /// How much time passed since `earlier`; `None` when the two are of different boots.
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        let same = self.boot == earlier.boot;
        same.then(|| Duration::from_millis(self.ms.saturating_sub(earlier.ms)))
    }
}

/// Whole milliseconds of a span; spans beyond 584 million years saturate.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Where the engine learns what time it is.
///
/// Only record times and deadlines come from here. How long the engine waits is measured on tokio's monotonic clock, so
/// a step of the wall clock can neither shorten a settling time nor hang a wait.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The wall-clock time now.
    fn now(&self) -> Timestamp;

    /// The time since the boot now; `None` where no such clock can be read. What is decided by two clocks is then
    /// decided the careful way.
    fn steady(&self) -> Option<Steady>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_time_before_the_epoch_is_the_epoch() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH + second).as_millis(), 1_000);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH - second).as_millis(), 0);
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let start = Timestamp::from_millis(1_000);
        assert_eq!(start.after(Duration::from_secs(2)).as_millis(), 3_000);
        assert_eq!(start.since(Timestamp::from_millis(5_000)), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(u64::MAX).after(Duration::MAX).as_millis(), u64::MAX);
    }
}
