//! What can go wrong with a directory, a server and some processes, and what the engine is told about it.

use std::io;
use std::path::{Path, PathBuf};

use lease_core::error::Effect;
use lease_core::{Error, ErrorKind};
use lease_process::{ProcessError, Survivor, Why};

/// Why a box could not be made, seen or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A configured value cannot be used.
    #[error("`{what}` of the local provider cannot be used: {why}")]
    Config {
        /// The configured value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The request asks for something that does not exist here.
    #[error("{0}")]
    Request(String),
    /// The machine lacks something that a box needs.
    #[error("{0}")]
    Machine(String),
    /// A file or directory could not be read, written or removed.
    #[error("{doing} {} failed: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something that is not ours has the name of the box.
    #[error("{} exists and is not the box of this lease; it was left alone", .0.display())]
    Taken(PathBuf),
    /// The record of a box cannot be read, so it cannot be told whose it is.
    #[error("{}: {why}", path.display())]
    Record {
        /// The box.
        path: PathBuf,
        /// What is wrong with the record.
        why: String,
    },
    /// Another process makes or removes the box right now.
    #[error("another process is at work on {}", .0.display())]
    Busy(PathBuf),
    /// A program that was needed could not be run.
    #[error("{0}")]
    Program(#[from] ProcessError),
    /// sshd does not accept what was written for it.
    #[error("sshd refuses the configuration of the box: {0}")]
    Refused(String),
    /// Something could be removed only in part.
    #[error("{count} entries of {} could not be removed, the first is {}: {why}", path.display(), first.display())]
    Leftovers {
        /// The box.
        path: PathBuf,
        /// How many entries are left.
        count: usize,
        /// One of them.
        first: PathBuf,
        /// What kept it, and what to do.
        why: String,
    },
    /// Processes of the box go on.
    #[error("processes of the box could not be ended: {}; its directory stays until they are gone", survivors(.0))]
    Survivors(Vec<Survivor>),
}

impl LocalError {
    pub(crate) fn config(what: &'static str, why: impl Into<String>) -> Self {
        Self::Config { what, why: why.into() }
    }

    /// For `map_err`: what was being done where.
    pub(crate) fn file<E: Into<io::Error>>(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::File { doing, path: path.to_owned(), source: source.into() }
    }

    /// The error for the engine, of a call that changed nothing.
    pub(crate) fn harmless(self, operation: &'static str) -> Error {
        self.with_effect(Effect::None, operation)
    }

    /// The error for the engine, of a call that may have changed something.
    pub(crate) fn unsettled(self, operation: &'static str) -> Error {
        self.with_effect(Effect::Unknown, operation)
    }

    fn with_effect(self, effect: Effect, operation: &'static str) -> Error {
        Error::new(self.kind(), effect, operation, self.to_string()).with_source(self)
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Config { .. } | Self::Request(_) => ErrorKind::Invalid,
            Self::Machine(_) | Self::Refused(_) => ErrorKind::Unsupported,
            Self::File { .. } | Self::Leftovers { .. } => ErrorKind::Storage,
            Self::Taken(_) => ErrorKind::Conflict,
            Self::Record { .. } => ErrorKind::Corrupt,
            Self::Busy(_) => ErrorKind::Busy,
            Self::Program(_) | Self::Survivors(_) => ErrorKind::Unavailable,
        }
    }
}

fn survivors(list: &[Survivor]) -> String {
    const TOLD_MAX: usize = 5;
    const ARGV_CHARS_MAX: usize = 120;
    let told = list.iter().take(TOLD_MAX).map(|it| {
        let argv: Vec<_> = it.argv.iter().map(|arg| arg.to_string_lossy()).collect();
        let advice = match it.why {
            Why::NotPermitted => "it runs as another user; end it with `sudo kill`",
            Why::Uninterruptible => "it waits for a device or a network file system to answer",
            Why::StillRunning => "it does not end although it was killed",
        };
        let line: String = argv.join(" ").chars().take(ARGV_CHARS_MAX).collect();
        format!("pid {} `{line}` ({advice})", it.pid)
    });
    let told: Vec<_> = told.collect();
    let more = list.len().saturating_sub(told.len());
    if more > 0 { format!("{} and {more} more", told.join(", ")) } else { told.join(", ") }
}
