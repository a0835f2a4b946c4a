//! What carries one request to the other side and back, so that a test can stand where the network would.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use lease_core::ErrorKind;

/// Something that sends a request once.
///
/// An implementation never repeats a request, never follows a redirect and never answers from a cache: whoever counts
/// sends must be able to count calls. It may be anything that keeps these rules; nothing here assumes a socket.
///
/// # Cancel safety
///
/// A dropped exchange may have reached the other side; whoever drops it treats it as [`Stage::Lost`].
#[async_trait]
pub trait Wire: fmt::Debug + Send + Sync {
    /// Sends the request once and reads the whole answer, whatever its status; both together take at most `deadline`.
    ///
    /// # Errors
    /// When there is no complete answer. The stage says whether the other side may have seen the request.
    async fn exchange(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, WireError>;
}

/// How far a request that got no answer had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is proven that no byte of the request reached the other side: there was no connection to send it on.
    NotSent,
    /// The other side may have acted on it.
    Lost,
}

/// Why there is no answer.
///
/// The message is text of the machine and the network. [`Client`](crate::Client) redacts it before it goes further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WireError {
    /// How far the request had come.
    pub stage: Stage,
    /// The class of the failure.
    pub kind: ErrorKind,
    /// What happened, in lower case.
    pub message: String,
}

impl WireError {
    /// A request of which provably nothing was sent.
    pub fn not_sent(message: impl Into<String>) -> Self {
        Self { stage: Stage::NotSent, kind: ErrorKind::Unavailable, message: message.into() }
    }

    /// A request that the other side may have acted on.
    pub fn lost(message: impl Into<String>) -> Self {
        Self { stage: Stage::Lost, kind: ErrorKind::Unavailable, message: message.into() }
    }

    /// The same failure in another class.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }
}
