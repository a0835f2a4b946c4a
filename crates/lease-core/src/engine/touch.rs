//! The verbs that change only the record: touch, keep, hand over.

use std::sync::Arc;
use std::time::Duration;

use crate::claim::Claim;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::id::LeaseId;
use crate::journal::Event;
use crate::owner::Owner;
use crate::spec::{Deadlines, Retention};
use crate::state::Phase;
use crate::store::LeaseWriter;

impl Engine {
    /// Notes that the lease is used now, and moves its deadlines when new ones are given.
    ///
    /// A lease that is used must have somebody who ends it later (invariant I11), so a reaper is made sure of.
    ///
    /// Use alone is recorded only when it moves the idle deadline noticeably (a tenth of it, at most five minutes), so
    /// that heartbeats do not grow the journal.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the lease is being released: a touch cannot revive it. When no reaper starts.
    ///
    /// # Cancel safety
    /// The touch is recorded or not.
    pub async fn touch(&self, lease: &LeaseId, deadlines: Option<Deadlines>) -> Result<Claim> {
        let mut writer = self.load_live(lease, "touch the lease").await?;
        if writer.claim().retention() != Retention::Keep {
            self.call("make sure of a reaper", self.guardian.ensure(lease)).await?;
        }
        let current = writer.claim().deadlines();
        let unused = self.clock.now().since(writer.claim().last_used());
        let noticeable =
            current.idle_ms.map(|ms| Duration::from_millis(ms / 10).min(Duration::from_secs(300)));
        if deadlines.is_some() || noticeable.is_some_and(|span| unused >= span) {
            writer.append(&[Event::Touched(deadlines.unwrap_or(current))]).await?;
        }
        Ok(writer.claim().clone())
    }

    /// Suppresses every automatic deletion of the lease, also of what is half made or half released.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is nothing left to keep.
    ///
    /// # Cancel safety
    /// The keep is recorded or not.
    pub async fn keep(&self, lease: &LeaseId, why: &str) -> Result<Claim> {
        let mut writer =
            LeaseWriter::load(Arc::clone(&self.store), Arc::clone(&self.clock), lease).await?;
        if writer.claim().phase() == Phase::Released {
            let message = format!("{lease} is released already; there is nothing left to keep");
            return Err(Error::harmless(ErrorKind::NotFound, "keep the lease", message));
        }
        if writer.claim().retention() != Retention::Keep {
            writer.append(&[Event::Kept { why: why.to_owned() }]).await?;
        }
        Ok(writer.claim().clone())
    }

    /// Makes another process, or nobody but the deadlines, responsible for the lease.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the lease is being released, [`ErrorKind::Refused`] when it is kept.
    ///
    /// # Cancel safety
    /// The change is recorded or not.
    pub async fn hand_over(
        &self,
        lease: &LeaseId,
        owner: Option<Owner>,
        retention: Retention,
    ) -> Result<Claim> {
        let mut writer = self.load_live(lease, "hand the lease over").await?;
        writer.append(&[Event::OwnerChanged { owner, retention }]).await?;
        Ok(writer.claim().clone())
    }

    async fn load_live(&self, lease: &LeaseId, doing: &'static str) -> Result<LeaseWriter> {
        let writer =
            LeaseWriter::load(Arc::clone(&self.store), Arc::clone(&self.clock), lease).await?;
        match writer.claim().releasing() {
            None => Ok(writer),
            Some(releasing) => {
                let message = format!("{lease} is being released ({})", releasing.why);
                Err(Error::harmless(ErrorKind::Conflict, doing, message))
            }
        }
    }
}
