//! The claim: what a journal adds up to. It says what is owned, in which scope, how to reach it and how to destroy it.

mod resource;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::host::Reach;
use crate::id::{InstallationId, LeaseId, Slug};
use crate::journal::{Change, Event, Opened, Record, Sequence};
use crate::owner::Owner;
use crate::scope::Scope;
use crate::spec::{Deadlines, Retention, Spec};
use crate::state::{Phase, ResourceState};
use crate::time::Timestamp;

pub use resource::{ClaimedResource, Moment};

/// The fold of one lease's journal.
///
/// It can only be made from records, so what it says was durable when it was read.
#[derive(Clone, Debug)]
pub struct Claim {
    opened: Opened,
    created_at: Timestamp,
    updated_at: Timestamp,
    last_used: Timestamp,
    sequence: Sequence,
    owner: Option<Owner>,
    retention: Retention,
    deadlines: Deadlines,
    resources: Vec<ClaimedResource>,
    failed_candidates: Vec<FailedCandidate>,
    ready: Option<Reach>,
    releasing: Option<Releasing>,
    keep_reason: Option<String>,
}

/// A candidate that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedCandidate {
    /// Its number.
    pub candidate: usize,
    /// The class of the failure.
    pub kind: ErrorKind,
    /// The failure in words.
    pub message: String,
}

/// A release under way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Releasing {
    /// When it began.
    pub since: Timestamp,
    /// Who asked and why.
    pub why: String,
    /// How many attempts were delayed.
    pub attempts: u32,
    /// The last obstacle.
    pub last: Option<Obstacle>,
}

/// What stood in the way of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// Its class.
    pub kind: ErrorKind,
    /// It in words.
    pub message: String,
    /// When it is worth trying again.
    pub retry_at: Timestamp,
}

impl Claim {
    /// Folds records into a claim.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the records contradict each other or do not begin with `opened`.
    pub fn fold(records: impl IntoIterator<Item = Record>) -> Result<Self> {
        Self::try_fold(records.into_iter().map(Ok))
    }

    /// Folds records that are read one by one.
    ///
    /// # Errors
    /// The first error of the records, or as [`Claim::fold`].
    pub fn try_fold(records: impl IntoIterator<Item = Result<Record>>) -> Result<Self> {
        let mut records = records.into_iter();
        let first = records.next().ok_or_else(|| corrupt("it holds no event"))??;
        let Event::Opened(opened) = first.event else {
            return Err(corrupt("it does not begin with `opened`"));
        };
        let mut claim = Self::begin(*opened, first.seq, first.at);
        for record in records {
            let record = record?;
            let number = record.seq.get();
            // What a writer would have been refused must not stand in a journal either, whatever the refusal's class.
            claim.apply(record).map_err(|error| {
                corrupt(format!("event {number}: {}", error.message())).with_source(error)
            })?;
        }
        Ok(claim)
    }

    fn begin(opened: Opened, sequence: Sequence, at: Timestamp) -> Self {
        Self {
            owner: opened.owner.clone(),
            retention: opened.retention,
            deadlines: opened.deadlines,
            created_at: at,
            updated_at: at,
            last_used: at,
            sequence,
            resources: Vec::new(),
            failed_candidates: Vec::new(),
            ready: None,
            releasing: None,
            keep_reason: (opened.retention == Retention::Keep)
                .then(|| "asked for when it was opened".to_owned()),
            opened,
        }
    }

    /// Adds the next record.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the record does not fit; the claim must not be used any more then.
    pub fn apply(&mut self, record: Record) -> Result<()> {
        if record.seq != self.sequence.plus(1) {
            return Err(corrupt(format!(
                "event {} follows event {}",
                record.seq.get(),
                self.sequence.get()
            )));
        }
        if self.phase() == Phase::Released {
            return Err(Error::harmless(
                ErrorKind::Conflict,
                "record an event",
                "the lease is released",
            ));
        }
        self.forbid_revival(&record.event)?;
        let at = record.at;
        match record.event {
            Event::Opened(_) => return Err(corrupt("the lease begins twice")),
            Event::Intended(resources) => {
                self.resources.extend(resources.into_iter().map(ClaimedResource::begin));
            }
            Event::Resource { index, change } => self.apply_change(index, change, at)?,
            Event::CandidateFailed { candidate, kind, message } => {
                self.failed_candidates.push(FailedCandidate { candidate, kind, message });
            }
            Event::Ready(reach) => {
                self.ready = Some(reach);
                self.last_used = at;
            }
            Event::Touched(deadlines) => {
                self.deadlines = deadlines;
                self.last_used = at;
            }
            Event::OwnerChanged { owner, retention } => {
                self.owner = owner;
                self.retention = retention;
            }
            Event::Kept { why } => {
                self.retention = Retention::Keep;
                self.keep_reason = Some(why);
            }
            Event::Releasing { why, ends_keep } => {
                if ends_keep {
                    self.retention = Retention::UntilDeadline;
                    self.keep_reason = None;
                }
                self.releasing.get_or_insert(Releasing { since: at, why, attempts: 0, last: None });
            }
            Event::Delayed { kind, message, retry_at } => {
                let releasing =
                    self.releasing.as_mut().ok_or_else(|| corrupt("a delay without a release"))?;
                releasing.attempts = releasing.attempts.saturating_add(1);
                releasing.last = Some(Obstacle { kind, message, retry_at });
            }
        }
        self.sequence = record.seq;
        self.updated_at = at;
        Ok(())
    }

