//! Modes and times as they travel: permission bits and whole seconds. The widths of these fields differ between systems.

use rustix::fs::{Mode, Stat, Timespec, Timestamps};

/// Set-user-id and its kin do not travel.
const PERMISSION_BITS: u32 = 0o777;

/// The permission bits of a number that somebody else wrote.
pub(super) fn mode_of(bits: u32) -> Mode {
    (0..9)
        .filter(|bit| bits & PERMISSION_BITS & (1 << bit) != 0)
        .fold(Mode::empty(), |mode, bit| mode | Mode::from_raw_mode(1 << bit))
}

pub(super) fn permissions(stat: &Stat) -> u32 {
    u32::try_from(wide(stat.st_mode)).unwrap_or_default() & PERMISSION_BITS
}

pub(super) fn mtime(stat: &Stat) -> u64 {
    u64::try_from(wide(stat.st_mtime)).unwrap_or_default()
}

pub(super) fn bytes(stat: &Stat) -> u64 {
    u64::try_from(wide(stat.st_size)).unwrap_or_default()
}

/// A modification time in whole seconds, with the time of access as it is.
pub(super) fn times(mtime: u64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: i64::try_from(mtime).unwrap_or(0), tv_nsec: 0 },
    }
}

fn wide(field: impl Into<i128>) -> i128 {
    field.into()
}
