//! An answer with a status of success, and what it means if its body cannot be read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use lease_core::{Effect, Error, ErrorKind};
use serde::de::DeserializeOwned;

use crate::heading::{Heading, RateLimit};
use crate::{Redactor, failure};

/// A complete answer with a 2xx status. `Debug` shows nothing of its body.
#[derive(Clone)]
#[non_exhaustive]
pub struct Answer {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) status: StatusCode,
    pub(crate) heading: Heading,
    pub(crate) body: Bytes,
    pub(crate) redactor: Arc<Redactor>,
}

impl Answer {
    /// The status; always one of success.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body as it came. It is not redacted: it may hold what the call asked for.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as a value.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when it is something else. After a mutation the effect is unknown: the other side did
    /// something, and it cannot be read what.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| self.unusable(&format!("the answer cannot be read: {error}")))
    }

    /// The error for an answer that succeeded and does not make sense, such as one that lacks the new id.
    pub fn unusable(&self, why: &str) -> Error {
        let message = failure::with_correlation(self.redactor.excerpt(why), &self.heading);
        Error::new(ErrorKind::Protocol, self.unsettled_effect(), self.operation, message)
    }

    /// How many calls are left.
    pub fn rate_limit(&self) -> RateLimit {
        self.heading.rate_limit
    }

    /// How long the other side asked to wait, at most 15 minutes.
    pub fn retry_after(&self) -> Option<Duration> {
        self.heading.retry_after
    }

    /// What the other side calls this exchange.
    pub fn correlation_id(&self) -> Option<&str> {
        self.heading.correlation_id.as_deref()
    }

    /// The body's media type.
    pub fn content_type(&self) -> Option<&str> {
        self.heading.content_type.as_deref()
    }

    fn unsettled_effect(&self) -> Effect {
        if failure::is_read(&self.method) { Effect::None } else { Effect::Unknown }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("operation", &self.operation)
            .field("method", &self.method)
            .field("status", &self.status)
            .field("heading", &self.heading)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
