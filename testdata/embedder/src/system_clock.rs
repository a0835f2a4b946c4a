//! The clock of this machine, the one that can be set and the one that cannot.

use std::fs::read_to_string;
use std::time::SystemTime;

use lease_core::{Clock, Steady, Timestamp};

/// Reads both clocks.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    /// Linux shows it as a file; elsewhere there is none, and what needs two clocks is decided the careful way.
    fn steady(&self) -> Option<Steady> {
        let boot = read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let uptime = read_to_string("/proc/uptime").ok()?;
        let (seconds, hundredths) = uptime.split_whitespace().next()?.split_once('.')?;
        let ms =
            seconds.parse::<u64>().ok()?.checked_mul(1000)? + hundredths.parse::<u64>().ok()? * 10;
        Some(Steady { boot, ms })
    }
}
