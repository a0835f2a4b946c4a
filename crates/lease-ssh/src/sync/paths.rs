//! Sets of relative paths that are safe below a directory, and what two of them say about each other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{member, path_of};
use crate::error::{Result, SshError};

/// Relative paths of files and symbolic links, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct PathSet(BTreeSet<PathBuf>);

impl PathSet {
    pub(super) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().collect())
    }

    /// Reads a list in which each path is ended by a NUL. A path that leads outside makes the whole list unusable.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |why: &str| SshError::Box {
            doing: "reading the manifest",
            detail: format!(
                "{why}; remove `.lease/sync/manifest` beside the tree on the box if you trust the tree"
            ),
        };
        let Some(list) = bytes.strip_suffix(&[0]) else {
            return if bytes.is_empty() {
                Ok(Self::default())
            } else {
                Err(wrong("it is cut off"))
            };
        };
        let mut set = BTreeSet::new();
        for path in list.split(|it| *it == 0) {
            if !is_inside(path) {
                return Err(wrong("a path leads outside of the tree"));
            }
            set.insert(path_of(path.to_vec()));
        }
        Ok(Self(set))
    }

    /// The list in which each path is ended by a NUL.
    pub(super) fn listing(&self) -> Vec<u8> {
        listing(self.0.iter().map(PathBuf::as_path))
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        self.0.contains(path)
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The paths that `other` has not.
    pub(super) fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// The directories that the paths need, parents before children.
    pub(super) fn directories(&self) -> Self {
        let above =
            |path: &PathBuf| path.ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
        Self(self.0.iter().flat_map(above).filter(|path| !path.as_os_str().is_empty()).collect())
    }

    /// The list with children before parents.
    pub(super) fn listing_deepest_first(&self) -> Vec<u8> {
        listing(self.0.iter().rev().map(PathBuf::as_path))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The list of `paths`, each ended by a NUL.
pub(super) fn listing<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for path in paths {
        bytes.extend(member(path));
        bytes.push(0);
    }
    bytes
}

/// Whether the path stays below the directory it is relative to, and is written in the one way that we write.
pub(super) fn is_inside(path: &[u8]) -> bool {
    !path.is_empty() && path.split(|it| *it == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> PathSet {
        PathSet::new(paths.iter().map(PathBuf::from))
    }

    #[test]
    fn a_manifest_that_leads_outside_is_refused() {
        assert_eq!(PathSet::parse(b"").unwrap().len(), 0);
        assert_eq!(PathSet::parse(b"a\0b/c\0").unwrap().len(), 2);
        for bad in [&b"a"[..], b"/a\0", b"../a\0", b"a/../b\0", b"a//b\0", b"\0", b"./a\0", b"a/\0"]
        {
            assert!(PathSet::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_survive_the_listing() {
        let odd = [&b"-rf"[..], b"a\nb", b"\xff\xfe", b"a b", b"'\"$(x)"];
        let all = PathSet::new(odd.iter().map(|it| path_of(it.to_vec())));
        let back = PathSet::parse(&all.listing()).unwrap();
        assert!(odd.iter().all(|it| back.contains(&path_of(it.to_vec()))));
    }

    #[test]
    fn directories_come_in_order() {
        let directories = set(&["a/b/c", "a/d", "e"]).directories();
        assert_eq!(directories.listing(), b"a\0a/b\0");
        assert_eq!(directories.listing_deepest_first(), b"a/b\0a\0");
    }
}
