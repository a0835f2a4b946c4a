//! Looking at every known path, in parallel: the one part of a scan that runs each time.
//!
//! The directories are divided into small shares, of which each thread takes one after the other: what else runs on a
//! processor slows its thread down, and nobody shall wait for that one. With a warm cache a thread for each processor would
//! do; with a cold one each look waits for the disk, so there are more.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
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
/// How many looks a thread takes upon itself at once: about a quarter of a millisecond with a warm cache.
const SHARE: usize = 256;
/// What opening and reading a directory costs, in looks at a path.
const DIRECTORY_COST: usize = 3;
const OPEN_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Opens a directory to look at what is in it by name, where there is something cheaper than to read it.
#[cfg(target_os = "linux")]
const PASS_DIRECTORY: OFlags = OPEN_DIRECTORY.union(OFlags::PATH);
#[cfg(not(target_os = "linux"))]
const PASS_DIRECTORY: OFlags = OPEN_DIRECTORY;

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
    let shares = shares(&records.directories, SHARE);
    let next = AtomicUsize::new(0);
    let looker = Looker { records, root, want };
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(share) = shares.get(at) else { return done };
            done.push((at, looker.look(share.clone())));
        }
    };
    let mut done = thread::scope(|scope| {
        let others = (total / THREAD_PATHS_MIN).clamp(1, threads()) - 1;
        let others: Vec<_> = (0..others).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        // A thread that failed saw nothing that can be relied on.
        done.extend(others.into_iter().flat_map(|it| it.join().unwrap_or_default()));
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    let mut done = done.into_iter().peekable();
    let mut all = Seen::default();
    for (at, share) in shares.iter().enumerate() {
        let seen = done.next_if(|it| it.0 == at).map(|it| it.1);
        let seen = seen.unwrap_or_else(|| looker.look(share.clone()));
        all.directories.extend(seen.directories);
        all.records.extend(seen.records);
    }
    all
}

/// Divides the directories into consecutive shares of about that many looks.
fn shares(directories: &[Directory], share: usize) -> Vec<Range<usize>> {
    let mut shares = Vec::new();
    let (mut start, mut cost) = (0, 0);
    for (at, directory) in directories.iter().enumerate() {
        cost += (directory.end - directory.first) as usize + DIRECTORY_COST;
        if cost >= share {
            shares.push(start..at + 1);
            (start, cost) = (at + 1, 0);
        }
    }
    if start < directories.len() {
        shares.push(start..directories.len());
    }
    shares
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
        let opened = open(self.root, path, PASS_DIRECTORY)
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
        for (offset, record) in self.records.records_of(directory).enumerate() {
            let now = self.path(record, fd.as_fd());
            if let Some(now) = now {
                seen.records.push((directory.first as usize + offset, now));
            }
        }
        let began = &self.records.began;
        if self.want == Want::Changes && directory.stat == stat && began.settles(&stat) {
            return;
        }
        let names = match self.want {
            Want::Paths => Ok(Vec::new()),
            Want::Changes | Want::Everything => {
                open(fd.as_fd(), b"", OPEN_DIRECTORY).and_then(|fd| self.names(fd))
            }
        };
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

    fn names(&self, fd: OwnedFd) -> rustix::io::Result<Vec<Name>> {
        let all = self.want == Want::Changes;
        names(fd, |name, is_directory| {
            all || is_directory || matches!(name, b".gitignore" | b".git")
        })
    }
}

/// Opens a directory below `root`, not through a link at its end.
pub(crate) fn open_directory(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    open(root, path, OPEN_DIRECTORY)
}

fn open(root: BorrowedFd<'_>, path: &[u8], how: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { as_path(b".") } else { as_path(path) };
    openat(root, path, how, Mode::empty())
}

/// The names in a directory that are `wanted`, sorted.
pub(crate) fn names(
    fd: OwnedFd,
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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::manifest::{Content, Held, Kind, Manifest};

    /// A list of so many directories with four files each.
    fn records(directories: usize) -> Records {
        let held = (0..directories * 4).map(|at| Held {
            path: format!("d{:04}/f{at}", at / 4).into(),
            kind: Kind::File,
            permissions: 0o644,
            bytes: 0,
            content: Content([0; 32]),
        });
        (*Manifest::of_held(held).unwrap().0).clone()
    }

    #[test]
    fn the_shares_are_every_directory_once_and_none_is_larger_than_it_has_to_be() {
        for count in [0, 1, 7, 500] {
            let records = records(count);
            for share in [1, 10, 100, 100_000] {
                let shares = shares(&records.directories, share);
                let all: Vec<usize> = shares.iter().cloned().flatten().collect();
                assert_eq!(all, (0..records.directories.len()).collect::<Vec<_>>());
                let cost = |range: &Range<usize>| -> usize {
                    let own = records.directories[range.clone()].iter();
                    own.map(|it| (it.end - it.first) as usize + DIRECTORY_COST).sum()
                };
                for it in shares.iter().rev().skip(1) {
                    let without_last = it.start..it.end - 1;
                    assert!(cost(it) >= share && cost(&without_last) < share, "{it:?}");
                }
            }
        }
    }

    #[test]
    fn what_many_threads_see_is_everything_once_and_in_order() {
        let root = tempfile::tempdir().unwrap();
        let records = records(600);
        for directory in records.directories.iter() {
            fs::create_dir_all(root.path().join(as_path(records.directory(directory)))).unwrap();
        }
        for record in records.records.iter() {
            File::create(root.path().join(as_path(records.path(record)))).unwrap();
        }
        let gone = records.path(&records.records[1234]).to_vec();
        fs::remove_file(root.path().join(as_path(&gone))).unwrap();
        let open = File::open(root.path()).unwrap();
        let seen = look(&records, open.as_fd(), Want::Everything);
        assert!(seen.records.iter().map(|it| it.0).eq(0..records.records.len()));
        assert!(seen.directories.iter().map(|it| it.0).eq(0..records.directories.len()));
        for (at, it) in seen.records {
            assert_eq!(matches!(it, PathSeen::Gone), at == 1234, "{at}: {it:?}");
        }
    }
}
