//! The verbs that change only the record: touch, keep, hand over.

use std::sync::Arc;
use std::time::Duration;

use crate::claim::Claim;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::Sighting;
use crate::id::LeaseId;
use crate::journal::Event;
use crate::owner::Owner;
use crate::proof::{VerifiedScope, may_renew};
use crate::spec::{Deadlines, Retention};
use crate::state::{Phase, ResourceState};
use crate::store::LeaseWriter;

/// How long a touch may take to show its deadline; the record has it already.
const RENEW_TIME_MAX: Duration = Duration::from_secs(5);

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
            let watched = self.guardian.ensure(lease, writer.claim().scope());
            self.call("make sure of a reaper", watched).await?;
        }
        let current = writer.claim().deadlines();
        let unused = self.clock.now().since(writer.claim().last_used());
        let noticeable =
            current.idle_ms.map(|ms| Duration::from_millis(ms / 10).min(Duration::from_secs(300)));
        if deadlines.is_some() || noticeable.is_some_and(|span| unused >= span) {
            writer.append(&[Event::Touched(deadlines.unwrap_or(current))]).await?;
            self.renew(writer.claim()).await;
        }
        Ok(writer.claim().clone())
    }

    /// Shows the deadline on the resources, where a provider can. The record is what counts, so a failure is only told.
    async fn renew(&self, claim: &Claim) {
        let Ok(provider) = self.provider(claim.provider()) else { return };
        if !provider.descriptor().shows_deadline {
            return;
        }
        // The machine is what costs money and what people look at; the user's command waits for this.
        let present = claim.resources().iter().enumerate().rev();
        let mut present = present.filter(|(_, it)| it.state() == ResourceState::Present);
        if let Some((index, id)) = present.find_map(|(at, it)| Some((at, it.id()?))) {
            let renewed = async {
                let scope = VerifiedScope::verify(provider.as_ref(), claim.scope()).await?;
                let Sighting::Found(shown) = provider.inspect(id).await? else { return Ok(()) };
                let held = may_renew(claim, index, &shown, &scope)?;
                provider.renew(&held, claim.ends_at()).await
            };
            let told =
                tokio::time::timeout(RENEW_TIME_MAX, self.call("show the deadline", renewed));
            match told.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(lease = %claim.lease(), %id, %error, "the deadline is not shown");
                }
                Err(_elapsed) => {
                    tracing::warn!(lease = %claim.lease(), %id, "the deadline is not shown in time");
                }
            }
        }
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
