//! Why a network could not be made or asked.

use std::io;

/// Something that the network needs and the machine does not give.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct NetError {
    what: String,
    source: io::Error,
}

impl NetError {
    /// An error of the system, with what was tried.
    pub(crate) fn new(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { what: what.into(), source: source.into() }
    }

    /// Something that is wrong without the system having said so.
    pub(crate) fn other(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(what, io::Error::other(why.into()))
    }
}
