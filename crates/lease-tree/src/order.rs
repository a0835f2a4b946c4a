//! The one order of paths in this crate: component by component, so that a directory stands right before what is in it.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Compares two relative paths by their components.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    // No name holds a NUL, so a slash that counts as one comes before every other byte.
    let at = a.iter().zip(b).position(|(a, b)| a != b);
    let weight = |it: u8| if it == b'/' { 0 } else { it };
    match at {
        Some(at) => weight(a[at]).cmp(&weight(b[at])),
        None => a.len().cmp(&b.len()),
    }
}

/// Orders files by their directory first, so that the files of a directory stand together.
pub(crate) fn by_directory(a: &[u8], b: &[u8]) -> Ordering {
    let ((a_directory, a_name), (b_directory, b_name)) = (split(a), split(b));
    compare(a_directory, b_directory).then_with(|| a_name.cmp(b_name))
}

/// The directory and the name of a relative path; the root is the empty path.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|it| *it == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// The path of `name` in a directory.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

/// Whether `path` is the directory or lies below it; everything lies below the root.
pub(crate) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty()
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

/// The bytes as a path.
pub(crate) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_right_before_what_is_in_it() {
        let mut paths: Vec<&[u8]> =
            vec![b"a.b", b"a/b", b"a", b"", b"a/b/c", b"a-", b"b", b"a/\x01"];
        paths.sort_by(|a, b| compare(a, b));
        let expected: [&[u8]; 8] = [b"", b"a", b"a/\x01", b"a/b", b"a/b/c", b"a-", b"a.b", b"b"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn files_of_a_directory_stand_together() {
        let mut paths: Vec<&[u8]> = vec![b"b/z", b"a/x/y", b"m", b"a/b", b"a/z", b"b.c"];
        paths.sort_by(|a, b| by_directory(a, b));
        let expected: [&[u8]; 6] = [b"b.c", b"m", b"a/b", b"a/z", b"a/x/y", b"b/z"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn paths_are_taken_apart_and_put_together() {
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!((join(b"", b"a"), join(b"a", b"b")), (b"a".to_vec(), b"a/b".to_vec()));
        assert!(is_below(b"a/b", b"a") && is_below(b"a", b"a") && is_below(b"a", b""));
        assert!(!is_below(b"ab", b"a") && !is_below(b"a", b"a/b"));
    }
}
