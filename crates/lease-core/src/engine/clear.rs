//! Clearing resources: in reverse order of creation, each proven gone before the one it depends on (invariant I8).

use std::sync::Arc;
use std::time::Duration;

use crate::claim::ClaimedResource;
use crate::engine::absence::{Looks, may_have_twin};
use crate::engine::settle::{Resend, outlasting};
use crate::engine::{Asked, Engine};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::evidence::{Sighting, Status};
use crate::journal::{Change, Event};
use crate::proof::VerifiedScope;
use crate::provider::Provider;
use crate::retry::{Bounds, Pace};
use crate::state::ResourceState;
use crate::store::LeaseWriter;
use crate::watch::Notice;

const DESTROY: &str = "destroy a resource";

/// Which resources of a lease are cleared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// All of them.
    All,
    /// Those of one candidate.
    Candidate(usize),
}

/// What one turn of a destroy came to.
enum Turn {
    /// Its absence is proven and recorded.
    Proven,
    /// The provider accepted a destroy.
    Sent,
    /// It is worth looking again, after this span at the earliest.
    Wait(Option<Duration>),
}

impl Engine {
    /// Clears resources of the lease. On `Ok` each of them is gone; the caller holds the operate lock.
    pub(super) async fn clear(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        which: Which,
    ) -> Result<()> {
        let candidates: Vec<_> =
            writer.claim().resources().iter().map(|it| it.intended().candidate).collect();
        for (index, candidate) in candidates.into_iter().enumerate().rev() {
            match which {
                Which::All => self.clear_one(writer, provider, index).await?,
                Which::Candidate(only) if only == candidate => {
                    self.clear_one(writer, provider, index).await?;
                }
                Which::Candidate(_) => {}
            }
        }
        Ok(())
    }

    async fn clear_one(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
    ) -> Result<()> {
        // Each turn moves the state machine at least one step towards `Gone`, so the loop is as long as the machine.
        loop {
            let Some(state) = writer.claim().resources().get(index).map(ClaimedResource::state)
            else {
                return Ok(());
            };
            match state {
                ResourceState::Gone => return Ok(()),
                ResourceState::Intended => self.record(writer, index, Change::NeverSent).await?,
                // The lock is ours, so whoever sent this create is not waiting for its answer any more.
                ResourceState::Creating => {
                    let message = "the process that sent it ended without an answer".to_owned();
                    self.record(writer, index, Change::Lost { message }).await?;
                }
                ResourceState::Uncertain => {
                    self.settle(writer, provider, index, Resend::No).await?;
                }
                ResourceState::Present | ResourceState::Destroying => {
                    self.destroy(writer, provider, index).await?;
                }
            }
        }
    }

    /// Destroys one resource and stays until its absence is proven.
    async fn destroy(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
    ) -> Result<()> {
        // A budget that ends before a settling time does would never see the end of one.
        let mut budget =
            self.settings.release_budget.max(provider.descriptor().settle.saturating_mul(2));
        // Only what this call sees pass itself counts then, as in `settle`.
        if self.clock.steady().is_none() && may_have_twin(writer.claim(), index, provider) {
            budget = outlasting(provider, budget);
        }
        let mut pace = Pace::start(Bounds::within(budget));
        let mut looks = Looks::default();
        let mut looked_at_once = false;
        loop {
            let at_least = match self.destroy_turn(writer, provider, index, &mut looks).await? {
                Turn::Proven => return Ok(()),
                // Most resources are gone at once; only what is still there has to be waited for.
                Turn::Sent if !looked_at_once => {
                    looked_at_once = true;
                    continue;
                }
                Turn::Sent => None,
                Turn::Wait(at_least) => at_least,
            };
            let asked = Asked::new(provider, Some(writer.claim().lease()));
            self.tell_waiting(asked, &looks.why(), pace.elapsed());
            if !pace.wait(at_least).await {
                return Err(looks.give_up(DESTROY));
            }
        }
    }

    async fn destroy_turn(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
        looks: &mut Looks,
    ) -> Result<Turn> {
        let (scope, sighting) = match self.look_at(writer, provider, index).await {
            Ok(look) => look,
            Err(error) if error.kind().needs_person() => return Err(error),
            Err(error) => {
                let at_least = error.asked_to_wait();
                looks.interrupted(Some(error));
                return Ok(Turn::Wait(at_least));
            }
        };
        let found = match sighting {
            Sighting::Absent => {
                let proven = self.try_prove_absent(writer, provider, index, looks).await?;
                return Ok(if proven { Turn::Proven } else { Turn::Wait(looks.asked_to_wait()) });
            }
            Sighting::Unclear(error) => {
                let at_least = error.asked_to_wait();
                looks.interrupted(Some(error));
                return Ok(Turn::Wait(at_least));
            }
            Sighting::Suspects(_) => {
                let message = "the provider answered for one id with several machines";
                looks.interrupted(Some(Error::harmless(ErrorKind::Protocol, DESTROY, message)));
                return Ok(Turn::Wait(None));
            }
            Sighting::Found(found) => found,
        };
        looks.interrupted(None);
        let state = writer.claim().resources().get(index).map(ClaimedResource::state);
        if found.status == Status::Stopping && state == Some(ResourceState::Destroying) {
            return Ok(Turn::Wait(None));
        }
        let owned = writer.own(index, &found, &scope, provider.descriptor().ownership).await?;
        self.tell_state(writer, index);
        match self.call(DESTROY, provider.destroy(&owned)).await {
            Ok(()) => Ok(Turn::Sent),
            Err(error) => match error.retry() {
                Retry::After(at_least) => {
                    looks.interrupted(Some(error));
                    Ok(Turn::Wait(at_least))
                }
                Retry::Never => Err(error),
            },
        }
    }

    async fn look_at(
        &self,
        writer: &LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
    ) -> Result<(VerifiedScope, Sighting)> {
        let id = writer.claim().resources().get(index).and_then(|it| it.id().cloned());
        let id = id.ok_or_else(|| {
            Error::harmless(ErrorKind::Internal, "look at a resource", "it has no id")
        })?;
        let verify = VerifiedScope::verify(provider.as_ref(), writer.claim().scope());
        let scope = self.call("verify the account", verify).await?;
        let sighting = self.call("look at a resource", provider.inspect(&id)).await?;
        Ok((scope, sighting))
    }

    pub(super) async fn record(
        &self,
        writer: &mut LeaseWriter,
        index: usize,
        change: Change,
    ) -> Result<()> {
        writer.append(&[Event::Resource { index, change }]).await?;
        self.tell_state(writer, index);
        Ok(())
    }

    pub(super) fn tell_state(&self, writer: &LeaseWriter, index: usize) {
        if let Some(resource) = writer.claim().resources().get(index) {
            let notice =
                Notice::Resource { kind: &resource.intended().kind, state: resource.state() };
            self.observer.notice(writer.claim().lease(), &notice);
        }
    }
}
