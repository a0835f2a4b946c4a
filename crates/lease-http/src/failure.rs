//! What a call that did not succeed means: its class, and whether it may have changed something.
//!
//! The table here is for providers that document nothing. A provider that documents an error code says what it means
//! with [`Failure::error`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use lease_core::{Effect, Error, ErrorKind};
use serde::de::DeserializeOwned;

use crate::heading::{Heading, RateLimit};
use crate::{Redactor, Stage, WireError};

/// A call without an answer of success.
///
/// It becomes an [`Error`] with `?`, by the default table, or with [`Failure::error`], by somebody who knows better.
/// Every text in it is redacted already, so it may be shown as a whole.
#[derive(Clone)]
#[non_exhaustive]
pub struct Failure {
    operation: &'static str,
    method: Method,
    cause: Cause,
    redactor: Arc<Redactor>,
}

/// Where the call ended.
#[derive(Clone)]
enum Cause {
    /// Before the wire: the call cannot be sent.
    Unsendable(String),
    /// On the wire.
    Wire(WireError),
    /// With an answer, which is boxed because it is much larger than the others.
    Refusal(Box<Refusal>),
}

/// An answer that is not a success.
#[derive(Clone)]
struct Refusal {
    status: StatusCode,
    heading: Heading,
    body: String,
}

impl Failure {
    pub(crate) fn unsendable(
        method: Method,
        error: &Error,
        operation: &'static str,
        redactor: Arc<Redactor>,
    ) -> Self {
        let message = redactor.excerpt(error.message());
        Self { operation, method, cause: Cause::Unsendable(message), redactor }
    }

    pub(crate) fn wire(
        method: Method,
        mut error: WireError,
        operation: &'static str,
        redactor: Arc<Redactor>,
    ) -> Self {
        error.message = redactor.excerpt(&error.message);
        Self { operation, method, cause: Cause::Wire(error), redactor }
    }

    /// The failure that a complete answer is when its status is not one of success.
    pub(crate) fn refusal(answer: &crate::Answer) -> Self {
        // What is not text is of no use to anybody who refines this, and only text can be redacted.
        let body = answer.redactor.redact(&String::from_utf8_lossy(&answer.body));
        let refusal = Refusal { status: answer.status, heading: answer.heading.clone(), body };
        Self {
            operation: answer.operation,
            method: answer.method.clone(),
            cause: Cause::Refusal(Box::new(refusal)),
            redactor: Arc::clone(&answer.redactor),
        }
    }

    /// The status of the answer; `None` when there was no answer.
    pub fn status(&self) -> Option<StatusCode> {
        self.answered().map(|it| it.status)
    }

    /// How far a call without an answer had come; `None` when there was an answer.
    pub fn stage(&self) -> Option<Stage> {
        match &self.cause {
            Cause::Unsendable(_) => Some(Stage::NotSent),
            Cause::Wire(error) => Some(error.stage),
            Cause::Refusal(_) => None,
        }
    }

    /// The body of the answer, redacted; empty when there was no answer.
    pub fn body(&self) -> &str {
        self.answered().map_or("", |it| &it.body)
    }

    /// The body of the answer as a value, if it is one; this is how a provider reads its own error codes.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.body()).ok()
    }

    /// How many calls are left.
    pub fn rate_limit(&self) -> RateLimit {
        self.answered().map(|it| it.heading.rate_limit).unwrap_or_default()
    }

    /// How long the other side asked to wait, at most 15 minutes. Where it only said when its rate limit ends, that
    /// counts for at most a minute.
    pub fn retry_after(&self) -> Option<Duration> {
        self.answered().and_then(|it| it.heading.retry_after)
    }

    /// What the other side calls this exchange.
    pub fn correlation_id(&self) -> Option<&str> {
        self.answered().and_then(|it| it.heading.correlation_id.as_deref())
    }

    /// What was being done.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The class by the default table.
    pub fn kind(&self) -> ErrorKind {
        match &self.cause {
            Cause::Unsendable(_) => ErrorKind::Invalid,
            Cause::Wire(error) => error.kind,
            Cause::Refusal(refusal) => kind_of(refusal.status),
        }
    }

    /// Whether the call may have changed something, by the default table.
    pub fn effect(&self) -> Effect {
        if is_read(&self.method) || self.stage() == Some(Stage::NotSent) {
            return Effect::None;
        }
        self.status().map_or(Effect::Unknown, effect_of_mutation)
    }

    /// The error by the default table, with the beginning of the body as its message.
    pub fn to_error(&self) -> Error {
        let message = match &self.cause {
            Cause::Unsendable(message) => message.clone(),
            Cause::Wire(error) => error.message.clone(),
            Cause::Refusal(refusal) if refusal.body.trim().is_empty() => {
                format!("the answer was {}", refusal.status)
            }
            Cause::Refusal(refusal) => {
                format!(
                    "the answer was {}: {}",
                    refusal.status,
                    self.redactor.excerpt(&refusal.body)
                )
            }
        };
        self.finish(self.kind(), self.effect(), message)
    }

    /// The error by the provider's own documentation. The message is redacted and shortened here; the wait that the
    /// other side asked for and its correlation id are added.
    ///
    /// [`Effect::None`] is claimed for a mutation only where the documentation says that the call was refused.
    pub fn error(&self, kind: ErrorKind, effect: Effect, message: impl AsRef<str>) -> Error {
        self.finish(kind, effect, self.redactor.excerpt(message.as_ref()))
    }

    fn finish(&self, kind: ErrorKind, effect: Effect, message: String) -> Error {
        let Some(refusal) = self.answered() else {
            return Error::new(kind, effect, self.operation, message);
        };
        let message = with_correlation(message, &refusal.heading);
        let error = Error::new(kind, effect, self.operation, message);
        match refusal.heading.retry_after {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }

    fn answered(&self) -> Option<&Refusal> {
        match &self.cause {
            Cause::Refusal(refusal) => Some(refusal),
            Cause::Unsendable(_) | Cause::Wire(_) => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.to_error()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_error().fmt(f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("method", &self.method)
            .field("status", &self.status())
            .field("stage", &self.stage())
            .field("error", &self.to_error())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Failure {}

/// Whether the method changes nothing by its definition (RFC 9110, section 9.2.1).
pub(crate) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// `message` with the other side's name for the exchange at its end, where a person looks for it.
pub(crate) fn with_correlation(message: String, heading: &Heading) -> String {
    match &heading.correlation_id {
        Some(id) => format!("{message} (correlation id {id})"),
        None => message,
    }
}

/// What a status says about a mutation that nothing else is known of.
///
/// Only what says that the request itself was looked at and turned down proves that nothing happened. A conflict, a
/// lock, a rate limit, a redirect and every failure of the server may come after a part of the work.
fn effect_of_mutation(status: StatusCode) -> Effect {
    match status.as_u16() {
        400 | 401 | 403 | 404 | 405 | 406 | 410 | 411 | 413 | 415 | 422 | 501 => Effect::None,
        _ => Effect::Unknown,
    }
}

/// The class of a status that nothing else is known of.
fn kind_of(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        400 | 406 | 411 | 413 | 414 | 415 | 422 | 431 => ErrorKind::Invalid,
        401 | 402 | 403 | 407 | 451 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        405 | 501 => ErrorKind::Unsupported,
        408 | 504 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        423 => ErrorKind::Busy,
        412 | 425 | 429 => ErrorKind::Unavailable,
        500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Protocol,
    }
}
