//! The journal of a lease: one typed, versioned event a line. It is the only truth; a claim is its fold.
//!
//! A last line without its newline was never acknowledged, so it is dropped. Anything else that cannot be read makes
//! that one lease unreadable and is never skipped over.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::host::Reach;
use crate::id::{InstallationId, LeaseId, Nonce, ResourceId, ResourceName, Slug};
use crate::owner::Owner;
use crate::scope::Scope;
use crate::spec::{Deadlines, Retention, Spec};
use crate::state::Move;
use crate::time::{Steady, Timestamp};

/// The version of the line format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// The most bytes of one journal that are read; a longer one is reported as corrupt.
pub const JOURNAL_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The number of an event in its journal, counted from 1 (invariant I10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(NonZeroU64);

impl Sequence {
    /// The first event's number.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The number `count` events later.
    #[must_use]
    pub fn plus(self, count: usize) -> Self {
        Self(self.0.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)))
    }

    /// The plain number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format of this line.
    pub v: u32,
    /// Its number.
    pub seq: Sequence,
    /// When it was written, by the writer's clock.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What can happen to a lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Event {
    /// The lease begins. Always the first event and only the first.
    Opened(Box<Opened>),
    /// The resources of one candidate are about to be created, in this order.
    Intended(Vec<Intended>),
    /// Something happened to one resource.
    Resource {
        /// The resource's place in the lease, counted from 0 over all candidates.
        index: usize,
        /// What happened to it.
        change: Change,
    },
    /// The candidate failed; its resources are rolled back and the next one may be tried.
    CandidateFailed {
        /// The candidate's number, counted from 0.
        candidate: usize,
        /// The class of the failure.
        kind: ErrorKind,
        /// The failure in words.
        message: String,
    },
    /// A login worked; this is how.
    Ready(Reach),
    /// The lease was used; its deadlines may have moved.
    Touched(Deadlines),
    /// Another process is responsible for the lease now; `None`: only its deadlines are.
    OwnerChanged {
        /// The new owner.
        owner: Option<Owner>,
        /// What ends the lease from now on.
        retention: Retention,
    },
    /// Nothing automatic may delete anything of this lease (invariant I7).
    Kept {
        /// Who asked and why.
        why: String,
    },
    /// The lease is being given back. There is no event that undoes it (invariant I6).
    Releasing {
        /// Who asked and why.
        why: String,
        /// Whether a person ended a keep with it. It stands in the same event, so that no crash can part the two.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ends_keep: bool,
    },
    /// A release could not be completed; it stays a release.
    Delayed {
        /// The class of the obstacle.
        kind: ErrorKind,
        /// The obstacle in words.
        message: String,
        /// When it is worth trying again.
        retry_at: Timestamp,
    },
}

/// How a lease begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// The new lease.
    pub lease: LeaseId,
    /// Its short name.
    pub slug: Slug,
    /// Which installation opened it.
    pub installation: InstallationId,
    /// In which account it lives, verified just before.
    pub scope: Scope,
    /// What was asked for.
    pub spec: Spec,
    /// Who opened it.
    pub owner: Option<Owner>,
    /// What ends it.
    pub retention: Retention,
    /// When it ends at the latest.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// The directory or purpose it was opened for, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
}

/// Whose resource it is (invariant I8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// This lease creates it and destroys it.
    Own,
    /// It existed before and was named by the user or found; it is referenced and never destroyed.
    Referenced,
}

/// A resource that is about to be created, with everything that its exact request is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intended {
    /// The number of the candidate it belongs to, counted from 0.
    pub candidate: usize,
    /// Its kind in the provider's terms.
    pub kind: String,
    /// Whose it is.
    pub disposition: Disposition,
    /// The name it will have.
    pub name: ResourceName,
    /// Its mark and idempotency key.
    pub nonce: Nonce,
    /// The provider's own exact request.
    pub request: serde_json::Value,
    /// The public key that may log in.
    pub public_key: String,
    /// The id of a referenced resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ResourceId>,
}

