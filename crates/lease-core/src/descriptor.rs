//! What a provider can do and promise, as data: docs, matrix, engine and tests read this one definition.

use std::time::Duration;

use serde::Serialize;

/// The capabilities and promises of one provider.
#[derive(Clone, Debug, Serialize)]
pub struct Descriptor {
    /// The registered name.
    pub name: &'static str,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// One line for people.
    pub summary: &'static str,
    /// Who ends a lease that everybody forgot (invariant I11).
    pub ends_abandoned: EndsAbandoned,
    /// What proves that a resource is ours (invariant I5).
    pub ownership: Ownership,
    /// How the host key is known (invariant I13).
    pub host_key: HostKeyTrust,
    /// Whether, and how, a create may be repeated (invariant I3).
    pub replay: Replay,
    /// How long an accepted create may stay invisible, and a deleted resource may linger (invariant I4).
    #[serde(serialize_with = "as_millis", rename = "settle_ms")]
    pub settle: Duration,
    /// How long after it was sent a create without an answer may still take effect (invariant I4).
    #[serde(serialize_with = "as_millis", rename = "landing_ms")]
    pub landing: Duration,
    /// Whether a resource shows the lease's deadline, so that it has to be moved with it.
    pub shows_deadline: bool,
    /// Whether the box isolates what runs on it from the machine it is on.
    pub sandbox: bool,
    /// The kinds of resource it makes, in order of creation.
    pub resources: &'static [&'static str],
    /// What the provider cannot promise, in one sentence, for the matrix.
    pub caveat: &'static str,
}

/// Who ends an abandoned lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndsAbandoned {
    /// The provider itself, for instance by a wall time.
    Provider,
    /// The box ends itself.
    Box,
    /// Only a reaper.
    Reaper,
}

/// What proves that a resource is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// The provider stores our marks on the resource and shows them again.
    Marks,
    /// There is nowhere to put marks: only the id in the answer to our own create, or a login with the lease's own key.
    CreateAnswer,
}

/// How the host key is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostKeyTrust {
    /// It is placed or learnt over a trusted path before the first contact.
    Pinned,
    /// It is taken at the first contact.
    FirstUse,
}

/// Whether a create may be repeated while its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// Never: only searching settles it.
    Never,
    /// Always: the name (or our marks) is unique, so a repetition cannot make a second one.
    UniqueName,
    /// The provider honours an idempotency key for so long after the first attempt.
    Key {
        /// The promise, in milliseconds, already shortened by a margin.
        window_ms: u64,
    },
}

fn as_millis<S: serde::Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(crate::time::millis(*span))
}
