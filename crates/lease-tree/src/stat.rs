//! What the file system says about a path without reading it, and when that is enough.

use std::os::fd::AsFd;

use rustix::fs::FileType;

const NANOSECONDS: i64 = 1_000_000_000;
/// Stamps lag behind the clock by up to one tick of the kernel, which is ten milliseconds at most.
const TICK: i64 = 20_000_000;
/// File systems that keep whole seconds, or pairs of them, as FAT does.
const COARSE: i64 = 2_500_000_000;
/// The clock of another machine.
const FOREIGN_CLOCK: i64 = 60 * NANOSECONDS;

/// The stamps of one path. Two equal ones that are old enough mean equal content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) mode: u32,
    pub(crate) bytes: u64,
    /// Nanoseconds since the epoch; stays at the end of the range rather than wrap.
    pub(crate) mtime: i64,
    pub(crate) ctime: i64,
    pub(crate) ino: u64,
    pub(crate) dev: u64,
}

impl Stat {
    pub(crate) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    fn youngest(&self) -> i64 {
        self.mtime.max(self.ctime)
    }
}

impl From<&rustix::fs::Stat> for Stat {
    fn from(raw: &rustix::fs::Stat) -> Self {
        Self {
            mode: number(raw.st_mode),
            bytes: number(raw.st_size),
            mtime: nanoseconds(raw.st_mtime, raw.st_mtime_nsec),
            ctime: nanoseconds(raw.st_ctime, raw.st_ctime_nsec),
            ino: number(raw.st_ino),
            dev: number(raw.st_dev),
        }
    }
}

/// The widths of these fields differ between operating systems; what does not fit is a file of its own kind.
fn number<N: TryFrom<i128> + Default>(field: impl Into<i128>) -> N {
    N::try_from(field.into()).unwrap_or_default()
}

fn nanoseconds(seconds: impl Into<i128>, rest: impl Into<i128>) -> i64 {
    let whole = seconds.into() * i128::from(NANOSECONDS) + rest.into();
    i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
}

/// The moment a scan began, as far as stamps can be compared with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Began {
    /// Nanoseconds since the epoch, less the margin for the file system's clock. The default trusts nothing.
    pub(crate) before: Option<i64>,
    /// The device of the tree's root; other devices get the margin of a foreign clock.
    pub(crate) dev: u64,
}

impl Began {
    /// At `now_ms`, for a tree whose root is open as `root`.
    pub(crate) fn at(now_ms: u64, root: impl AsFd) -> Self {
        let now = i64::try_from(now_ms).unwrap_or(0).saturating_mul(1_000_000);
        let Ok(stat) = rustix::fs::fstat(&root) else { return Self::default() };
        let margin = if has_our_clock(root) { TICK } else { FOREIGN_CLOCK };
        Self { before: Some(now.saturating_sub(margin)), dev: Stat::from(&stat).dev }
    }

    /// Whether what had these stamps when it was looked at cannot have changed later without changing them.
    pub(crate) fn settles(&self, stat: &Stat) -> bool {
        let Some(mut before) = self.before else { return false };
        if stat.dev != self.dev {
            before = before.saturating_sub(FOREIGN_CLOCK);
        }
        if stat.mtime % NANOSECONDS == 0 && stat.ctime % NANOSECONDS == 0 {
            before = before.saturating_sub(COARSE);
        }
        stat.youngest() < before
    }
}

/// Whether the file system is known to stamp files with this kernel's clock.
#[cfg(target_os = "linux")]
fn has_our_clock(root: impl AsFd) -> bool {
    // The numbers are those of statfs(2): ext, xfs, btrfs, tmpfs, overlay, f2fs, zfs, bcachefs.
    const LOCAL: &[i128] = &[
        0xEF53,
        0x5846_5342,
        0x9123_683E,
        0x0102_1994,
        0x794C_7630,
        0xF2F5_2010,
        0x2FC1_2FC1,
        0xCA45_1A4E,
    ];
    rustix::fs::fstatfs(root).is_ok_and(|it| LOCAL.contains(&i128::from(it.f_type)))
}

#[cfg(not(target_os = "linux"))]
fn has_our_clock(_root: impl AsFd) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mtime: i64, ctime: i64) -> Stat {
        Stat { mtime, ctime, dev: 1, ..Stat::default() }
    }

    #[test]
    fn what_is_as_young_as_the_scan_is_not_believed() {
        let began = Began { before: Some(5_000_000_001), dev: 1 };
        assert!(began.settles(&stat(4_999_999_999, 5_000_000_000)));
        assert!(!began.settles(&stat(5_000_000_001, 1)));
        assert!(!began.settles(&stat(1, 5_000_000_001)));
        assert!(!Began::default().settles(&stat(1, 1)));
    }

    #[test]
    fn coarse_and_foreign_clocks_get_a_margin() {
        let began = Began { before: Some(100 * NANOSECONDS), dev: 1 };
        assert!(!began.settles(&stat(98 * NANOSECONDS, 98 * NANOSECONDS)));
        assert!(began.settles(&stat(97 * NANOSECONDS, 97 * NANOSECONDS)));
        let elsewhere = Stat { dev: 2, ..stat(50 * NANOSECONDS + 1, 1) };
        assert!(!began.settles(&elsewhere));
    }

    #[test]
    fn times_beyond_the_range_stay_at_its_end() {
        assert_eq!(nanoseconds(i64::MAX, 5_i64), i64::MAX);
        assert_eq!(nanoseconds(-1_i64, 5_i64), -999_999_995);
    }
}
