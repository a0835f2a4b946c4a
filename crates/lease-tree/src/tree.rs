//! What a caller says about a tree, and what it learns about files that will not be on the box.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// A local directory whose files are wanted on a box.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The directory. It is only read.
    pub root: PathBuf,
    /// The environment that git gets: `PATH` finds it, `HOME` holds its configuration.
    pub environment: Vec<(OsString, OsString)>,
    /// What is left out beside what `.leaseignore` says, in the same syntax.
    pub ignore: Vec<String>,
}

/// Where the list of files came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// git: what it tracks, and what it neither tracks nor ignores.
    Git,
    /// A walk through the directory that honours `.gitignore` files.
    Walk {
        /// Why git was not asked.
        why: &'static str,
    },
}

/// Something that is not sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Skipped {
    /// Its path, relative to the tree.
    pub path: PathBuf,
    /// Why not.
    pub why: WhySkipped,
}

/// Why something is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhySkipped {
    /// A socket, FIFO or device.
    Special,
    /// It cannot be read.
    Unreadable,
    /// It kept changing while it was read.
    Changing,
    /// It was there when the tree was listed and is not any more.
    Vanished,
    /// A submodule that is not checked out.
    EmptySubmodule,
}

impl WhySkipped {
    /// Why a path of the list could not be opened or read.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::NOTDIR) => Self::Vanished,
            // Something else stands there now: a symbolic link, a file, a directory, a socket.
            Some(Errno::LOOP | Errno::INVAL | Errno::ISDIR | Errno::NXIO) => Self::Changing,
            _ => Self::Unreadable,
        }
    }
}

/// Whether a path stays below the directory it is relative to, and is written in the one way that we write.
pub fn is_inside(path: &[u8]) -> bool {
    !path.is_empty()
        && !path.contains(&0)
        && path.split(|it| *it == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_outside_is_known() {
        for good in [&b"a"[..], b"a/b", b"-rf", b"...", b"\xff", b".a"] {
            assert!(is_inside(good), "{good:?}");
        }
        for bad in [&b""[..], b"/a", b"../a", b"a/../b", b"a//b", b"./a", b"a/", b"a\0b"] {
            assert!(!is_inside(bad), "{bad:?}");
        }
    }
}
