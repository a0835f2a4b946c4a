//! The records of a manifest in memory: flat arrays, ordered by directory and name, with all paths in two strings.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use super::{Content, Held, Kind, Shared};
use crate::order;
use crate::stat::{Began, Stat};
use crate::tree::{WhySkipped, is_inside};

/// What a listed path is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    File,
    Link,
    /// A socket, FIFO or device.
    Special,
    Unreadable,
    /// A submodule that is not checked out.
    EmptySubmodule,
}

impl Slot {
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::File => Some(Kind::File),
            Self::Link => Some(Kind::Link),
            Self::Special | Self::Unreadable | Self::EmptySubmodule => None,
        }
    }

    /// Why it is not sent.
    pub(crate) fn skipped(self) -> Option<WhySkipped> {
        match self {
            Self::File | Self::Link => None,
            Self::Special => Some(WhySkipped::Special),
            Self::Unreadable => Some(WhySkipped::Unreadable),
            Self::EmptySubmodule => Some(WhySkipped::EmptySubmodule),
        }
    }
}

/// One listed path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Record {
    /// Where its path ends among the paths; it begins where the one before ends.
    pub(crate) path: Span,
    pub(crate) slot: Slot,
    pub(crate) stat: Stat,
    pub(crate) content: Option<Content>,
}

/// A piece of a string of paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What a directory means to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectoryState {
    /// Files in it are listed unless they are ignored.
    Open,
    /// Nothing in it is listed, whatever is in it: only its name is kept.
    Ignored,
    /// Something that another list would have to be asked about; a change in it leads to a new list.
    Foreign,
}

/// One directory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Directory {
    pub(crate) path: Span,
    pub(crate) state: DirectoryState,
    pub(crate) stat: Stat,
    /// Which of the records are in it.
    pub(crate) first: u32,
    pub(crate) end: u32,
    /// The directory above it; the root is its own.
    pub(crate) parent: u32,
    /// The repository that lists it.
    pub(crate) repository: u32,
}

/// How a file that decides the list is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookHow {
    /// Through symbolic links, as git reads its configuration.
    Through,
    /// The path itself, as git reads `.gitignore`.
    Itself,
    /// Through links, and of a directory only which one it is: its times change with everything in it.
    Identity,
    /// An index: when it changed, what it tracks is compared.
    Index,
}

/// A file that decides the list, and how it was when the list was made; `None` when it was not there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stamp {
    /// An absolute path.
    pub(crate) path: Vec<u8>,
    pub(crate) how: LookHow,
    pub(crate) seen: Option<Stat>,
    /// The repository whose index it is.
    pub(crate) repository: u32,
}

/// A repository that lists a part of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repository {
    /// Where it is, relative to the tree.
    pub(crate) prefix: Vec<u8>,
    /// A hash of what its index tracks.
    pub(crate) tracked: [u8; 32],
}

/// Under which conditions the list of paths holds as long as the directories do not change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rules {
    /// A hash of what the caller decided: root, patterns, environment.
    pub(crate) inputs: [u8; 32],
    pub(crate) repositories: Vec<Repository>,
    pub(crate) stamps: Vec<Stamp>,
}

/// The content of a manifest. A copy shares what neither of the two changes.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the records are what the rest is there for")]
pub(crate) struct Records {
    pub(crate) began: Began,
    /// `None`: the list must be made anew each time.
    pub(crate) rules: Option<Rules>,
    pub(crate) directories: Arc<Vec<Directory>>,
    pub(crate) records: Shared<Record>,
    pub(crate) directory_paths: Arc<Vec<u8>>,
    pub(crate) paths: Arc<Vec<u8>>,
}

/// A directory that is to become part of a manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectoryDraft<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) state: DirectoryState,
    pub(crate) stat: Stat,
    pub(crate) repository: u32,
}

/// A path that is to become part of a manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryDraft<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) slot: Slot,
    pub(crate) stat: Stat,
    pub(crate) content: Option<Content>,
}

