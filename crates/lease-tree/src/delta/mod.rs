//! What a box lacks: the difference between what it holds and what the tree is.

mod difference;
mod hash;
mod overlap;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::difference::Difference;
pub use self::overlap::Overlap;
use crate::error::Result;
use crate::list::open_root;
use crate::manifest::{Entry, Manifest, PERMISSION_BITS, Records};
use crate::order::{as_path, split};
use crate::scan::Scan;
use crate::tree::Skipped;

/// How files are compared that both sides have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// By their stamps, and by content where those do not vouch for it.
    #[default]
    Stamps,
    /// By content, each of them. It finds what no stamp shows, and reads the whole tree.
    Checksum,
}

/// What a write means for the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The box does not hold the path.
    Added,
    /// The box holds something else there.
    Changed,
}

/// One file or link that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// What it is now.
    pub entry: Entry<'a>,
    /// What that means for the box.
    pub change: Change,
}

/// What has to happen on a box to make it hold the tree.
///
/// To be applied in this order: [`removals`](Self::removals), [`emptied_directories`](Self::emptied_directories),
/// [`new_directories`](Self::new_directories), then the [`writes`](Self::writes) as
/// [`write_delta`](crate::write_delta) streams them.
#[derive(Clone, Debug)]
pub struct Delta {
    pub(crate) root: Arc<File>,
    pub(crate) records: Arc<Records>,
    pub(crate) writes: Vec<(usize, Change)>,
    held: Arc<Records>,
    is_held: bool,
    removals: Vec<usize>,
    emptied: Vec<usize>,
    new_directories: Vec<usize>,
    left_out: Vec<Skipped>,
    hashed_files: u64,
}

impl Delta {
    /// Whether the scan found nothing but what the box holds, so that there is nothing to compare. Unlike
    /// [`between`](Self::between) it does not touch the disk.
    pub fn is_nothing(held: &Manifest, scan: &Scan, compare: Compare) -> bool {
        difference::is_nothing(&held.0, &scan.manifest.0, compare)
    }

    /// Compares what a box holds with what a tree is. It blocks: what may have changed is read and hashed.
    ///
    /// A file that was touched and has the content that the box holds is no difference.
    ///
    /// # Errors
    /// When the tree is not there any more.
    pub fn between(held: &Manifest, scan: &Scan, compare: Compare) -> Result<Self> {
        let root = open_root(&scan.root)?;
        let difference = Difference::of(&held.0, Arc::clone(&scan.manifest.0), compare, &root);
        let Difference { records, removals, writes, left_out, hashed_files } = difference;
        let left_out = left_out.into_iter().map(|(at, why)| {
            let path = as_path(records.path(&records.records[at])).to_owned();
            Skipped { path, why }
        });
        let left_out = left_out.collect();
        let (emptied, new_directories) = difference::directories(&held.0, &records);
        let is_held = Arc::ptr_eq(&records, &held.0);
        Ok(Self {
            root: Arc::new(root),
            records,
            writes,
            held: Arc::clone(&held.0),
            is_held,
            removals,
            emptied,
            new_directories,
            left_out,
            hashed_files,
        })
    }

    /// Whether the box holds the tree. A delta of directories alone is one: they were made for files that could not be
    /// caught.
    pub fn is_empty(&self) -> bool {
        let directories = self.emptied.is_empty() && self.new_directories.is_empty();
        directories && self.removals.is_empty() && self.writes.is_empty()
    }

    /// What to store in place of the compared manifest when the delta [is empty](Self::is_empty): the same contents with
    /// the stamps of now, without which the same files would be read again. `None` when nothing has to be stored.
    pub fn refreshed(&self) -> Option<Manifest> {
        (self.is_empty() && !self.is_held).then(|| Manifest(Arc::clone(&self.records)))
    }

    /// Files and links that the box holds and the tree has not, children before parents.
    ///
    /// A path that becomes a directory is among them; one that changes from file to link or back is only written.
    pub fn removals(&self) -> impl Iterator<Item = &Path> {
        self.removals.iter().rev().map(|at| as_path(self.held.path(&self.held.records[*at])))
    }

    /// Directories that held files of the tree and hold none any more, children before parents. What else is in them
    /// stays, unless a file or link of the tree takes their place.
    pub fn emptied_directories(&self) -> impl Iterator<Item = &Path> {
        let directories = &self.held.directories;
        self.emptied.iter().rev().map(|at| as_path(self.held.directory(&directories[*at])))
    }

    /// Directories that come to hold files of the tree, parents before children.
    pub fn new_directories(&self) -> impl Iterator<Item = &Path> {
        let directories = &self.records.directories;
        self.new_directories.iter().map(|at| as_path(self.records.directory(&directories[*at])))
    }

    /// Files and links to be written, in the order of [`Manifest::entries`].
    pub fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        self.writes.iter().filter_map(|(at, change)| {
            let entry = self.records.entry(&self.records.records[*at])?;
            Some(Write { entry, change: *change })
        })
    }

    /// How many files and links are to be written.
    pub fn write_count(&self) -> usize {
        self.writes.len()
    }

    /// How many files and links are to be removed.
    pub fn removal_count(&self) -> usize {
        self.removals.len()
    }

    /// How many bytes of file contents are to be written.
    pub fn bytes(&self) -> u64 {
        self.writes().map(|it| it.entry.bytes).sum()
    }

    /// What the box does not hold because it could not be read before, and cannot be read now. It is no part of the
    /// delta, so that a file that nobody may read does not make each run send something.
    pub fn left_out(&self) -> &[Skipped] {
        &self.left_out
    }

    /// How many files were read to compare them.
    pub fn hashed_files(&self) -> u64 {
        self.hashed_files
    }

    /// The directories with the most bytes to be written, largest first, at most `count`.
    ///
    /// A directory counts what is below it. One of which nearly everything is in a single directory below is named by
    /// that one, so that the answer points at the cause.
    pub fn biggest_directories(&self, count: usize) -> Vec<(PathBuf, u64)> {
        let mut sizes: BTreeMap<&[u8], u64> = BTreeMap::new();
        for (at, _) in &self.writes {
            let record = &self.records.records[*at];
            let bytes = self.records.entry(record).map_or(0, |it| it.bytes);
            let mut directory = split(self.records.path(record)).0;
            while !directory.is_empty() {
                *sizes.entry(directory).or_default() += bytes;
                directory = split(directory).0;
            }
        }
        let told_below = |path: &[u8], bytes: u64| {
            let below = sizes.iter().filter(|(it, _)| !it.is_empty() && split(it).0 == path);
            below
                .map(|(_, it)| *it)
                .max()
                .is_some_and(|it| it.saturating_mul(10) > bytes.saturating_mul(9))
        };
        let mut named: Vec<(&[u8], u64)> =
            sizes.iter().map(|(path, bytes)| (*path, *bytes)).collect();
        named.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let named =
            named.into_iter().filter(|(path, bytes)| *bytes > 0 && !told_below(path, *bytes));
        named.take(count).map(|(path, bytes)| (as_path(path).to_owned(), bytes)).collect()
    }
}

/// The permission bits of a mode.
pub(crate) fn permissions(mode: u32) -> u32 {
    mode & PERMISSION_BITS
}