/// What happened to one resource, with the data that goes with the [`Move`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Change {
    /// See [`Move::Sent`].
    Sent {
        /// What the steady clock showed, for whoever must know how long ago that was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steady: Option<Steady>,
    },
    /// See [`Move::NeverSent`].
    NeverSent,
    /// See [`Move::Created`].
    Created {
        /// The id in the answer.
        id: ResourceId,
    },
    /// See [`Move::Rejected`].
    Rejected {
        /// The class of the refusal.
        kind: ErrorKind,
        /// The refusal in words.
        message: String,
    },
    /// See [`Move::Lost`].
    Lost {
        /// What was met instead of an answer.
        message: String,
    },
    /// See [`Move::Resent`].
    Resent {
        /// What the steady clock showed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steady: Option<Steady>,
    },
    /// See [`Move::Found`].
    Found {
        /// The id that the search showed.
        id: ResourceId,
    },
    /// See [`Move::Found`]; where nothing else proves ownership, a login with the lease's own key did.
    Recognised {
        /// The id of the machine that took the key.
        id: ResourceId,
    },
    /// See [`Move::Adopted`].
    Adopted {
        /// The id of what exists already.
        id: ResourceId,
    },
    /// See [`Move::DestroySent`].
    DestroySent,
    /// See [`Move::ProvenAbsent`].
    ProvenAbsent(Absence),
}

/// Why a resource is known to be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// How many resources the complete listing had that did not show it.
    pub listed: usize,
    /// For how long it was absent without a break, in milliseconds of monotonic time.
    pub absent_for_ms: u64,
}

impl Change {
    /// The move of the state machine that this is.
    pub fn step(&self) -> Move {
        match self {
            Self::Sent { .. } => Move::Sent,
            Self::NeverSent => Move::NeverSent,
            Self::Created { .. } => Move::Created,
            Self::Rejected { .. } => Move::Rejected,
            Self::Lost { .. } => Move::Lost,
            Self::Resent { .. } => Move::Resent,
            Self::Found { .. } | Self::Recognised { .. } => Move::Found,
            Self::Adopted { .. } => Move::Adopted,
            Self::DestroySent => Move::DestroySent,
            Self::ProvenAbsent(_) => Move::ProvenAbsent,
        }
    }
}

/// The events as lines, numbered from `first`.
///
/// # Errors
/// When an event cannot be written as JSON, which would be a defect of its type.
pub fn encode(first: Sequence, at: Timestamp, events: &[Event]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(events.len() * 256);
    for (offset, event) in events.iter().enumerate() {
        let line = Line { v: FORMAT, seq: first.plus(offset), at, event };
        serde_json::to_writer(&mut bytes, &line).map_err(|error| {
            Error::harmless(
                ErrorKind::Internal,
                "write a journal line",
                "an event is not valid JSON",
            )
            .with_source(error)
        })?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    seq: Sequence,
    at: Timestamp,
    event: &'a Event,
}

/// Reads the acknowledged records one by one. What follows the last newline was never acknowledged and is left out.
///
/// Each item may be [`ErrorKind::NewerFormat`] when its line was written by a newer program, or [`ErrorKind::Corrupt`]
/// for everything else that is not the next line of a journal of this format; nothing after it means anything.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = Result<Record>> + '_ {
    let complete = bytes.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
    bytes[..complete].split_inclusive(|it| *it == b'\n').enumerate().map(|(number, line)| {
        let record = decode_line(line, number + 1)?;
        if record.seq == Sequence::FIRST.plus(number) {
            return Ok(record);
        }
        let message = format!("line {} has number {}", number + 1, record.seq.get());
        Err(Error::harmless(ErrorKind::Corrupt, "read the journal", message))
    })
}

