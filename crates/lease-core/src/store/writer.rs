//! The one hand that writes a lease: it appends, folds, and mints proof tokens from what is on disk.

use std::sync::Arc;

use crate::claim::Claim;
use crate::descriptor::Ownership;
use crate::error::{ErrorKind, Result};
use crate::evidence::Found;
use crate::id::LeaseId;
use crate::journal::{Change, Event, FORMAT, Opened, Record};
use crate::proof::{Intent, Owned, Refusal, VerifiedScope, may_destroy};
use crate::spec::Retention;
use crate::state::ResourceState;
use crate::store::Store;
use crate::time::Clock;

/// How often an append is tried again on top of what another writer wrote.
const REBASES_MAX: usize = 8;

/// A writer on top of one read of a lease. When another writer was first, its next append is a
/// [`Conflict`](crate::ErrorKind::Conflict) and [`LeaseWriter::reload`] shows what happened.
#[derive(Debug)]
pub struct LeaseWriter {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    claim: Claim,
}

impl LeaseWriter {
    /// Opens a new lease.
    ///
    /// # Errors
    /// As [`Store::open`].
    ///
    /// # Cancel safety
    /// A cancelled call may have opened the lease; it has no resources then.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        opened: Opened,
    ) -> Result<Self> {
        Self::open_with(store, clock, opened, &[]).await
    }

    /// Opens a lease that begins with more than its opening. A crash leaves all of it or nothing.
    ///
    /// # Errors
    /// As [`Store::open`].
    ///
    /// # Cancel safety
    /// A cancelled call may have opened the lease with all of the events.
    pub async fn open_with(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        opened: Opened,
        then: &[Event],
    ) -> Result<Self> {
        let claim = store.open(clock.now(), opened, then).await?;
        Ok(Self { store, clock, claim })
    }

    /// Reads an existing lease.
    ///
    /// # Errors
    /// As [`Store::load`].
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn load(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        lease: &LeaseId,
    ) -> Result<Self> {
        let claim = store.load(lease).await?;
        Ok(Self { store, clock, claim })
    }

    /// The claim as of the last read or write.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Reads the lease again.
    ///
    /// # Errors
    /// As [`Store::load`].
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn reload(&mut self) -> Result<&Claim> {
        self.claim = self.store.load(self.claim.lease()).await?;
        Ok(&self.claim)
    }

    /// Records events durably, then folds them.
    ///
    /// The fold is tried first, so that an event that the model forbids is never written. When another writer was
    /// first, the lease is read again and the events are tried on top of what it wrote: the model decides anew whether
    /// they are still allowed, so a release that came in between stops a create and not the other way round.
    ///
    /// # Errors
    /// When the model forbids an event, when others keep being first, or when the disk fails.
    ///
    /// # Cancel safety
    /// After a cancelled call the events may be recorded; [`LeaseWriter::reload`] tells.
    pub async fn append(&mut self, events: &[Event]) -> Result<()> {
        for _ in 0..REBASES_MAX {
            match self.append_once(events).await {
                Err(error)
                    if error.kind() == ErrorKind::Conflict && self.has_moved_on().await? => {}
                result => return result,
            }
        }
        self.append_once(events).await
    }

    async fn append_once(&mut self, events: &[Event]) -> Result<()> {
        let at = self.clock.now();
        let mut next = self.claim.clone();
        for event in events {
            next.apply(Record {
                v: FORMAT,
                seq: next.sequence().plus(1),
                at,
                event: event.clone(),
            })?;
        }
        self.store.append(self.claim.lease(), self.claim.sequence(), at, events).await?;
        self.claim = next;
        Ok(())
    }

    /// Reads the lease again; whether it is another one than the writer knew.
    async fn has_moved_on(&mut self) -> Result<bool> {
        let known = self.claim.sequence();
        Ok(self.reload().await?.sequence() != known)
    }

    /// Records that a create is about to be sent and, once that is durable, gives the token to send it with.
    ///
    /// # Errors
    /// As [`LeaseWriter::append`]; nothing may be sent then.
    ///
    /// # Cancel safety
    /// After a cancelled call the resource may be recorded as sent; it is settled by searching.
    pub async fn send(&mut self, index: usize) -> Result<Intent> {
        self.append(&[Event::Resource {
            index,
            change: Change::Sent { steady: self.clock.steady() },
        }])
        .await?;
        Intent::mint(&self.claim, index)
    }

    /// Records that the same create is about to be sent again, and gives the token.
    ///
    /// # Errors
    /// As [`LeaseWriter::append`].
    ///
    /// # Cancel safety
    /// As [`LeaseWriter::send`].
    pub async fn resend(&mut self, index: usize) -> Result<Intent> {
        self.append(&[Event::Resource {
            index,
            change: Change::Resent { steady: self.clock.steady() },
        }])
        .await?;
        Intent::mint(&self.claim, index)
    }

    /// The token of a create that was recorded before, to search with.
    ///
    /// # Errors
    /// When the claim has no such resource.
    pub fn recall(&self, index: usize) -> Result<Intent> {
        Intent::mint(&self.claim, index)
    }

    /// Passes the gate, records that a destroy is about to be sent, and gives the token to send it with.
    ///
    /// # Errors
    /// The gate's [`Refusal`](crate::proof::Refusal), or as [`LeaseWriter::append`].
    ///
    /// # Cancel safety
    /// After a cancelled call the resource may be recorded as being destroyed; destroying again is allowed.
    pub async fn own(
        &mut self,
        index: usize,
        shown: &Found,
        scope: &VerifiedScope,
        ownership: Ownership,
    ) -> Result<Owned> {
        let owned = may_destroy(&self.claim, index, shown, scope, ownership)?;
        // A repetition is covered by the record of the first attempt; only a keep that came in between must stop it.
        let recorded = self
            .claim
            .resources()
            .get(index)
            .is_some_and(|it| it.state() == ResourceState::Destroying);
        if !recorded {
            self.append(&[Event::Resource { index, change: Change::DestroySent }]).await?;
        } else if self.reload().await?.retention() == Retention::Keep {
            return Err(Refusal::Kept.into());
        }
        Ok(owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Deadlines;
    use crate::store::memory::MemoryStore;
    use crate::store::tests::opened;
    use crate::time::{Steady, Timestamp};

    #[derive(Debug)]
    struct Never;

    impl Clock for Never {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(7)
        }

        fn steady(&self) -> Option<Steady> {
            None
        }
    }

    async fn two_writers() -> (LeaseWriter, LeaseWriter) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new().unwrap());
        let opened = opened("calm-otter");
        let lease = opened.lease.clone();
        let one = LeaseWriter::open(Arc::clone(&store), Arc::new(Never), opened).await.unwrap();
        let two = LeaseWriter::load(store, Arc::new(Never), &lease).await.unwrap();
        (one, two)
    }

    #[tokio::test]
    async fn i10_whoever_is_second_writes_on_top_of_the_first() {
        let (mut one, mut two) = two_writers().await;
        let touched = Deadlines { idle_ms: Some(1), expires_at: None };
        one.append(&[Event::Kept { why: "the first".to_owned() }]).await.unwrap();
        two.append(&[Event::Touched(touched)]).await.unwrap();
        assert_eq!(two.claim().keep_reason(), Some("the first"));
        assert_eq!(two.claim().deadlines(), touched);
        assert_eq!(one.reload().await.unwrap().sequence(), two.claim().sequence());
        assert_eq!(one.claim().sequence().get(), 3);
        assert_eq!(one.claim().updated_at(), Timestamp::from_millis(7));
    }

    #[tokio::test]
    async fn i6_a_release_that_came_first_stops_whoever_is_second() {
        let (mut one, mut two) = two_writers().await;
        let why = "a test".to_owned();
        one.append(&[Event::Intended(Vec::new())]).await.unwrap();
        one.append(&[Event::Releasing { why, ends_keep: false }]).await.unwrap();
        let late = two.append(&[Event::Touched(Deadlines::default())]).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Conflict);
        assert!(two.claim().releasing().is_some(), "it knows why");
        assert_eq!(one.reload().await.unwrap().sequence().get(), 3);
    }
}
