//! What can go wrong on this side, before anything is sent; what Hetzner answers is judged in `refusal`.

use lease_core::{Error, ErrorKind};

/// Why a call was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HetznerError {
    /// A configured value cannot be used.
    #[error("`{what}` of the hetzner provider cannot be used: {why}")]
    Config {
        /// The configured value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There is no token.
    #[error(
        "HCLOUD_TOKEN is not set; set it to a read-and-write token of the project to use hetzner"
    )]
    NoToken,
    /// The request asks for something that cannot be had.
    #[error("{0}")]
    Request(String),
    /// A record of ours does not fit this version.
    #[error("{0}")]
    Record(String),
}

impl HetznerError {
    /// The error for the engine. Nothing was sent, so nothing was changed.
    pub(crate) fn harmless(self, operation: &'static str) -> Error {
        let kind = match self {
            Self::Config { .. } | Self::Request(_) => ErrorKind::Invalid,
            Self::NoToken => ErrorKind::Unsupported,
            Self::Record(_) => ErrorKind::Internal,
        };
        Error::harmless(kind, operation, self.to_string()).with_source(self)
    }
}
