//! What can go wrong on this side, before anything is sent; what fal answers is judged in [`crate::refusal`].

use lease_core::{Error, ErrorKind};

/// Why a call was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FalError {
    /// A configured value cannot be used.
    #[error("`{what}` of the fal provider cannot be used: {why}")]
    Config {
        /// The configured value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There is no key.
    #[error("FAL_KEY is not set; set it to an API key of admin scope to use fal")]
    NoKey,
    /// The request asks for something that fal does not offer.
    #[error("{0}")]
    Request(String),
}

impl FalError {
    /// The error for the engine. Nothing was sent, so nothing was changed.
    pub(crate) fn harmless(self, operation: &'static str) -> Error {
        let kind = match self {
            Self::Config { .. } | Self::Request(_) => ErrorKind::Invalid,
            Self::NoKey => ErrorKind::Unsupported,
        };
        Error::harmless(kind, operation, self.to_string()).with_source(self)
    }
}
