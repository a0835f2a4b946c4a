//! What can go wrong between us and the vendor, and what each of it may have changed. Reviewers read this file first.

use lease_core::error::Effect;
use lease_core::{Error, ErrorKind};

/// Why a call of the vendor came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// A configured value cannot be used.
    #[error("`{what}` of the provider sample cannot be used: {why}")]
    Config {
        /// The configured value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The request asks for something that does not exist here.
    #[error("{0}")]
    Request(String),
    /// The vendor refused in words that we understand, before anything took effect.
    ///
    /// VENDOR: only an answer that is documented to mean that belongs here, such as most of 4xx.
    #[error("sample refused: {0}")]
    Refused(String),
    /// What has the id is not the machine that was meant.
    #[error("{0} does not carry the labels of this lease; it was left alone")]
    Foreign(String),
    /// There was no answer: a timeout, a reset, a 5xx.
    #[error("sample did not answer: {0}")]
    Silent(#[from] std::io::Error),
    /// There was an answer that cannot be read.
    #[error("sample answered something that cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl SampleError {
    /// The error for the engine, of a call that only looks.
    pub(crate) fn of_look(self, operation: &'static str) -> Error {
        self.with_effect(Effect::None, operation)
    }

    /// The error for the engine, of a call that was to change something.
    pub(crate) fn of_change(self, operation: &'static str) -> Error {
        let effect = match self {
            Self::Config { .. } | Self::Request(_) | Self::Refused(_) | Self::Foreign(_) => {
                Effect::None
            }
            Self::Silent(_) | Self::Unreadable(_) => Effect::Unknown,
        };
        self.with_effect(effect, operation)
    }

    fn with_effect(self, effect: Effect, operation: &'static str) -> Error {
        let kind = match self {
            Self::Config { .. } | Self::Request(_) | Self::Refused(_) => ErrorKind::Invalid,
            Self::Foreign(_) => ErrorKind::Conflict,
            Self::Silent(_) => ErrorKind::Unavailable,
            Self::Unreadable(_) => ErrorKind::Protocol,
        };
        Error::new(kind, effect, operation, self.to_string()).with_source(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: SampleError, kind: ErrorKind, effect: Effect) {
        let told = error.of_change("create a machine");
        assert_eq!((told.kind(), told.effect()), (kind, effect), "{told}");
    }

    #[test]
    fn only_a_readable_refusal_proves_that_nothing_was_changed() {
        let broken = || serde_json::from_str::<u8>("{").unwrap_err();
        check(SampleError::Refused("no".to_owned()), ErrorKind::Invalid, Effect::None);
        check(SampleError::Foreign("7".to_owned()), ErrorKind::Conflict, Effect::None);
        check(std::io::Error::other("reset").into(), ErrorKind::Unavailable, Effect::Unknown);
        check(broken().into(), ErrorKind::Protocol, Effect::Unknown);
        assert_eq!(SampleError::from(broken()).of_look("look").effect(), Effect::None);
    }
}