/// Reads only the number of the last acknowledged line and the length of the acknowledged part.
///
/// # Errors
/// As [`decode`], for the last line alone.
pub fn decode_tail(bytes: &[u8]) -> Result<Option<(Sequence, u64)>> {
    let Some(end) = bytes.iter().rposition(|it| *it == b'\n') else { return Ok(None) };
    let start = bytes[..end].iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
    let number = bytes[..end].split(|it| *it == b'\n').count();
    let record = decode_line(&bytes[start..=end], number)?;
    Ok(Some((record.seq, end as u64 + 1)))
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

fn decode_line(line: &[u8], number: usize) -> Result<Record> {
    let error = match serde_json::from_slice::<Record>(line) {
        Ok(record) if record.v == FORMAT => return Ok(record),
        Ok(record) => return Err(wrong_format(record.v, number)),
        Err(error) => error,
    };
    // The line is not ours as it stands; what it says of its own format decides between "newer" and "corrupt".
    match serde_json::from_slice::<Version>(line) {
        Ok(version) if version.v != FORMAT => Err(wrong_format(version.v, number)),
        Ok(_) | Err(_) => {
            let message = format!("line {number} is not a journal line of format {FORMAT}");
            Err(Error::harmless(ErrorKind::Corrupt, "read the journal", message).with_source(error))
        }
    }
}

fn wrong_format(found: u32, number: usize) -> Error {
    let message = format!(
        "line {number} has format {found}, and this program reads up to {FORMAT}: use a newer `lease`"
    );
    let kind = if found > FORMAT { ErrorKind::NewerFormat } else { ErrorKind::Corrupt };
    Error::harmless(kind, "read the journal", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        vec![
            Event::Kept { why: "a person".to_owned() },
            Event::Resource {
                index: 0,
                change: Change::Lost { message: "reset\nby peer".to_owned() },
            },
        ]
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = encode(Sequence::FIRST, Timestamp::from_millis(7), &events()).unwrap();
        let decoded: Vec<_> = decode(&bytes).map(|it| it.unwrap().event).collect();
        assert_eq!(decoded, events());
        assert_eq!(
            decode_tail(&bytes).unwrap(),
            Some((Sequence::FIRST.plus(1), bytes.len() as u64))
        );
    }

    #[test]
    fn every_torn_tail_is_dropped_and_nothing_else() {
        let bytes = encode(Sequence::FIRST, Timestamp::from_millis(7), &events()).unwrap();
        let first = bytes.iter().position(|it| *it == b'\n').unwrap() + 1;
        for cut in 0..bytes.len() {
            let decoded: Vec<_> = decode(&bytes[..cut]).map(Result::unwrap).collect();
            assert_eq!(decoded.len(), usize::from(cut >= first), "cut at {cut}");
        }
    }

    #[track_caller]
    fn check(text: &str, kind: ErrorKind) {
        assert_eq!(decode(text.as_bytes()).next().unwrap().unwrap_err().kind(), kind, "{text}");
    }

    #[test]
    fn foreign_newer_and_damaged_lines_are_told_apart() {
        check("not json\n", ErrorKind::Corrupt);
        check("{\"v\":2,\"shape\":\"of the future\"}\n", ErrorKind::NewerFormat);
        check(
            "{\"v\":0,\"seq\":1,\"at\":1,\"event\":{\"kept\":{\"why\":\"x\"}}}\n",
            ErrorKind::Corrupt,
        );
        check("{\"v\":1,\"seq\":1,\"at\":1,\"event\":\"teleported\"}\n", ErrorKind::Corrupt);
        check(
            "{\"v\":1,\"seq\":2,\"at\":1,\"event\":{\"kept\":{\"why\":\"x\"}}}\n",
            ErrorKind::Corrupt,
        );
        check(
            "{\"v\":1,\"seq\":0,\"at\":1,\"event\":{\"kept\":{\"why\":\"x\"}}}\n",
            ErrorKind::Corrupt,
        );
        check("\n", ErrorKind::Corrupt);
        check("\0\0\0\n", ErrorKind::Corrupt);
    }

    #[test]
    fn an_error_names_the_line_and_what_is_wrong_with_it() {
        let bytes = encode(Sequence::FIRST, Timestamp::from_millis(7), &events()).unwrap();
        let said = |bytes: &[u8]| decode(bytes).find_map(Result::err).unwrap().to_string();
        let twice = [&bytes[..], &bytes[..]].concat();
        assert!(said(&twice).contains("line 3 has number 1"), "{}", said(&twice));
        let bad = [&bytes[..], b"{\"v\":1,\"seq\":3}\n"].concat();
        let why = "line 3 is not a journal line of format 1";
        assert!(said(&bad).contains(why), "{}", said(&bad));
        let tail = decode_tail(&bad).unwrap_err().to_string();
        assert!(tail.contains(why), "{tail}");
        let newer = [&bytes[..], b"{\"v\":2}\n"].concat();
        let (why, hint) = ("line 3 has format 2", "use a newer `lease`");
        assert!(said(&newer).contains(why) && said(&newer).contains(hint), "{}", said(&newer));
    }

    #[test]
    fn numbers_count_from_one_and_a_journal_may_have_sixteen_mebibytes() {
        assert_eq!((Sequence::FIRST.get(), Sequence::FIRST.plus(41).get()), (1, 42));
        assert_eq!(JOURNAL_BYTES_MAX, 16_777_216);
    }
}
