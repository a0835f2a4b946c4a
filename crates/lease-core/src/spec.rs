//! What a caller asks for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// The machine that is wanted. Plain data: the same in a file, on a wire and in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Spec {
    /// The provider's registered name.
    pub provider: String,
    /// A size by name (`tiny` … `beast`); the provider maps it to ordered machine types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// An explicit machine type; no fallback is tried when it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// Options that only this provider understands; it refuses what it does not know.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub options: serde_json::Map<String, serde_json::Value>,
}

impl Spec {
    /// A wish for any machine of `provider`.
    pub fn new(provider: impl Into<String>) -> Self {
        Self { provider: provider.into(), ..Self::default() }
    }
}

/// What ends a lease when nobody releases it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// The lease ends with the process that opened it.
    WithOwner,
    /// The lease ends at its deadlines.
    UntilDeadline,
    /// Nothing automatic deletes anything of it (invariant I7).
    Keep,
}

/// When a lease ends at the latest. Spans are in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// Ends the lease so long after its last use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// Ends the lease at this time, used or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Deadlines {
    /// Deadlines counted from `now`.
    ///
    /// # Errors
    /// A zero span would end the lease while it is being made.
    pub fn from_spans(
        now: Timestamp,
        idle: Option<Duration>,
        total: Option<Duration>,
    ) -> Result<Self> {
        if idle.is_some_and(|it| it.is_zero()) || total.is_some_and(|it| it.is_zero()) {
            return Err(Error::harmless(
                ErrorKind::Invalid,
                "read the deadlines",
                "a lease time of zero ends at once",
            ));
        }
        Ok(Self {
            idle_ms: idle.map(crate::time::millis),
            expires_at: total.map(|it| now.after(it)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_deadlines_and_none_of_them_is_zero() {
        let (now, second) = (Timestamp::from_millis(7), Duration::from_secs(1));
        let read = |idle, total| Deadlines::from_spans(now, idle, total);
        let both = read(Some(second), Some(second * 2)).unwrap();
        assert_eq!(
            (both.idle_ms, both.expires_at),
            (Some(1_000), Some(Timestamp::from_millis(2_007)))
        );
        assert_eq!(read(None, None).unwrap(), Deadlines::default());
        let zero = Some(Duration::ZERO);
        for (idle, total) in
            [(zero, None), (None, zero), (zero, Some(second)), (Some(second), zero)]
        {
            assert_eq!(read(idle, total).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
