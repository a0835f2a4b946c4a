//! One error type that says what happened to the world, because "did it get created?" is the billable question.
//!
//! [`Effect`] has no default: whoever makes an error decides, in that line, whether the failed call may have changed
//! anything outside this process. Everything that retries, settles or cleans up later reads that decision.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Whether a failed call may have changed something outside this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is proven that nothing was changed.
    None,
    /// The change may have happened, may still happen, or may not have happened.
    Unknown,
}

/// What class of thing went wrong; callers branch on this and never on text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong; repeating it cannot help.
    Invalid,
    /// The provider or this build does not offer what was asked for.
    Unsupported,
    /// The credentials were refused.
    Denied,
    /// What was named does not exist.
    NotFound,
    /// Somebody else was first: a name is taken, or a record moved on.
    Conflict,
    /// The provider has no machine of the wanted kind at the moment.
    Capacity,
    /// The other side could not be reached or is overloaded.
    Unavailable,
    /// A deadline passed.
    Timeout,
    /// The other side answered something that does not make sense.
    Protocol,
    /// A record on disk cannot be read.
    Corrupt,
    /// A record on disk was written by a newer version of this program.
    NewerFormat,
    /// A disk is full, read-only or failing.
    Storage,
    /// Another process is working on the same lease right now.
    Busy,
    /// A safety rule forbids the action; a person has to look.
    Refused,
    /// The credentials belong to another account than the lease does.
    ScopeChanged,
    /// The caller asked for the work to stop.
    Interrupted,
    /// The program contradicted itself.
    Internal,
}

impl ErrorKind {
    /// Whether the lease cannot go on until a person looked at it.
    pub fn needs_person(self) -> bool {
        matches!(
            self,
            Self::Refused | Self::ScopeChanged | Self::Corrupt | Self::NewerFormat | Self::Denied
        )
    }

    /// The stable lower-case name that JSON output and journals use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Capacity => "capacity",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Corrupt => "corrupt",
            Self::NewerFormat => "newer_format",
            Self::Storage => "storage",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::ScopeChanged => "scope_changed",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether the same call may be made again, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call will fail the same way.
    Never,
    /// The same call may succeed later; the other side may have said how long to wait.
    After(Option<Duration>),
}

/// An error with its class, its effect on the world, and the operation that failed.
///
/// `Display` prints the operation and the message, never the source: printing the chain is the reader's choice.
/// Messages are lower-case fragments without secrets.
pub struct Error {
    kind: ErrorKind,
    effect: Effect,
    retry_after: Option<Duration>,
    operation: Cow<'static, str>,
    message: String,
    source: Option<Source>,
}

impl Error {
    /// Makes an error; the effect is not optional.
    pub fn new(
        kind: ErrorKind,
        effect: Effect,
        operation: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            effect,
            retry_after: None,
            operation: operation.into(),
            message: message.into(),
            source: None,
        }
    }

    /// Makes an error of a call that provably changed nothing.
    pub fn harmless(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(kind, Effect::None, operation, message)
    }

    /// Makes an error of a call that may have changed something.
    pub fn unsettled(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(kind, Effect::Unknown, operation, message)
    }

    /// Adds the lower-level cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds how long the other side asked us to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the failed call may have changed something.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self.kind {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Protocol | ErrorKind::Busy => {
                Retry::After(self.retry_after)
            }
            ErrorKind::Conflict | ErrorKind::Capacity | ErrorKind::Storage => {
                Retry::After(self.retry_after)
            }
            ErrorKind::Invalid
            | ErrorKind::Unsupported
            | ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::Corrupt
            | ErrorKind::NewerFormat
            | ErrorKind::Refused
            | ErrorKind::ScopeChanged
            | ErrorKind::Interrupted
            | ErrorKind::Internal => Retry::Never,
        }
    }

    /// How long the other side asked us to wait before the same call, if it did.
    pub fn asked_to_wait(&self) -> Option<Duration> {
        match self.retry() {
            Retry::After(at_least) => at_least,
            Retry::Never => None,
        }
    }

    /// What was being done.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// What went wrong, without the operation.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("effect", &self.effect)
            .field("operation", &self.operation)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|it| it as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_does_not_repeat_the_source() {
        let error = Error::unsettled(ErrorKind::Timeout, "create server", "no answer within 30 s")
            .with_source(std::io::Error::other("inner words"));
        assert_eq!(error.to_string(), "create server: no answer within 30 s");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn an_error_says_what_was_done_and_when_to_try_again() {
        let wait = Duration::from_secs(7);
        let late = Error::unsettled(ErrorKind::Unavailable, "create server", "no answer");
        assert_eq!((late.operation(), late.message()), ("create server", "no answer"));
        assert_eq!((late.retry(), late.asked_to_wait()), (Retry::After(None), None));
        let told = late.with_retry_after(wait);
        assert_eq!((told.retry(), told.asked_to_wait()), (Retry::After(Some(wait)), Some(wait)));
        let never =
            Error::harmless(ErrorKind::Denied, "create server", "no").with_retry_after(wait);
        assert_eq!((never.retry(), never.asked_to_wait()), (Retry::Never, None));
        let shown = format!("{never:?}");
        assert!(shown.contains("Denied") && shown.contains("create server"), "{shown}");
    }

    #[test]
    fn a_person_is_needed_where_nothing_gets_better_by_itself() {
        use ErrorKind as K;
        let needed = [K::Refused, K::ScopeChanged, K::Corrupt, K::NewerFormat, K::Denied];
        assert!(needed.into_iter().all(K::needs_person));
        let passing = [K::Unavailable, K::Timeout, K::Busy, K::Capacity, K::NotFound, K::Protocol];
        assert!(!passing.into_iter().any(K::needs_person));
    }

    #[test]
    fn names_are_the_serde_names() {
        for kind in
            [ErrorKind::NotFound, ErrorKind::NewerFormat, ErrorKind::ScopeChanged, ErrorKind::Busy]
        {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
