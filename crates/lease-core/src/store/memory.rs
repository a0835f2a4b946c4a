//! A store that forgets everything with its process: for tests, simulations, and embedders whose leases end with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::claim::Claim;
use crate::entropy::{Entropy, OsEntropy};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{InstallationId, LeaseId, Slug};
use crate::journal::{Event, FORMAT, Opened, Record, Sequence};
use crate::state::Phase;
use crate::store::{Entry, LockGuard, LockKind, Store};
use crate::time::Timestamp;

/// A store in memory. Clones share their content.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    shared: Arc<Mutex<Content>>,
    locks: Arc<Mutex<BTreeSet<(LeaseId, LockKind)>>>,
    installation: InstallationId,
}

#[derive(Debug, Default)]
struct Content {
    live: BTreeMap<LeaseId, Vec<Record>>,
    archived: BTreeMap<LeaseId, Vec<Record>>,
}

impl MemoryStore {
    /// An empty store with an installation id from the operating system's randomness.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> Result<Self> {
        Self::with_entropy(&OsEntropy)
    }

    /// An empty store with an installation id from `entropy`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn with_entropy(entropy: &dyn Entropy) -> Result<Self> {
        Ok(Self {
            shared: Arc::default(),
            locks: Arc::default(),
            installation: InstallationId::draw(entropy)?,
        })
    }

    /// The journals of released leases.
    pub fn archived(&self) -> Vec<(LeaseId, Vec<Record>)> {
        self.content()
            .archived
            .iter()
            .map(|(lease, records)| (lease.clone(), records.clone()))
            .collect()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // No operation leaves the maps half changed, so what a panicking holder left is usable.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn installation(&self) -> Result<InstallationId> {
        Ok(self.installation.clone())
    }

    async fn open(&self, at: Timestamp, opened: Opened, then: &[Event]) -> Result<Claim> {
        let mut content = self.content();
        for records in content.live.values() {
            let other = Claim::fold(records.iter().cloned())?;
            if other.slug() == &opened.slug || other.lease() == &opened.lease {
                return Err(slug_taken(&opened.slug, other.lease()));
            }
        }
        let lease = opened.lease.clone();
        let events = std::iter::once(Event::Opened(Box::new(opened))).chain(then.iter().cloned());
        let records: Vec<_> = events
            .enumerate()
            .map(|(offset, event)| Record {
                v: FORMAT,
                seq: Sequence::FIRST.plus(offset),
                at,
                event,
            })
            .collect();
        let claim = Claim::fold(records.iter().cloned())?;
        content.live.insert(lease, records);
        Ok(claim)
    }

    async fn append(
        &self,
        lease: &LeaseId,
        expected: Sequence,
        at: Timestamp,
        events: &[Event],
    ) -> Result<()> {
        let mut content = self.content();
        let records = content.live.get_mut(lease).ok_or_else(|| not_live(lease))?;
        let last = records.last().map(|it| it.seq);
        if last != Some(expected) {
            return Err(moved_on(lease));
        }
        records.extend(events.iter().enumerate().map(|(offset, event)| Record {
            v: FORMAT,
            seq: expected.plus(offset + 1),
            at,
            event: event.clone(),
        }));
        Ok(())
    }

    async fn load(&self, lease: &LeaseId) -> Result<Claim> {
        let records = {
            let content = self.content();
            let found = content.live.get(lease).or_else(|| content.archived.get(lease));
            found.cloned().ok_or_else(|| not_live(lease))?
        };
        Claim::fold(records)
    }

    async fn scan(&self) -> Result<Vec<Entry>> {
        let content = self.content();
        let entry = |(lease, records): (&LeaseId, &Vec<Record>)| Entry {
            name: lease.to_string(),
            lease: Some(lease.clone()),
            claim: Claim::fold(records.iter().cloned()),
        };
        Ok(content.live.iter().map(entry).collect())
    }

    async fn names(&self) -> Result<Vec<(LeaseId, Slug)>> {
        let entries = self.scan().await?;
        Ok(entries
            .into_iter()
            .filter_map(|it| it.claim.ok())
            .map(|it| (it.lease().clone(), it.slug().clone()))
            .collect())
    }

    async fn archive(&self, lease: &LeaseId) -> Result<()> {
        let mut content = self.content();
        let Some(records) = content.live.get(lease) else { return Ok(()) };
        if Claim::fold(records.iter().cloned())?.phase() != Phase::Released {
            return Err(not_released(lease));
        }
        if let Some(records) = content.live.remove(lease) {
            content.archived.insert(lease.clone(), records);
        }
        Ok(())
    }

    async fn lock(&self, lease: &LeaseId, kind: LockKind) -> Result<Option<LockGuard>> {
        let key = (lease.clone(), kind);
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if !locks.insert(key.clone()) {
            return Ok(None);
        }
        Ok(Some(LockGuard::new(Held { locks: Arc::clone(&self.locks), key })))
    }
}

#[derive(Debug)]
struct Held {
    locks: Arc<Mutex<BTreeSet<(LeaseId, LockKind)>>>,
    key: (LeaseId, LockKind),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

pub(super) fn slug_taken(slug: &Slug, lease: &LeaseId) -> Error {
    let message = format!(
        "the slug {slug} belongs to the live lease {lease}; choose another or release that one"
    );
    Error::harmless(ErrorKind::Conflict, "open a lease", message)
}

pub(super) fn not_live(lease: &LeaseId) -> Error {
    Error::harmless(ErrorKind::NotFound, "read the lease", format!("{lease} is not a live lease"))
}

pub(super) fn moved_on(lease: &LeaseId) -> Error {
    let message = format!("another process changed {lease} in between");
    Error::harmless(ErrorKind::Conflict, "record an event", message)
}

pub(super) fn not_released(lease: &LeaseId) -> Error {
    Error::harmless(ErrorKind::Refused, "archive the lease", format!("{lease} is not released"))
}
