//! Settling an unknown create: searching until it is found or its absence is proven (invariants I3 and I4).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::descriptor::{Ownership, Replay};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::Sighting;
use crate::journal::{Change, Event};
use crate::proof::{Observed, VerifiedScope, prove_absent};
use crate::provider::Provider;
use crate::retry::{Bounds, Pace};
use crate::state::ResourceState;
use crate::store::LeaseWriter;

/// How often an exact create is repeated before only searching is left.
const REPLAYS_MAX: u32 = 2;

/// Whether an unknown create may be settled by sending it once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resend {
    /// The caller still wants the resource, and first sent the create at this moment of monotonic time.
    Since(Instant),
    /// The lease is going away, or another process sent the create.
    No,
}

/// What all looks at one resource have shown so far.
#[derive(Debug, Default)]
pub(super) struct Looks {
    absent_since: Option<Instant>,
    last: Option<Error>,
}

impl Looks {
    /// Notes a look that did not show absence.
    pub(super) fn interrupted(&mut self, error: Option<Error>) {
        self.absent_since = None;
        self.last = error.or(self.last.take());
    }

    /// The error to give up with.
    pub(super) fn give_up(self, doing: &'static str) -> Error {
        match self.last {
            Some(last) => Error::unsettled(last.kind(), doing, last.to_string()).with_source(last),
            None => Error::unsettled(ErrorKind::Timeout, doing, "the provider still shows it"),
        }
    }
}

impl Engine {
    /// Searches for an uncertain resource until its state is known. Afterwards it is present or gone.
    pub(super) async fn settle(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
        resend: Resend,
    ) -> Result<ResourceState> {
        const DOING: &str = "settle an unknown create";
        let mut pace = Pace::start(Bounds::within(self.settings.settle_budget));
        let mut looks = Looks::default();
        let mut replays = 0;
        loop {
            match self.look_for(writer, provider, index).await {
                Ok(Sighting::Found(found)) => {
                    let change = Change::Found { id: found.id };
                    writer.append(&[Event::Resource { index, change }]).await?;
                    return Ok(ResourceState::Present);
                }
                Ok(Sighting::Absent) if replays < REPLAYS_MAX && may_resend(provider, resend) => {
                    replays += 1;
                    if self.replay(writer, provider, index).await? {
                        return Ok(ResourceState::Present);
                    }
                    // The replay itself may land late, so the time of absence starts anew.
                    looks.interrupted(None);
                }
                Ok(Sighting::Absent) => {
                    if self.try_prove_absent(writer, provider, index, &mut looks).await? {
                        return Ok(ResourceState::Gone);
                    }
                }
                Ok(Sighting::Unclear(error)) => looks.interrupted(Some(error)),
                Err(error) if error.kind().needs_person() => return Err(error),
                Err(error) => looks.interrupted(Some(error)),
            }
            if !pace.wait(None).await {
                return Err(looks.give_up(DOING));
            }
        }
    }

    /// Looks for what an intent may have left, in the right account, and believes only matching marks.
    async fn look_for(
        &self,
        writer: &LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
    ) -> Result<Sighting> {
        let intent = writer.recall(index)?;
        self.call(
            "verify the account",
            VerifiedScope::verify(provider.as_ref(), writer.claim().scope()),
        )
        .await?;
        let sighting = self.call("search for a resource", provider.find(&intent)).await?;
        let Sighting::Found(found) = sighting else { return Ok(sighting) };
        let ours = match provider.descriptor().ownership {
            Ownership::Marks => found.marks.as_ref() == Some(intent.marks()),
            Ownership::CreateAnswer => found.marks.as_ref().is_none_or(|it| it == intent.marks()),
        };
        if ours {
            return Ok(Sighting::Found(found));
        }
        let message = format!("{} has the name but not the marks of the lease", found.id);
        Ok(Sighting::Unclear(Error::harmless(
            ErrorKind::Protocol,
            "search for a resource",
            message,
        )))
    }

    /// Sends the same create again; whether it was answered with an id.
    async fn replay(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
    ) -> Result<bool> {
        let intent = writer.resend(index).await?;
        match self.call("create a resource again", provider.create(&intent)).await {
            Ok(created) => {
                let change = Change::Created { id: created.id };
                writer.append(&[Event::Resource { index, change }]).await?;
                Ok(true)
            }
            // Whatever the answer to the replay was, it says nothing about the first attempt.
            Err(error) => {
                let change = Change::Lost { message: error.to_string() };
                writer.append(&[Event::Resource { index, change }]).await?;
                Ok(false)
            }
        }
    }

    /// Follows up a look that showed absence. `true` once the absence is proven and recorded.
    pub(super) async fn try_prove_absent(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
        looks: &mut Looks,
    ) -> Result<bool> {
        let settle = provider.descriptor().settle;
        let absent_for = looks.absent_since.get_or_insert_with(Instant::now).elapsed();
        if absent_for < settle {
            return Ok(false);
        }
        let verify = VerifiedScope::verify(provider.as_ref(), writer.claim().scope());
        let scope = match self.call("verify the account", verify).await {
            Ok(scope) => scope,
            Err(error) if error.kind().needs_person() => return Err(error),
            Err(error) => {
                looks.interrupted(Some(error));
                return Ok(false);
            }
        };
        let inventory = match self.call("list the resources", provider.list()).await {
            Ok(inventory) => inventory,
            Err(error) => {
                looks.interrupted(Some(error));
                return Ok(false);
            }
        };
        let observed = Observed { scope: &scope, absent_for, settle };
        match prove_absent(writer.claim(), index, &Sighting::Absent, &inventory, &observed) {
            Ok(absence) => {
                let change = Change::ProvenAbsent(absence);
                writer.append(&[Event::Resource { index, change }]).await?;
                self.tell_state(writer, index);
                Ok(true)
            }
            Err(missing) => {
                looks.interrupted(Some(missing));
                Ok(false)
            }
        }
    }
}

fn may_resend(provider: &Arc<dyn Provider>, resend: Resend) -> bool {
    let Resend::Since(first_sent) = resend else { return false };
    match provider.descriptor().replay {
        Replay::Never => false,
        Replay::UniqueName => true,
        Replay::Key { window_ms } => first_sent.elapsed() < Duration::from_millis(window_ms),
    }
}
