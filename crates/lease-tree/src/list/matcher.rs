//! `.leaseignore`: what a person does not want on the box, in gitignore's syntax.

use std::io;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{Result, TreeError};

/// Where the patterns of a tree are, in its root.
pub(crate) const FILE_NAME: &str = ".leaseignore";

/// The caller's patterns and then those of the tree's own `.leaseignore`; those of subdirectories are not read.
#[derive(Debug)]
pub(crate) struct Matcher(Gitignore);

impl Matcher {
    pub(crate) fn of(tree: &Path, patterns: &[String]) -> Result<Self> {
        let path = tree.join(FILE_NAME);
        let mut builder = GitignoreBuilder::new(tree);
        for pattern in patterns {
            builder
                .add_line(None, pattern)
                .map_err(|error| TreeError::invalid("a pattern to leave out", error.to_string()))?;
        }
        match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(TreeError::storage("reading", path)(error)),
            Ok(bytes) => add(&mut builder, &bytes)?,
        }
        builder
            .build()
            .map(Self)
            .map_err(|error| TreeError::invalid("`.leaseignore`", error.to_string()))
    }

    /// Whether the path, relative to the tree, or a directory above it is left out.
    pub(crate) fn leaves_out(&self, path: &Path, what: Pathname) -> bool {
        let is_directory = what == Pathname::OfDirectory;
        !self.0.is_empty() && self.0.matched_path_or_any_parents(path, is_directory).is_ignore()
    }
}

/// What a path names; some patterns are for directories only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pathname {
    OfFile,
    OfDirectory,
}

fn add(builder: &mut GitignoreBuilder, bytes: &[u8]) -> Result<()> {
    let wrong = |why: String| TreeError::invalid("`.leaseignore`", why);
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    for (index, line) in text.lines().enumerate() {
        builder
            .add_line(None, line)
            .map_err(|error| wrong(format!("line {}: {error}", index + 1)))?;
    }
    Ok(())
}
