//! What is known of a tree: the stamps its files had, and the hashes of what a box holds of it.

mod file;
mod layout;
mod reading;
mod records;
mod shared;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use records::{
    Directory, DirectoryDraft, DirectoryState, EntryDraft, LookHow, Record, Records, Repository,
    Rules, Slot, Stamp, prefer_directories,
};
pub(crate) use shared::Shared;

use crate::error::Result;
use crate::order::as_path;
use crate::stat::Stat;

/// The permission bits that travel; set-user-id and its kin stay here.
pub(crate) const PERMISSION_BITS: u32 = 0o777;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link, sent as such and never followed.
    Link,
}

/// The BLAKE3 hash of a file's content or of a link's target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content(pub [u8; 32]);

impl Content {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Sixty-four lower-case hexadecimal digits.
impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|it| write!(f, "{it:02x}"))
    }
}

/// One file or symbolic link of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its path, relative to the tree.
    pub path: &'a Path,
    /// What it is.
    pub kind: Kind,
    /// Its permission bits; those of a link mean nothing.
    pub permissions: u32,
    /// The size of a file in bytes; 0 for a link.
    pub bytes: u64,
    /// What the box holds of it. `None` in a stored manifest: the box does not hold it. `None` in a scan's: not known yet.
    pub content: Option<Content>,
}

/// One file or symbolic link as a box lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its path, relative to the tree.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its permission bits.
    pub permissions: u32,
    /// The size of a file in bytes; 0 for a link.
    pub bytes: u64,
    /// The hash of its content or target.
    pub content: Content,
}

/// What is known of a tree. Cheap to clone; the default knows nothing.
///
/// Two clients must not store different manifests for one box under one name: the caller has a lock for that.
#[derive(Clone, Debug, Default)]
pub struct Manifest(pub(crate) Arc<Records>);

impl Manifest {
    /// Reads a manifest. `None` when there is none that can be used: no file, a damaged one, or one of another version.
    ///
    /// It blocks for one or two milliseconds per ten thousand entries.
    pub fn load(path: &Path) -> Option<Self> {
        file::load(path).map(|it| Self(Arc::new(it)))
    }

    /// Writes the manifest beside `path` with mode 0600 and moves it there, so that a reader sees the old or the new one.
    ///
    /// It is not flushed to the disk: what a power failure leaves of it is no manifest.
    ///
    /// # Errors
    /// When the directory cannot be written; the old manifest is then untouched.
    pub fn save(&self, path: &Path) -> Result<()> {
        file::save(&self.0, path)
    }

    /// A manifest of what a box says it holds. It has no stamps, so it is good for [`Delta::between`](crate::Delta) only.
    ///
    /// `None` when a path leads outside of the tree, or is listed twice.
    pub fn of_held(held: impl IntoIterator<Item = Held>) -> Option<Self> {
        Records::of_held(held).map(|it| Self(Arc::new(it)))
    }

    /// The files and links, ordered by their directory and then by name, where directories are compared component by
    /// component.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.0.records.iter().filter_map(|it| self.0.entry(it))
    }

    /// The entry of that path, relative to the tree.
    pub fn get(&self, path: &Path) -> Option<Entry<'_>> {
        use std::os::unix::ffi::OsStrExt as _;
        let at = self.0.find(path.as_os_str().as_bytes())?;
        self.0.entry(&self.0.records[at])
    }

    /// How many files and links there are.
    pub fn len(&self) -> usize {
        self.entries().count()
    }

    /// Whether there is no file and no link.
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// The sum of the files' sizes, in bytes.
    pub fn bytes(&self) -> u64 {
        self.entries().map(|entry| entry.bytes).sum()
    }

    /// A hash of what the box holds: paths, kinds, permission bits and contents, and no stamps.
    pub fn digest(&self) -> Content {
        let mut hasher = blake3::Hasher::new();
        for record in self.0.records.iter() {
            let (Some(entry), Some(content)) = (self.0.entry(record), record.content) else {
                continue;
            };
            let path = self.0.path(record);
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path);
            hasher.update(&[u8::from(entry.kind == Kind::Link)]);
            let permissions = if entry.kind == Kind::Link { 0 } else { entry.permissions };
            hasher.update(&permissions.to_le_bytes());
            hasher.update(&content.0);
        }
        Content(*hasher.finalize().as_bytes())
    }

    /// Whether the two are one and the same: a scan that found nothing new gives back the manifest it was given.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Records {
    /// The record as a file or link; `None` for what is only listed.
    pub(crate) fn entry<'a>(&'a self, record: &Record) -> Option<Entry<'a>> {
        let kind = record.slot.kind()?;
        Some(Entry {
            path: as_path(self.path(record)),
            kind,
            permissions: record.stat.mode & PERMISSION_BITS,
            bytes: if kind == Kind::File { record.stat.bytes } else { 0 },
            content: record.content,
        })
    }
}

/// Whether two records differ in what a box can see without their content.
pub(crate) fn differs_in_form(a: &Record, b: &Record) -> bool {
    let form = |slot: Slot, stat: &Stat| match slot.kind() {
        Some(Kind::Link) => (Some(Kind::Link), 0, 0),
        kind => (kind, stat.mode & PERMISSION_BITS, stat.bytes),
    };
    form(a.slot, &a.stat) != form(b.slot, &b.stat)
}
