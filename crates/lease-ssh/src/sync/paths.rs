//! Sets of relative paths that are safe below a directory, and what two of them say about each other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::member;

/// Relative paths, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct PathSet(BTreeSet<PathBuf>);

impl PathSet {
    pub(super) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().collect())
    }

    /// The list in which each path is ended by a NUL.
    pub(super) fn listing(&self) -> Vec<u8> {
        listing(self.iter())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
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

/// The list that the box looks at after commands: one a line, as its `find` prints them. A name with a newline is not
/// looked at, because the tools that every box has cannot tell it from two.
pub(super) fn watched<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for path in paths.into_iter().map(member).filter(|it| !it.contains(&b'\n')) {
        bytes.extend_from_slice(b"./");
        bytes.extend(path);
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> PathSet {
        PathSet::new(paths.iter().map(PathBuf::from))
    }

    #[test]
    fn a_name_with_a_newline_is_not_looked_at() {
        let odd = set(&["a\nb", "-rf", "a b"]);
        assert_eq!(watched(odd.iter()), b"./-rf\n./a b\n");
        assert_eq!(odd.listing(), b"-rf\0a\nb\0a b\0".to_vec());
    }

    #[test]
    fn directories_come_in_order() {
        let directories = set(&["a/b/c", "a/d", "e"]).directories();
        assert_eq!(directories.listing(), b"a\0a/b\0");
        assert_eq!(directories.listing_deepest_first(), b"a/b\0a\0");
    }
}