    /// Invariants I6 and I7 as rules of the record itself: whatever a writer believes, a release is never undone, nothing
    /// new is created for a lease that is being released, and nothing of a kept lease is destroyed.
    ///
    /// A create that was sent before may be sent again during a release, inside the provider's promise of idempotency:
    /// where nothing else can be searched, its answer is the only way to learn what has to be destroyed.
    fn forbid_revival(&self, event: &Event) -> Result<()> {
        let revives = match event {
            Event::Intended(_)
            | Event::Ready(_)
            | Event::Touched(_)
            | Event::OwnerChanged { .. } => true,
            Event::Resource { change, .. } => matches!(change, Change::Sent { .. }),
            Event::Opened(_)
            | Event::CandidateFailed { .. }
            | Event::Kept { .. }
            | Event::Releasing { .. }
            | Event::Delayed { .. } => false,
        };
        if revives && self.releasing.is_some() {
            return Err(Error::harmless(
                ErrorKind::Conflict,
                "record an event",
                "the lease is being released",
            ));
        }
        let destroys = matches!(event, Event::Resource { change: Change::DestroySent, .. });
        if destroys && self.retention == Retention::Keep {
            return Err(Error::harmless(
                ErrorKind::Refused,
                "record an event",
                "the lease is kept",
            ));
        }
        if matches!(event, Event::OwnerChanged { .. }) && self.retention == Retention::Keep {
            return Err(Error::harmless(
                ErrorKind::Refused,
                "record an event",
                "the lease is kept",
            ));
        }
        Ok(())
    }

    fn apply_change(&mut self, index: usize, change: Change, at: Timestamp) -> Result<()> {
        let resource = self
            .resources
            .get_mut(index)
            .ok_or_else(|| corrupt(format!("there is no resource {index}")))?;
        resource.state = resource
            .state
            .apply(change.step())
            .map_err(|illegal| corrupt(format!("resource {index}")).with_source(illegal))?;
        match change {
            Change::Sent { steady } | Change::Resent { steady } => {
                let moment = Moment { at, steady };
                resource.sent_at.get_or_insert(moment.clone());
                resource.last_sent_at = Some(moment);
                resource.sends = resource.sends.saturating_add(1);
            }
            Change::Created { id } | Change::Recognised { id } | Change::Adopted { id } => {
                resource.id = Some(id);
                resource.identified = true;
            }
            Change::Found { id } => {
                resource.identified = resource.identified && resource.id.as_ref() == Some(&id);
                resource.id = Some(id);
            }
            Change::Rejected { message, .. } | Change::Lost { message } => {
                resource.note = Some(message);
            }
            Change::NeverSent | Change::DestroySent | Change::ProvenAbsent(_) => {}
        }
        Ok(())
    }

    /// What a person calls the state of the lease.
    pub fn phase(&self) -> Phase {
        if self.releasing.is_some() && self.all_gone() {
            return Phase::Released;
        }
        // A kept lease needs nobody, whatever stood in the way of an earlier release: nothing is tried on it.
        if self.retention == Retention::Keep {
            return Phase::Kept;
        }
        if self.obstacle().is_some_and(|it| it.kind.needs_person()) {
            return Phase::NeedsAttention;
        }
        match (&self.releasing, &self.ready) {
            (Some(_), _) => Phase::Releasing,
            (None, Some(_)) => Phase::Ready,
            (None, None) => Phase::Acquiring,
        }
    }

    /// Whether nothing of the lease can exist at the provider any more, or it never could.
    pub fn all_gone(&self) -> bool {
        self.resources.iter().all(|it| it.state == ResourceState::Gone)
    }

    /// Whether commands may be run on the box: it was reached, and no release began.
    pub fn usable(&self) -> Option<&Reach> {
        if self.releasing.is_some() { None } else { self.ready.as_ref() }
    }

    /// The lease.
    pub fn lease(&self) -> &LeaseId {
        &self.opened.lease
    }

    /// Its short name.
    pub fn slug(&self) -> &Slug {
        &self.opened.slug
    }

    /// Which installation opened it.
    pub fn installation(&self) -> &InstallationId {
        &self.opened.installation
    }

    /// The account it lives in.
    pub fn scope(&self) -> &Scope {
        &self.opened.scope
    }

    /// The provider's registered name.
    pub fn provider(&self) -> &str {
        &self.opened.scope.provider
    }

    /// What was asked for.
    pub fn spec(&self) -> &Spec {
        &self.opened.spec
    }

    /// What it was opened for.
    pub fn purpose(&self) -> &str {
        &self.opened.purpose
    }

    /// Who is responsible for it.
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// What ends it.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// When it ends at the latest.
    pub fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// The earlier of the idle and the total deadline.
    pub fn ends_at(&self) -> Option<Timestamp> {
        let idle = self.deadlines.idle_ms.map(|ms| self.last_used.after(Duration::from_millis(ms)));
        [idle, self.deadlines.expires_at].into_iter().flatten().min()
    }

    /// Its resources in the order of creation.
    pub fn resources(&self) -> &[ClaimedResource] {
        &self.resources
    }

    /// The candidates that were given up.
    pub fn failed_candidates(&self) -> &[FailedCandidate] {
        &self.failed_candidates
    }

    /// The release under way, if one began.
    pub fn releasing(&self) -> Option<&Releasing> {
        self.releasing.as_ref()
    }

    /// What last stood in the way of its release.
    pub fn obstacle(&self) -> Option<&Obstacle> {
        self.releasing.as_ref().and_then(|it| it.last.as_ref())
    }

    /// Who asked to keep it, and why.
    pub fn keep_reason(&self) -> Option<&str> {
        self.keep_reason.as_deref()
    }

    /// When it was opened.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When its record last changed.
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// When it was last used.
    pub fn last_used(&self) -> Timestamp {
        self.last_used
    }

    /// The number of its last event.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::harmless(ErrorKind::Corrupt, "read the claim", message)
}
