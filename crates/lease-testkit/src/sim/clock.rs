//! Clocks: one that follows tokio's paused time and can be made to jump, and the real one for suites on real machines.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use lease_core::{Clock, Steady, Timestamp};
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z.
const START_MS: u64 = 1_767_225_600_000;

/// A wall clock that goes as tokio's clock goes, and that jumps when it is told to. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct SimClock {
    started: Instant,
    offset_ms: Arc<AtomicI64>,
}

impl SimClock {
    /// A clock that starts now. Must be called inside a tokio runtime.
    #[expect(
        clippy::new_without_default,
        reason = "a default would hide that it reads the runtime's clock"
    )]
    pub fn new() -> Self {
        Self { started: Instant::now(), offset_ms: Arc::default() }
    }

    /// Jumps by so many milliseconds, forward or back.
    pub fn jump_ms(&self, ms: i64) {
        self.offset_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = Timestamp::from_millis(START_MS).after(self.started.elapsed()).as_millis();
        let offset = self.offset_ms.load(Ordering::SeqCst);
        Timestamp::from_millis(elapsed.saturating_add_signed(offset))
    }

    fn steady(&self) -> Option<Steady> {
        let ms = lease_core::time::millis(self.started.elapsed());
        Some(Steady { boot: "simulated".to_owned(), ms })
    }
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "suites on real machines need the real time")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp::from_millis(0).after(since.unwrap_or(Duration::ZERO))
    }

    fn steady(&self) -> Option<Steady> {
        None
    }
}
