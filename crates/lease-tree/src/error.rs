//! What can go wrong while a tree is read, told apart where the caller acts differently.

use std::io;
use std::path::PathBuf;

use lease_process::ProcessError;
use thiserror::Error;

/// The result of everything in this crate that can fail.
pub type Result<T, E = TreeError> = std::result::Result<T, E>;

/// What went wrong with a local tree. Nothing outside this machine was touched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A value or a file of patterns cannot be used.
    #[error("{what} cannot be used: {why}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A local file or directory could not be read or written.
    #[error("{doing} {} failed: {source}", path.display())]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// With which path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// `git` could not list the tree.
    #[error("git cannot list the tree{}", suffix(detail))]
    Git {
        /// What git said, shortened.
        detail: String,
    },
    /// `git` could not be run to its end.
    #[error("a local program failed: {0}")]
    Process(#[from] ProcessError),
    /// The thread that looked at the tree ended early.
    #[error("the scan of the tree was cut off")]
    CutOff,
}

impl TreeError {
    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "correct the value",
            Self::Storage { .. } => "check that the path exists, and that it can be read",
            Self::Git { .. } => "run `git status` in the tree",
            Self::Process(_) => "check that git is installed and can be run",
            Self::CutOff => "try again",
        }
    }

    pub(crate) fn invalid(what: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { what, why: why.into() }
    }

    pub(crate) fn storage(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Storage { doing, path, source }
    }
}

/// The last lines of what a program said, on one line and without control characters.
pub(crate) fn shortened(said: &[u8]) -> String {
    const LINES: usize = 4;
    const CHARS: usize = 400;
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("; ");
    let clean = last.chars().map(|it| if it.is_control() { ' ' } else { it });
    clean.take(CHARS).collect()
}

fn suffix(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_cannot_move_the_cursor() {
        assert_eq!(shortened(b"\n one\x1b[2J \ntwo\n"), "one [2J; two");
        assert!(shortened(&[b'x'; 9_000]).len() <= 400);
    }
}
