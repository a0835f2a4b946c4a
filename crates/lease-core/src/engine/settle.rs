//! Settling an unknown create: searching until it is found or its absence is proven (invariants I3 and I4).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::claim::{Claim, ClaimedResource};
use crate::descriptor::{Descriptor, Ownership, Replay};
use crate::engine::absence::Looks;
use crate::engine::{Asked, Engine};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Found, Sighting};
use crate::host::Recognition;
use crate::id::ResourceId;
use crate::journal::{Change, Event};
use crate::proof::VerifiedScope;
use crate::provider::Provider;
use crate::retry::{Bounds, Pace};
use crate::state::ResourceState;
use crate::store::LeaseWriter;

/// How often an exact create is repeated before only searching is left.
const REPLAYS_MAX: u32 = 2;

/// For whom an unknown create is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resend {
    /// The caller still wants the resource, and first sent the create at this moment of monotonic time.
    Since(Instant),
    /// The lease is going away, or another process sent the create.
    No,
}

/// What logins showed about machines of which one may be the lease's.
pub(super) enum Recognised {
    /// This one took the lease's key.
    It(ResourceId),
    /// Each of them refused it, or belongs to another lease.
    NoneOfThem,
    /// At least one of them cannot be asked yet.
    Unclear(Error),
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
        let mut pace = Pace::start(Bounds::within(self.settle_budget(provider, resend)));
        let mut looks = Looks::default();
        let mut replays = 0;
        // Asked anew each time: a search or a repetition may outlast what the provider remembers.
        let may_resend = |claim: &Claim, replays| {
            replays < REPLAYS_MAX && self.may_resend(claim, index, provider, resend)
        };
        let answers_say_most = provider.descriptor().ownership == Ownership::CreateAnswer;
        loop {
            // Where nothing carries marks, the answer to a repetition says more than any search.
            if answers_say_most && may_resend(writer.claim(), replays) {
                replays += 1;
                if self.replay(writer, provider, index, resend).await? {
                    return Ok(ResourceState::Present);
                }
                looks.interrupted(None);
            }
            match self.look_for(writer, provider, index).await {
                Ok(Sighting::Found(found)) => {
                    return self.settled(writer, index, Change::Found { id: found.id }).await;
                }
                Ok(Sighting::Suspects(suspects)) => {
                    match self.recognise(writer, provider, index, &suspects).await? {
                        Recognised::It(id) => {
                            return self.settled(writer, index, Change::Recognised { id }).await;
                        }
                        Recognised::NoneOfThem => {
                            if self.try_prove_absent(writer, provider, index, &mut looks).await? {
                                return Ok(ResourceState::Gone);
                            }
                        }
                        Recognised::Unclear(error) => looks.interrupted(Some(error)),
                    }
                }
                Ok(Sighting::Absent) if may_resend(writer.claim(), replays) => {
                    replays += 1;
                    if self.replay(writer, provider, index, resend).await? {
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
            let asked = Asked::new(provider, Some(writer.claim().lease()));
            self.tell_waiting(asked, &looks.why(), pace.elapsed());
            if !pace.wait(looks.asked_to_wait()).await {
                return Err(looks.give_up(DOING));
            }
        }
    }

    /// How long one call searches. Whoever still wants a machine that only a login can identify waits for it as long as
    /// for one that was answered. Without a steady clock the time since the create counts only as far as this call
    /// itself has seen it pass, so it must last as long as a create may take to land.
    fn settle_budget(&self, provider: &Arc<dyn Provider>, resend: Resend) -> Duration {
        let mut budget = self.settings.settle_budget;
        let markless = provider.descriptor().ownership == Ownership::CreateAnswer;
        if markless && resend != Resend::No {
            budget = budget.max(self.settings.ready_timeout);
        }
        if self.clock.steady().is_some() { budget } else { outlasting(provider, budget) }
    }

    async fn settled(
        &self,
        writer: &mut LeaseWriter,
        index: usize,
        change: Change,
    ) -> Result<ResourceState> {
        writer.append(&[Event::Resource { index, change }]).await?;
        Ok(ResourceState::Present)
    }

    /// Whether the create may be sent once more, as the provider promises and as two clocks allow (invariant I3).
    fn may_resend(
        &self,
        claim: &Claim,
        index: usize,
        provider: &Arc<dyn Provider>,
        resend: Resend,
    ) -> bool {
        let own = match resend {
            Resend::Since(first_sent) => Some(first_sent.elapsed()),
            Resend::No => None,
        };
        let descriptor = provider.descriptor();
        match descriptor.replay {
            Replay::Never => false,
            Replay::UniqueName => own.is_some(),
            Replay::Key { window_ms } => {
                // Whoever gives the lease back repeats only what nothing else can tell.
                if own.is_none() && descriptor.ownership == Ownership::Marks {
                    return false;
                }
                let window = Duration::from_millis(window_ms);
                let sent_at = claim.resources().get(index).and_then(ClaimedResource::sent_at);
                let Some(sent_at) = sent_at else { return false };
                let elapsed = match (own, sent_at.most_elapsed(self.clock.as_ref())) {
                    (own, Some(recorded)) => recorded.max(own.unwrap_or_default()),
                    // Our own clock stands still while the machine sleeps, so the wall clock has to agree with it.
                    (Some(own), None) if self.clock.now() >= sent_at.at => {
                        own.max(self.clock.now().since(sent_at.at))
                    }
                    (_, None) => return false,
                };
                elapsed < window
            }
        }
    }

    /// Tries the lease's own key on each machine that may be the lease's. Nothing of it is remembered: the key of a
    /// stranger's host must not be taken for that of ours later.
    ///
    /// A machine that just came may answer before it knows its keys, so a refusal counts only once the create can have
    /// no effect any more. Until then it is asked again, at an interval at which a stranger can bear it.
    pub(super) async fn recognise(
        &self,
        writer: &LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
        suspects: &[Found],
    ) -> Result<Recognised> {
        let lease = writer.claim().lease();
        let Descriptor { landing, settle, .. } = provider.descriptor();
        let sent = writer.claim().resources().get(index).and_then(ClaimedResource::last_sent_at);
        let sent_before = sent.and_then(|it| it.least_elapsed(self.clock.as_ref()));
        let may_be_young = sent_before.is_some_and(|it| it < *landing);
        let mut taken = BTreeSet::new();
        for claim in self.store.scan().await?.into_iter().filter_map(|it| it.claim.ok()) {
            if claim.scope() == writer.claim().scope() {
                taken.extend(claim.resources().iter().filter_map(|it| it.id().cloned()));
            }
        }
        let mut unclear = None;
        for suspect in suspects.iter().filter(|it| !taken.contains(&it.id)) {
            let mut again_in = Duration::ZERO;
            let why = match &suspect.reach {
                Some(reach) => {
                    let login = self.transport.recognise(lease, reach);
                    match self.call("try the lease's key", login).await {
                        Ok(Recognition::Ours) => return Ok(Recognised::It(suspect.id.clone())),
                        Ok(Recognition::NotOurs { why }) if !may_be_young => {
                            tracing::info!(%lease, id = %suspect.id, %why, "not the lease's machine");
                            continue;
                        }
                        Ok(Recognition::NotOurs { why }) => {
                            again_in = *settle;
                            format!("it may not know the lease's key yet: {why}")
                        }
                        Ok(Recognition::Unclear { why }) => why,
                        Err(error) => error.to_string(),
                    }
                }
                None => format!("it is {:?} and has no address", suspect.status),
            };
            let message = format!("{} may be the lease's, and cannot be asked: {why}", suspect.id);
            let error = Error::harmless(ErrorKind::Unavailable, "search for a resource", message);
            unclear = Some(error.with_retry_after(again_in));
        }
        Ok(unclear.map_or(Recognised::NoneOfThem, Recognised::Unclear))
    }

    /// Looks for what an intent may have left, in the right account, and believes only matching marks.
    pub(super) async fn look_for(
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

    /// Sends the same create again, if it still may be; whether it was answered with an id.
    async fn replay(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
        resend: Resend,
    ) -> Result<bool> {
        // The search took its time, and what is sent into another account is found by nobody.
        let verify = VerifiedScope::verify(provider.as_ref(), writer.claim().scope());
        match self.call("verify the account", verify).await {
            Ok(_scope) => {}
            Err(error) if error.kind().needs_person() => return Err(error),
            Err(_passing) => return Ok(false),
        }
        // That took its time as well.
        if !self.may_resend(writer.claim(), index, provider, resend) {
            return Ok(false);
        }
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
}

/// A budget within which a create lands that was sent at its beginning.
pub(super) fn outlasting(provider: &Arc<dyn Provider>, budget: Duration) -> Duration {
    let descriptor = provider.descriptor();
    budget.max((descriptor.landing + descriptor.settle).saturating_mul(2))
}