impl Records {
    /// Puts a manifest together from directories in [`order::compare`] order, parents included, and entries in
    /// [`order::by_directory`] order. `None` when an entry has no directory, or paths are twice or too long.
    pub(crate) fn assemble(
        began: Began,
        rules: Option<Rules>,
        directories: &[DirectoryDraft<'_>],
        entries: &[EntryDraft<'_>],
    ) -> Option<Self> {
        let mut done: Vec<Directory> = Vec::with_capacity(directories.len());
        let mut records: Vec<Record> = Vec::with_capacity(entries.len());
        let total = |lengths: &mut dyn Iterator<Item = usize>| lengths.sum::<usize>();
        let bytes = total(&mut directories.iter().map(|it| it.path.len()));
        let mut directory_paths = Vec::with_capacity(bytes);
        let bytes = total(&mut entries.iter().map(|it| it.path.len()));
        let mut paths = Vec::with_capacity(bytes);
        let mut left = entries.iter().peekable();
        let mut above: Vec<u32> = Vec::new();
        for draft in directories {
            let own = u32::try_from(done.len()).ok()?;
            let path = push(&mut directory_paths, draft.path)?;
            while let Some(top) = above.last()
                && !order::is_below(draft.path, directories[*top as usize].path)
            {
                above.pop();
            }
            let parent = above.last().copied().unwrap_or(own);
            above.push(own);
            let first = u32::try_from(records.len()).ok()?;
            while let Some(entry) = left.next_if(|it| order::split(it.path).0 == draft.path) {
                let path = push(&mut paths, entry.path)?;
                let EntryDraft { slot, stat, content, .. } = *entry;
                records.push(Record { path, slot, stat, content });
            }
            let end = u32::try_from(records.len()).ok()?;
            let DirectoryDraft { state, stat, repository, .. } = *draft;
            done.push(Directory { path, state, stat, first, end, parent, repository });
        }
        let all = Self {
            began,
            rules,
            directories: done.into(),
            records: records.into(),
            directory_paths: directory_paths.into(),
            paths: paths.into(),
        };
        (left.next().is_none() && all.is_ordered()).then_some(all)
    }

    pub(super) fn of_held(held: impl IntoIterator<Item = Held>) -> Option<Self> {
        use std::os::unix::ffi::OsStrExt as _;
        let mut held: Vec<Held> = held.into_iter().collect();
        let bytes = |it: &Held| it.path.as_os_str().as_bytes().to_vec();
        held.sort_by(|a, b| order::by_directory(&bytes(a), &bytes(b)));
        let entries: Vec<EntryDraft<'_>> = held.iter().map(draft_of_held).collect();
        if !entries.iter().all(|it| is_inside(it.path)) {
            return None;
        }
        let mut directories: Vec<&[u8]> = vec![b""];
        for entry in &entries {
            let mut directory = order::split(entry.path).0;
            while directories.last() != Some(&directory) && !directory.is_empty() {
                directories.push(directory);
                directory = order::split(directory).0;
            }
        }
        directories.sort_unstable_by(|a, b| order::compare(a, b));
        directories.dedup();
        let drafts: Vec<_> = directories
            .into_iter()
            .map(|path| DirectoryDraft {
                path,
                state: DirectoryState::Open,
                stat: Stat::default(),
                repository: 0,
            })
            .collect();
        Self::assemble(Began::default(), None, &drafts, &entries)
    }

    pub(crate) fn path(&self, record: &Record) -> &[u8] {
        &self.paths[record.path.range()]
    }

    pub(crate) fn directory(&self, directory: &Directory) -> &[u8] {
        &self.directory_paths[directory.path.range()]
    }

    pub(crate) fn records_of(
        &self,
        directory: &Directory,
    ) -> impl ExactSizeIterator<Item = &Record> {
        self.records.range(directory.first as usize..directory.end as usize)
    }

    /// Where the record of that path is.
    pub(crate) fn find(&self, path: &[u8]) -> Option<usize> {
        let all = 0..self.records.len();
        self.records.search(all, |it| order::by_directory(self.path(it), path)).ok()
    }

    /// Where the directory of that path is.
    pub(crate) fn find_directory(&self, path: &[u8]) -> Option<usize> {
        self.directories.binary_search_by(|it| order::compare(self.directory(it), path)).ok()
    }

    /// Whether the arrays are what the rest of this crate relies on: ordered without repetition, spans and ranges inside.
    pub(super) fn is_ordered(&self) -> bool {
        let inside =
            |span: Span, of: &[u8]| span.start <= span.end && span.end as usize <= of.len();
        // Without rules nobody asks who lists a directory.
        let repositories = self.rules.as_ref().map_or(usize::MAX, |it| it.repositories.len());
        let mut end = 0;
        for (at, it) in self.directories.iter().enumerate() {
            let right = inside(it.path, &self.directory_paths)
                && it.first == end
                && it.first <= it.end
                && it.end as usize <= self.records.len()
                && it.parent as usize <= at
                && (it.repository as usize) < repositories;
            if !right {
                return false;
            }
            end = it.end;
        }
        let rooted = self.directories.iter().enumerate().all(|(at, it)| {
            let path = self.directory(it);
            if at == 0 { path.is_empty() } else { is_inside(path) }
        });
        let sorted = self
            .directories
            .windows(2)
            .all(|two| order::compare(self.directory(&two[0]), self.directory(&two[1])).is_lt());
        rooted && sorted && end as usize == self.records.len() && self.has_ordered_records()
    }

    fn has_ordered_records(&self) -> bool {
        self.directories.iter().all(|directory| {
            let above = self.directory(directory);
            let mut before: &[u8] = b"";
            self.records_of(directory).all(|record| {
                let (start, end) = (record.path.start as usize, record.path.end as usize);
                let Some(path) = self.paths.get(start..end) else { return false };
                // The name, without taking the path apart: this runs over each path at each load.
                let name = match path.strip_prefix(above) {
                    Some(name) if above.is_empty() => name,
                    Some([b'/', name @ ..]) => name,
                    _ => return false,
                };
                let right = name > before && !name.contains(&b'/') && !matches!(name, b"." | b"..");
                before = name;
                right
            })
        })
    }
}

/// Takes out the entries in whose place a directory was seen a moment later or earlier. What is right is told by the
/// directory above, which is too young to be believed then. Both are in the order of [`Records::assemble`].
pub(crate) fn prefer_directories(
    directories: &[DirectoryDraft<'_>],
    entries: &mut Vec<EntryDraft<'_>>,
) {
    let open = directories.iter().filter(|it| it.state == DirectoryState::Open);
    let same = |it: &DirectoryDraft<'_>| {
        let at = entries.binary_search_by(|entry| order::by_directory(entry.path, it.path)).ok()?;
        entries[at].slot.kind().map(|_| at)
    };
    let mut hidden: Vec<usize> = open.filter_map(same).collect();
    // From the back, so that the places before stay what they are.
    hidden.sort_unstable_by_key(|at| Reverse(*at));
    for at in hidden {
        entries.remove(at);
    }
}

fn draft_of_held(held: &Held) -> EntryDraft<'_> {
    use rustix::fs::FileType;
    use std::os::unix::ffi::OsStrExt as _;
    let (slot, file_type) = match held.kind {
        Kind::File => (Slot::File, FileType::RegularFile),
        Kind::Link => (Slot::Link, FileType::Symlink),
    };
    let mode = u32::try_from(i128::from(file_type.as_raw_mode())).unwrap_or_default();
    EntryDraft {
        path: held.path.as_os_str().as_bytes(),
        slot,
        stat: Stat {
            mode: mode | held.permissions & super::PERMISSION_BITS,
            bytes: held.bytes,
            ..Stat::default()
        },
        content: Some(held.content),
    }
}

fn push(all: &mut Vec<u8>, path: &[u8]) -> Option<Span> {
    let start = u32::try_from(all.len()).ok()?;
    all.extend_from_slice(path);
    Some(Span { start, end: u32::try_from(all.len()).ok()? })
}
