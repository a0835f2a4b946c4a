//! What can go wrong with a process, told apart where the caller acts differently.
//!
//! No variant carries arguments, environment or output: those may hold secrets, and errors are printed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a program could not be run to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The request itself makes no sense: empty argv, a NUL byte, a stream that the chosen call cannot serve.
    #[error("cannot run `{program}`: {reason}")]
    Invalid {
        /// The program's name as it was asked for.
        program: String,
        /// What is wrong with the request.
        reason: &'static str,
    },
    /// No file of that name exists, or none in the `PATH` that the child was given.
    #[error("program `{program}` was not found")]
    NotFound {
        /// The program's name as it was asked for.
        program: String,
    },
    /// The file exists but cannot be executed: a directory, no execute permission, a missing interpreter, a
    /// foreign format.
    #[error("program `{program}` cannot be executed")]
    NotExecutable {
        /// The program's name as it was asked for.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The working directory that the child was to start in cannot be entered.
    #[error("working directory {} cannot be entered", path.display())]
    WorkingDirectory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to start the program for any other reason.
    #[error("program `{program}` could not be started")]
    Spawn {
        /// The program's name as it was asked for.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The program was still running, or something it started still held its output open, when the time was over.
    /// Its process group was killed.
    #[error("program `{program}` did not finish within {after:?} and was killed")]
    Deadline {
        /// The program's name as it was asked for.
        program: String,
        /// The time it was given.
        after: Duration,
    },
    /// The program printed more to its standard output than the caller was ready to hold. Its process group was
    /// killed.
    #[error("program `{program}` printed more than {limit_bytes} bytes and was killed")]
    OutputTooLarge {
        /// The program's name as it was asked for.
        program: String,
        /// The cap that was passed.
        limit_bytes: usize,
    },
    /// Talking to a running process or reading about one failed.
    #[error("{doing} failed")]
    Io {
        /// What was being done, as a noun phrase.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

impl ProcessError {
    /// Whether the program may have run, and so may have had an effect in the world.
    ///
    /// `false` is a proof that not one instruction of it was executed.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Invalid { .. }
            | Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::WorkingDirectory { .. }
            | Self::Spawn { .. } => false,
            Self::Deadline { .. } | Self::OutputTooLarge { .. } | Self::Io { .. } => true,
        }
    }

    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    pub(crate) fn errno(doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Io { doing, source: errno.into() }
    }
}
