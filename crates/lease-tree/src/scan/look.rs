//! Looking at every known path, in parallel: the one part of a scan that runs each time.
//!
//! The directories are divided among the threads beforehand. With a warm cache two threads would do; with a cold one each
//! look waits for the disk, so there are more threads than processors.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::manifest::{Directory, DirectoryState, Record, Records, Slot};
use crate::order::{as_path, split};
use crate::stat::Stat;

/// How many looks go on at once at the most; a slow file system is waited for in several places then.
const THREADS: usize = 8;
/// How many on each processor.
const THREADS_EACH: usize = 2;
/// Below this a thread costs more than it saves.
const THREAD_PATHS_MIN: usize = 512;
/// What opening and reading a directory costs, in looks at a path.
const DIRECTORY_COST: usize = 3;
const OPEN_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Only what differs from the records, or is too young to be believed; of a directory that does, all names.
    Changes,
    /// Everything; of the directories, the names that matter to a list.
    Everything,
    /// Everything, without any names.
    Paths,
}

/// What was seen, by index into the records.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) directories: Vec<(usize, DirectorySeen)>,
    pub(crate) records: Vec<(usize, PathSeen)>,
}

/// A directory as it is now.
#[derive(Debug)]
pub(crate) enum DirectorySeen {
    /// Its stamps from before its names were read.
    There { stat: Stat, names: Vec<Name> },
    /// It is not there, or no directory any more.
    Gone,
    /// It cannot be looked into.
    Closed,
}

/// A path as it is now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PathSeen {
    There(Stat),
    Gone,
    Failed,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) name: Vec<u8>,
    pub(crate) is_directory: bool,
}

/// More threads than this wait for each other where the file system does not.
fn threads() -> usize {
    thread::available_parallelism().map_or(THREADS, |it| (it.get() * THREADS_EACH).min(THREADS))
}

/// Looks at all directories and paths of the records below `root`.
pub(crate) fn look(records: &Records, root: BorrowedFd<'_>, want: Want) -> Seen {
    let total = records.records.len() + records.directories.len() * DIRECTORY_COST;
    let parts = (total / THREAD_PATHS_MIN).clamp(1, threads());
    let mut ranges = ranges(&records.directories, total.div_ceil(parts));
    let Some(last) = ranges.pop() else { return Seen::default() };
    thread::scope(|scope| {
        let part = |range: Range<usize>| Looker { records, root, want }.look(range);
        let others: Vec<_> = ranges
            .into_iter()
            .map(|range| (range.clone(), scope.spawn(move || part(range))))
            .collect();
        let last = part(last);
        let mut all = Seen::default();
        for (range, other) in others {
            // A thread that failed saw nothing that can be relied on; its share is looked at again here.
            let seen = other.join().unwrap_or_else(|_| part(range));
            all.directories.extend(seen.directories);
            all.records.extend(seen.records);
        }
        all.directories.extend(last.directories);
        all.records.extend(last.records);
        all
    })
}

/// Divides the directories into consecutive shares of about that many looks.
fn ranges(directories: &[Directory], share: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut cost) = (0, 0);
    for (at, directory) in directories.iter().enumerate() {
        cost += (directory.end - directory.first) as usize + DIRECTORY_COST;
        if cost >= share {
            ranges.push(start..at + 1);
            (start, cost) = (at + 1, 0);
        }
    }
    if start < directories.len() {
        ranges.push(start..directories.len());
    }
    ranges
}

struct Looker<'a> {
    records: &'a Records,
    root: BorrowedFd<'a>,
    want: Want,
}

impl Looker<'_> {
    fn look(&self, range: Range<usize>) -> Seen {
        let mut seen = Seen::default();
        for at in range {
            let directory = &self.records.directories[at];
            if directory.state != DirectoryState::Ignored {
                self.directory(at, directory, &mut seen);
            }
        }
        seen
    }

    fn directory(&self, at: usize, directory: &Directory, seen: &mut Seen) {
        let path = self.records.directory(directory);
        let opened = open_directory(self.root, path)
            .and_then(|fd| Ok((Stat::from(&rustix::fs::fstat(&fd)?), fd)));
        let (stat, fd) = match opened {
            Ok(it) => it,
            Err(errno) => {
                let gone = matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP);
                let it = if gone { DirectorySeen::Gone } else { DirectorySeen::Closed };
                seen.directories.push((at, it));
                let each = if gone { PathSeen::Gone } else { PathSeen::Failed };
                let range = directory.first as usize..directory.end as usize;
                seen.records.extend(range.map(|it| (it, each)));
                return;
            }
        };
        for (offset, record) in self.records.records_of(directory).iter().enumerate() {
            let now = self.path(record, fd.as_fd());
            if let Some(now) = now {
                seen.records.push((directory.first as usize + offset, now));
            }
        }
        let began = &self.records.began;
        if self.want == Want::Changes && directory.stat == stat && began.settles(&stat) {
            return;
        }
        let names = if self.want == Want::Paths { Ok(Vec::new()) } else { self.names(fd) };
        let it = names.map_or(DirectorySeen::Closed, |names| DirectorySeen::There { stat, names });
        seen.directories.push((at, it));
    }

    /// How the path is now; `None` when that is known.
    fn path(&self, record: &Record, directory: BorrowedFd<'_>) -> Option<PathSeen> {
        let name = split(self.records.path(record)).1;
        let now = match statat(directory, as_path(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(raw) => Stat::from(&raw),
            Err(Errno::NOENT) => return Some(PathSeen::Gone),
            Err(_) => return Some(PathSeen::Failed),
        };
        // Something that is not sent has no content to know; its directory says when it changes.
        let known = record.content.is_some() || record.slot.kind().is_none();
        let same = record.stat == now && known && self.records.began.settles(&now)
            || record.slot == Slot::EmptySubmodule && now.is_directory();
        (self.want != Want::Changes || !same).then_some(PathSeen::There(now))
    }

    fn names(&self, fd: std::os::fd::OwnedFd) -> rustix::io::Result<Vec<Name>> {
        let all = self.want == Want::Changes;
        names(fd, |name, is_directory| {
            all || is_directory || matches!(name, b".gitignore" | b".git")
        })
    }
}

/// Opens a directory below `root`, not through a link at its end.
pub(crate) fn open_directory(
    root: BorrowedFd<'_>,
    path: &[u8],
) -> rustix::io::Result<std::os::fd::OwnedFd> {
    let path = if path.is_empty() { as_path(b".") } else { as_path(path) };
    openat(root, path, OPEN_DIRECTORY, Mode::empty())
}

/// The names in a directory that are `wanted`, sorted.
pub(crate) fn names(
    fd: std::os::fd::OwnedFd,
    wanted: impl Fn(&[u8], bool) -> bool,
) -> rustix::io::Result<Vec<Name>> {
    let mut directory = Dir::new(fd)?;
    let mut names = Vec::new();
    while let Some(entry) = directory.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let mut file_type = entry.file_type();
        if file_type == FileType::Unknown {
            let fd = directory.fd()?;
            match statat(fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(raw) => file_type = Stat::from(&raw).file_type(),
                Err(_) => continue,
            }
        }
        let is_directory = file_type == FileType::Directory;
        if wanted(name, is_directory) {
            names.push(Name { name: name.to_vec(), is_directory });
        }
    }
    names.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(names)
}
