//! Paths on a box as a person types them.

use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};

const WHAT: &str = "the path on the box";

/// Something on a box that is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct From {
    /// The absolute directory that it is in.
    pub(super) directory: Vec<u8>,
    /// What it is called there; `None` for what the directory contains.
    pub(super) name: Option<Vec<u8>>,
}

/// A place on a box that is to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct To {
    /// The absolute path.
    pub(super) path: Vec<u8>,
    /// Whether that has to be a directory already.
    pub(super) is_directory: bool,
}

/// The last name of a path, or nothing where it is `.` or `..`: what is meant then is what a directory contains.
pub(super) fn last_name(path: &[u8]) -> Option<&[u8]> {
    let last = split(without_slashes(path)).1;
    (!matches!(last, b"" | b"." | b"..")).then_some(last)
}

impl From {
    pub(super) fn parse(root: &BoxRoot, typed: &[u8]) -> Result<Self> {
        let path = absolute(root, typed)?;
        let path = without_slashes(&path);
        let Some(name) = last_name(path) else {
            return Ok(Self { directory: path.to_vec(), name: None });
        };
        Ok(Self { directory: split(path).0.to_vec(), name: Some(name.to_vec()) })
    }
}

impl To {
    pub(super) fn parse(root: &BoxRoot, typed: &[u8]) -> Result<Self> {
        let path = absolute(root, typed)?;
        let bare = without_slashes(&path);
        let is_directory = bare.len() < path.len() || last_name(bare).is_none();
        // The tree itself is made where it is not there yet, so nothing has to be there for it.
        let is_directory = is_directory && !typed.iter().all(|it| matches!(it, b'.' | b'/'));
        Ok(Self { path: bare.to_vec(), is_directory })
    }
}

/// From the root of the box; what is relative is relative to the tree.
fn absolute(root: &BoxRoot, typed: &[u8]) -> Result<Vec<u8>> {
    if typed.contains(&0) {
        return Err(SshError::invalid(WHAT, "it has a NUL byte"));
    }
    if typed == b"~" || typed.starts_with(b"~/") {
        let why = "`~` is not known there: write it from the root, or relative to the tree";
        return Err(SshError::invalid(WHAT, why));
    }
    if typed.starts_with(b"/") {
        return Ok(typed.to_vec());
    }
    let mut path = root.work().into_bytes();
    path.push(b'/');
    path.extend_from_slice(if typed.is_empty() { b"." } else { typed });
    Ok(path)
}

fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|it| *it != b'/').map_or(1, |it| it + 1);
    &path[..end.min(path.len())]
}

/// The directory, and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|it| *it == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b".", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> BoxRoot {
        BoxRoot::new("/srv/x").unwrap()
    }

    #[track_caller]
    fn from(typed: &str, directory: &str, name: Option<&str>) {
        let found = From::parse(&root(), typed.as_bytes()).unwrap();
        let name = name.map(|it| it.as_bytes().to_vec());
        assert_eq!(found, From { directory: directory.as_bytes().to_vec(), name }, "{typed}");
    }

    #[test]
    fn a_relative_path_is_relative_to_the_tree() {
        from("a/b", "/srv/x/work/a", Some("b"));
        from("a//", "/srv/x/work", Some("a"));
        from("-rf", "/srv/x/work", Some("-rf"));
        from("/var/log/x y", "/var/log", Some("x y"));
        from("/top", "/", Some("top"));
    }

    #[test]
    fn a_path_that_names_no_entry_is_what_a_directory_contains() {
        for (typed, directory) in [
            ("", "/srv/x/work/."),
            (".", "/srv/x/work/."),
            ("a/.", "/srv/x/work/a/."),
            ("..", "/srv/x/work/.."),
            ("/", "/"),
        ] {
            from(typed, directory, None);
        }
    }

    #[test]
    fn a_slash_at_the_end_asks_for_a_directory() {
        let to = |typed: &str| To::parse(&root(), typed.as_bytes()).unwrap();
        assert_eq!(to("a/"), To { path: b"/srv/x/work/a".to_vec(), is_directory: true });
        assert_eq!(to("a"), To { path: b"/srv/x/work/a".to_vec(), is_directory: false });
        assert!(to("/tmp/.").is_directory);
        assert!(!to("").is_directory && !to(".").is_directory);
    }

    #[test]
    fn what_only_a_shell_understands_is_refused() {
        for typed in ["~", "~/x", "a\0"] {
            assert!(From::parse(&root(), typed.as_bytes()).is_err(), "{typed:?}");
            assert!(To::parse(&root(), typed.as_bytes()).is_err(), "{typed:?}");
        }
        from("./~", "/srv/x/work/.", Some("~"));
    }
}
