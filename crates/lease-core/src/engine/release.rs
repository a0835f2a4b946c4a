//! Releasing: once begun it never goes back, and it ends only with proof (invariants I6 and I7).

use std::sync::Arc;

use crate::claim::Claim;
use crate::engine::Engine;
use crate::engine::clear::Which;
use crate::error::{Error, ErrorKind, Result};
use crate::id::LeaseId;
use crate::journal::Event;
use crate::retry::backoff;
use crate::spec::Retention;
use crate::state::Phase;
use crate::store::{LeaseWriter, LockKind};
use crate::watch::Notice;

/// A wish to give a lease back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Release {
    /// Who wishes it.
    pub by: By,
    /// Why, for the record.
    pub why: String,
    /// Stops using the lease but deletes nothing, now or automatically later.
    pub keep: bool,
}

impl Release {
    /// A wish to give everything of the lease back.
    pub fn new(by: By, why: impl Into<String>) -> Self {
        Self { by, why: why.into(), keep: false }
    }
}

/// On whose authority something is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// A person who named this lease: it ends a keep.
    Person,
    /// The process that opened it, at its end: it respects a keep.
    Owner,
    /// A reaper or cleanup: it respects a keep and waits for nobody.
    Reaper,
}

/// What a release came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Everything of the lease is proven gone.
    Released,
    /// The lease is kept; nothing was deleted.
    Kept(Box<Claim>),
    /// Something could not be proven gone yet. The claim says what stands in the way and when it is tried again.
    Pending(Box<Claim>),
}

impl Engine {
    /// Gives a lease back. Releasing what is released already is success.
    ///
    /// # Errors
    /// When the lease cannot be read or the wish cannot be recorded; obstacles on the provider's side are an
    /// [`Outcome::Pending`].
    ///
    /// # Cancel safety
    /// Once recorded the release goes on with the next call, cleanup or reaper.
    pub async fn release(&self, lease: &LeaseId, request: Release) -> Result<Outcome> {
        let mut writer =
            LeaseWriter::load(Arc::clone(&self.store), Arc::clone(&self.clock), lease).await?;
        if writer.claim().phase() == Phase::Released {
            self.finish(&writer).await?;
            return Ok(Outcome::Released);
        }
        if request.keep {
            let claim = self.keep(lease, &request.why).await?;
            return Ok(Outcome::Kept(Box::new(claim)));
        }
        let kept = writer.claim().retention() == Retention::Keep;
        if kept && request.by != By::Person {
            return Ok(Outcome::Kept(Box::new(writer.claim().clone())));
        }
        if request.by != By::Reaper {
            // This release may be interrupted or take longer than its caller waits; somebody must go on with it then. A
            // reaper that does not start is no reason not to release.
            let watched = self.guardian.ensure(lease, writer.claim().scope());
            let ensured = self.call("make sure of a reaper", watched).await;
            if let Err(error) = ensured {
                tracing::warn!(%lease, %error, "no reaper watches; a release that is cut off needs `lease cleanup`");
            }
        }
        if kept || writer.claim().releasing().is_none() {
            writer.append(&[Event::Releasing { why: request.why, ends_keep: kept }]).await?;
        }
        self.observer.notice(lease, &Notice::Phase(Phase::Releasing));
        let guard = match request.by {
            By::Reaper => self.store.lock(lease, LockKind::Operate).await?,
            By::Person | By::Owner => self.wait_for_lock(lease).await?,
        };
        let Some(_guard) = guard else {
            // Whoever holds the lock reads the record before its next step and gives the lease back itself.
            return Ok(Outcome::Pending(Box::new(writer.reload().await?.clone())));
        };
        writer.reload().await?;
        self.drive_release(&mut writer, request.by).await
    }

    /// Goes on with a recorded release; the caller holds the operate lock.
    pub(super) async fn drive_release(&self, writer: &mut LeaseWriter, by: By) -> Result<Outcome> {
        if writer.claim().retention() == Retention::Keep {
            return Ok(Outcome::Kept(Box::new(writer.claim().clone())));
        }
        let obstacle = match self.clear_and_forget(writer).await {
            Ok(()) => {
                self.observer.notice(writer.claim().lease(), &Notice::Phase(Phase::Released));
                return Ok(Outcome::Released);
            }
            Err(obstacle) => obstacle,
        };
        let claim = writer.reload().await?;
        if claim.retention() == Retention::Keep {
            return Ok(Outcome::Kept(Box::new(claim.clone())));
        }
        if claim.phase() == Phase::Released {
            // Only what is on this side is left, such as a key file; the next look tries again.
            return Err(obstacle);
        }
        // A reaper that cannot serve the lease says nothing about it: one with the right credentials may be at work.
        if by == By::Reaper && cannot_serve(&obstacle) {
            return Err(obstacle);
        }
        self.record_delay(writer, &obstacle).await?;
        Ok(Outcome::Pending(Box::new(writer.claim().clone())))
    }

    async fn clear_and_forget(&self, writer: &mut LeaseWriter) -> Result<()> {
        if writer.claim().phase() != Phase::Released {
            let provider = Arc::clone(self.provider(writer.claim().provider())?);
            self.clear(writer, &provider, Which::All).await?;
        }
        self.finish(writer).await
    }

    /// What follows the proof: keys and connections are forgotten and the record moves to the archive.
    pub(super) async fn finish(&self, writer: &LeaseWriter) -> Result<()> {
        let lease = writer.claim().lease();
        self.call("forget the keys", self.transport.forget(lease)).await?;
        self.store.archive(lease).await
    }

    async fn record_delay(&self, writer: &mut LeaseWriter, obstacle: &Error) -> Result<()> {
        let attempts = writer.claim().releasing().map_or(0, |it| it.attempts);
        let wait = backoff(attempts, self.settings.retry_first, self.settings.retry_max)
            .max(obstacle.asked_to_wait().unwrap_or_default().min(self.settings.retry_max));
        let delayed = Event::Delayed {
            kind: obstacle.kind(),
            message: obstacle.to_string(),
            retry_at: self.clock.now().after(wait),
        };
        writer.append(&[delayed]).await
    }
}

/// Whether the obstacle is that this process has other credentials, or none, for the lease's account.
fn cannot_serve(obstacle: &Error) -> bool {
    matches!(obstacle.kind(), ErrorKind::ScopeChanged | ErrorKind::Unsupported)
}
