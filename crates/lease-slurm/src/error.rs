//! What can go wrong between us, a login node and a controller, and what the engine is told about it.

use lease_core::error::Effect;
use lease_core::{Error, ErrorKind};
use lease_process::ProcessError;

/// Why a job could not be submitted, seen or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlurmError {
    /// A configured value cannot be used.
    #[error("`{what}` of the slurm provider cannot be used: {why}")]
    Config {
        /// The configured value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The request asks for something that does not exist here.
    #[error("{0}")]
    Request(String),
    /// The program that was to run Slurm's commands could not be run to its end.
    #[error("{0}")]
    Program(#[from] ProcessError),
    /// The machine where Slurm's commands are did not answer.
    #[error("{desk} did not answer: {why}")]
    Desk {
        /// Where the commands were to run.
        desk: String,
        /// What was said.
        why: String,
    },
    /// Slurm could not say what was asked.
    #[error("{command} could not tell: {why}")]
    Unclear {
        /// The command that was asked.
        command: &'static str,
        /// What it said.
        why: String,
    },
    /// Slurm refused a submission, and made no job.
    #[error("Slurm refused the job: {why}")]
    Refused {
        /// The class of the refusal.
        kind: ErrorKind,
        /// What sbatch said.
        why: String,
    },
    /// The shared directory could not be used.
    #[error("{doing} {path} failed: {why}")]
    Shared {
        /// What was being done.
        doing: &'static str,
        /// Where.
        path: String,
        /// What was said.
        why: String,
    },
    /// The job's directory is there already.
    #[error("{0} exists already: this job was submitted before")]
    Taken(String),
    /// Something of a released job goes on.
    #[error("{0}")]
    Survivor(String),
}

impl SlurmError {
    pub(crate) fn config(what: &'static str, why: impl Into<String>) -> Self {
        Self::Config { what, why: why.into() }
    }

    pub(crate) fn unclear(command: &'static str, why: impl Into<String>) -> Self {
        Self::Unclear { command, why: why.into() }
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
            Self::Program(ProcessError::Deadline { .. }) => ErrorKind::Timeout,
            Self::Program(_) | Self::Desk { .. } | Self::Unclear { .. } | Self::Survivor(_) => {
                ErrorKind::Unavailable
            }
            Self::Refused { kind, .. } => *kind,
            Self::Shared { .. } => ErrorKind::Storage,
            Self::Taken(_) => ErrorKind::Conflict,
        }
    }
}
