//! What can go wrong between an adapter and us, and what the engine is told about it.

use std::path::PathBuf;
use std::time::Duration;

use lease_core::error::Effect;
use lease_core::{Error, ErrorKind};
use lease_process::{Exit, ProcessError};

/// Why an operation of an adapter came to nothing usable.
///
/// No variant carries a request, an environment or standard output; what the adapter wrote for people is carried, cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalError {
    /// A configured value cannot be used.
    #[error("`{what}` of the external provider cannot be used: {why}")]
    Config {
        /// The configured value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A request of ours that no adapter can fulfil.
    #[error("{0}")]
    Request(String),
    /// A process could not be started, fed, read or waited for.
    #[error("the adapter: {0}")]
    Process(#[from] ProcessError),
    /// The adapter took too long; its process group was ended.
    #[error("the adapter did not answer `{operation}` within {after:?} and was ended")]
    Deadline {
        /// What it was asked.
        operation: &'static str,
        /// The time it had.
        after: Duration,
    },
    /// The adapter wrote more than is read; its process group was ended.
    #[error("the adapter wrote more than {bytes_max} bytes to its {stream} and was ended")]
    Overflow {
        /// Which stream.
        stream: &'static str,
        /// The cap.
        bytes_max: usize,
    },
    /// The adapter failed by its status.
    #[error("the adapter ended with {status}: {said}")]
    Failed {
        /// How it ended.
        status: Exit,
        /// What it said to people, or that it said nothing.
        said: String,
        /// What it says that it changed.
        effect: Effect,
    },
    /// The adapter failed by its answer.
    #[error("the adapter refused: {said}")]
    Refused {
        /// Its words.
        said: String,
        /// What it says that it changed.
        effect: Effect,
    },
    /// The answer is not one JSON document of the protocol.
    #[error("the adapter's answer to `{operation}` cannot be used: {why}")]
    Answer {
        /// What it was asked.
        operation: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The answer is about something else than what was asked for.
    #[error("the adapter changed the identity of the lease: {0}")]
    Identity(String),
    /// The answer says how to log in, and the configuration does not trust it to.
    #[error(
        "the adapter says how to log in, and `trust_provider_output` is off: turn it on in your own configuration if \
         you trust this adapter"
    )]
    Untrusted,
    /// What the answer says about logging in cannot be handed to ssh.
    #[error("the adapter's `ssh.{field}` cannot be used: {why}")]
    Login {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A private key that the answer names is not private.
    #[error("the key file {} that the adapter names cannot be used: {why}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// An acquire that another process began is still going on.
    #[error(
        "an adapter is still at work on this lease (pid {0}); if it hangs, end it with `kill {0}`"
    )]
    StillAtWork(String),
}

impl ExternalError {
    pub(crate) fn config(what: &'static str, why: impl Into<String>) -> Self {
        Self::Config { what, why: why.into() }
    }

    pub(crate) fn answer(operation: &'static str, why: impl Into<String>) -> Self {
        Self::Answer { operation, why: why.into() }
    }

    pub(crate) fn login(field: &'static str, why: impl Into<String>) -> Self {
        Self::Login { field, why: why.into() }
    }

    /// The error for the engine, of an operation that changes nothing by the protocol.
    pub(crate) fn harmless(self, doing: &'static str) -> Error {
        self.with_effect(Effect::None, doing)
    }

    /// The error for the engine, of an operation that changes something. Only what never ran, or what the adapter
    /// itself declares to have changed nothing, is harmless.
    pub(crate) fn unsettled(self, doing: &'static str) -> Error {
        let effect = match &self {
            Self::Config { .. } | Self::Request(_) => Effect::None,
            Self::Process(error) if !error.may_have_run() => Effect::None,
            Self::Failed { effect, .. } | Self::Refused { effect, .. } => *effect,
            Self::Process(_)
            | Self::Deadline { .. }
            | Self::Overflow { .. }
            | Self::Answer { .. }
            | Self::Identity(_)
            | Self::Untrusted
            | Self::Login { .. }
            | Self::KeyFile { .. }
            | Self::StillAtWork(_) => Effect::Unknown,
        };
        self.with_effect(effect, doing)
    }

    fn with_effect(self, effect: Effect, doing: &'static str) -> Error {
        Error::new(self.kind(), effect, doing, self.to_string()).with_source(self)
    }

    /// The class that callers branch on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config { .. } | Self::Request(_) => ErrorKind::Invalid,
            Self::Process(error) if !error.may_have_run() => ErrorKind::Invalid,
            Self::Process(_) | Self::Failed { .. } | Self::Refused { .. } => ErrorKind::Unavailable,
            Self::Deadline { .. } => ErrorKind::Timeout,
            Self::Overflow { .. } | Self::Answer { .. } | Self::Login { .. } => ErrorKind::Protocol,
            Self::Identity(_) => ErrorKind::Conflict,
            Self::Untrusted | Self::KeyFile { .. } => ErrorKind::Refused,
            Self::StillAtWork(_) => ErrorKind::Busy,
        }
    }
}
