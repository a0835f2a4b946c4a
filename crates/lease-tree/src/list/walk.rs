//! The list of a directory that git does not list: a walk that honours `.gitignore` files.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use super::Listed;
use super::matcher::{Matcher, Pathname};
use crate::error::{Result, TreeError};

pub(super) fn walk(root: &Path, matcher: &Matcher, into: &mut Listed) -> Result<()> {
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .ignore(false)
        .parents(false)
        .git_global(false)
        .git_exclude(false)
        .git_ignore(true)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for found in walk {
        let entry = match found {
            Ok(entry) => entry,
            Err(error) => {
                into.unreadable.push(path_of(root, &error)?);
                continue;
            }
        };
        let Ok(path) = entry.path().strip_prefix(root) else { continue };
        let is_directory = entry.file_type().is_some_and(|it| it.is_dir());
        if path.as_os_str().is_empty() || is_directory || matcher.leaves_out(path, Pathname::OfFile)
        {
            continue;
        }
        into.files.push(&[path.as_os_str().as_bytes()]);
    }
    Ok(())
}

/// Below which path the walk failed. A failure of the root itself is the caller's.
fn path_of(root: &Path, error: &ignore::Error) -> Result<PathBuf> {
    let mut inner = error;
    while let ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } = inner {
        if let ignore::Error::WithPath { path, .. } = inner
            && let Ok(relative) = path.strip_prefix(root)
            && !relative.as_os_str().is_empty()
        {
            return Ok(relative.to_owned());
        }
        inner = err;
    }
    let why = error.io_error().map_or(io::ErrorKind::Other, io::Error::kind);
    Err(TreeError::storage("listing", root)(why.into()))
}
