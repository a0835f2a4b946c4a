//! Proving absence: what all looks together have shown, and whether it is enough (invariant I4).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::claim::{Claim, ClaimedResource};
use crate::descriptor::Ownership;
use crate::engine::Engine;
use crate::engine::settle::Recognised;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Found, Inventory, Sighting};
use crate::id::ResourceId;
use crate::journal::{Change, Event};
use crate::proof::{Observed, VerifiedScope, marks_of, may_land, prove_absent};
use crate::provider::Provider;
use crate::state::ResourceState;
use crate::store::LeaseWriter;

/// What all looks at one resource have shown so far.
#[derive(Debug, Default)]
pub(super) struct Looks {
    absent_since: Option<Instant>,
    /// How much longer it has to be absent.
    missing: Option<Duration>,
    last: Option<Error>,
}

impl Looks {
    /// Notes a look that did not show absence.
    pub(super) fn interrupted(&mut self, error: Option<Error>) {
        self.absent_since = None;
        self.last = error.or(self.last.take());
    }

    /// How long to wait before another look says anything new: what the other side asked for, or what is still missing of
    /// a time of absence. Looking in between would only cost requests.
    pub(super) fn asked_to_wait(&self) -> Option<Duration> {
        match self.absent_since {
            Some(_) => self.missing,
            None => self.last.as_ref()?.asked_to_wait(),
        }
    }

    /// What is waited for, for people.
    pub(super) fn why(&self) -> String {
        match (&self.last, self.absent_since) {
            (_, Some(_)) => "proof that there is no machine".to_owned(),
            (Some(last), None) => last.to_string(),
            (None, None) => "another look".to_owned(),
        }
    }

    /// The error to give up with.
    pub(super) fn give_up(self, doing: &'static str) -> Error {
        match self.last {
            Some(last) => {
                let error = Error::unsettled(last.kind(), doing, last.to_string());
                let error = match last.asked_to_wait() {
                    Some(wait) => error.with_retry_after(wait),
                    None => error,
                };
                error.with_source(last)
            }
            None => match self.missing.filter(|_| self.absent_since.is_some()) {
                Some(missing) => {
                    let message = format!("it may still show up for {} s", missing.as_secs() + 1);
                    Error::unsettled(ErrorKind::Timeout, doing, message).with_retry_after(missing)
                }
                None => Error::unsettled(ErrorKind::Timeout, doing, "the provider still shows it"),
            },
        }
    }
}

impl Engine {
    /// Follows up a look that showed absence. `true` once the absence is proven and recorded.
    pub(super) async fn try_prove_absent(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
        looks: &mut Looks,
    ) -> Result<bool> {
        let (settle, landing) = (provider.descriptor().settle, provider.descriptor().landing);
        let absent_for = looks.absent_since.get_or_insert_with(Instant::now).elapsed();
        let resource = writer.claim().resources().get(index);
        let sent_before = resource
            .and_then(ClaimedResource::last_sent_at)
            .and_then(|it| it.least_elapsed(self.clock.as_ref()));
        let ownership = provider.descriptor().ownership;
        let landing_left = if resource.is_some_and(|it| may_land(it, ownership)) {
            landing.saturating_sub(sent_before.unwrap_or_default().max(absent_for))
        } else {
            Duration::ZERO
        };
        let missing = settle.saturating_sub(absent_for).max(landing_left);
        looks.missing = Some(missing);
        if !missing.is_zero() {
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
        if let Some(id) = twin_in(writer.claim(), index, &inventory) {
            tracing::warn!(lease = %writer.claim().lease(), %id, "a repeated create made a second one");
            writer.append(&[Event::Resource { index, change: Change::Found { id } }]).await?;
            looks.interrupted(None);
            return Ok(false);
        }
        let observed =
            Observed { scope: &scope, absent_for, settle, sent_before, landing, ownership };
        match prove_absent(writer.claim(), index, &Sighting::Absent, &inventory, &observed) {
            Ok(absence) => {
                // A listing is walked page by page; what came or went meanwhile shows in one more look.
                if let Some(shown) = self.shows_again(writer, provider, index).await {
                    looks.interrupted(Some(shown));
                    return Ok(false);
                }
                if self.has_twin(writer, provider, index, looks).await? {
                    return Ok(false);
                }
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

    /// Why a resource that has an id is not called absent after all, if it is not.
    async fn shows_again(
        &self,
        writer: &LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
    ) -> Option<Error> {
        let id = writer.claim().resources().get(index)?.id()?.clone();
        let why = match self.call("look at a resource", provider.inspect(&id)).await {
            Ok(Sighting::Absent) => return None,
            Ok(Sighting::Found(_) | Sighting::Suspects(_)) => {
                let message = format!("{id} shows again after a listing without it");
                Error::harmless(ErrorKind::Protocol, "prove absence", message)
            }
            Ok(Sighting::Unclear(error)) | Err(error) => error,
        };
        Some(why)
    }

    /// Whether machines that refuse the lease's key may do so only because they are young. Where a steady clock is read, that
    /// was asked before; where none is, only the time counts that this call has seen pass itself.
    fn may_be_young(
        &self,
        writer: &LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
        looks: &mut Looks,
    ) -> bool {
        let sent = writer.claim().resources().get(index).and_then(ClaimedResource::last_sent_at);
        if sent.is_none_or(|it| it.least_elapsed(self.clock.as_ref()).is_some()) {
            return false;
        }
        let absent_for = looks.absent_since.map_or(Duration::ZERO, |it| it.elapsed());
        let missing = provider.descriptor().landing.saturating_sub(absent_for);
        looks.missing = Some(missing);
        !missing.is_zero()
    }

    /// Whether a create that was sent more than once made a second machine after all, where nothing but a login could
    /// tell. The record goes on with that one, now that the first is gone; `true` also while it cannot be told.
    async fn has_twin(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
        looks: &mut Looks,
    ) -> Result<bool> {
        if !may_have_twin(writer.claim(), index, provider) {
            return Ok(false);
        }
        match self.look_for(writer, provider, index).await {
            Ok(Sighting::Absent) => Ok(false),
            Ok(Sighting::Suspects(suspects)) => {
                match self.recognise(writer, provider, index, &suspects).await? {
                    Recognised::It(id) => {
                        tracing::warn!(lease = %writer.claim().lease(), %id, "a repeated create made a second machine");
                        let change = Change::Recognised { id };
                        writer.append(&[Event::Resource { index, change }]).await?;
                        looks.interrupted(None);
                        Ok(true)
                    }
                    Recognised::NoneOfThem => Ok(self.may_be_young(writer, provider, index, looks)),
                    Recognised::Unclear(error) => {
                        looks.interrupted(Some(error));
                        Ok(true)
                    }
                }
            }
            Ok(Sighting::Found(_)) => Ok(false),
            Ok(Sighting::Unclear(error)) | Err(error) => {
                looks.interrupted(Some(error));
                Ok(true)
            }
        }
    }
}

/// Whether a create that is settled was sent more than once, and nothing but a login tells what else it made.
pub(super) fn may_have_twin(claim: &Claim, index: usize, provider: &Arc<dyn Provider>) -> bool {
    let repeated = claim.resources().get(index).is_some_and(|it| {
        it.sends() > 1 && matches!(it.state(), ResourceState::Present | ResourceState::Destroying)
    });
    repeated && provider.descriptor().ownership == Ownership::CreateAnswer
}

/// What a listing shows with the name and the marks of a resource whose own id is gone, and whose create was repeated: what
/// another attempt of it made. Whoever gives the lease back goes on with that one. Marks alone can be copied.
fn twin_in(claim: &Claim, index: usize, inventory: &Inventory) -> Option<ResourceId> {
    let resource = claim.resources().get(index)?;
    let settled = matches!(resource.state(), ResourceState::Present | ResourceState::Destroying);
    let may_have_one = settled && resource.sends() > 1 && inventory.scope == *claim.scope();
    let id = resource.id().filter(|_| may_have_one)?;
    if inventory.items.iter().any(|it| it.id == *id) {
        return None;
    }
    let marks = marks_of(claim, resource);
    let is_twin = |it: &&Found| {
        it.marks.as_ref() == Some(&marks)
            && it.kind == resource.intended().kind
            && it.name.as_ref() == Some(&resource.intended().name)
    };
    inventory.items.iter().find(is_twin).map(|it| it.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::tests::{Story, change, id};
    use crate::evidence::Status;
    use crate::journal::Absence;
    use crate::spec::Retention;

    /// A claim whose create was sent twice and was answered with `m-1`, and a listing of what the first attempt made.
    fn case() -> (Claim, Inventory) {
        let mut story = Story::intended(Retention::UntilDeadline);
        story.tell(change(Change::Sent { steady: None }));
        story.tell(change(Change::Lost { message: String::new() }));
        story.tell(change(Change::Resent { steady: None }));
        story.tell(change(Change::Created { id: id("m-1") }));
        let claim = story.claim;
        let resource = &claim.resources()[0];
        let twin = Found {
            id: id("m-2"),
            kind: resource.intended().kind.clone(),
            name: Some(resource.intended().name.clone()),
            marks: Some(marks_of(&claim, resource)),
            status: Status::Running,
            reach: None,
            created_at: None,
        };
        let inventory = Inventory { scope: claim.scope().clone(), items: vec![twin] };
        (claim, inventory)
    }

    #[track_caller]
    fn check(spoil: impl FnOnce(&mut Claim, &mut Inventory), twin: bool) {
        let (mut claim, mut inventory) = case();
        spoil(&mut claim, &mut inventory);
        assert_eq!(twin_in(&claim, 0, &inventory).is_some(), twin);
    }

    #[test]
    fn a_twin_has_the_name_the_kind_and_the_marks_of_one_that_was_sent_twice_and_is_gone() {
        check(|_, _| {}, true);
        check(|_, it| it.items[0].kind = "key".to_owned(), false);
        check(|_, it| it.items[0].name = None, false);
        check(|_, it| it.items[0].marks = None, false);
        check(|_, it| it.scope.account = "another".to_owned(), false);
        check(|_, it| it.items.push(Found { id: id("m-1"), ..it.items[0].clone() }), false);
        let (claim, inventory) = case();
        assert_eq!(twin_in(&claim, 0, &inventory), Some(id("m-2")));
        assert_eq!(twin_in(&claim, 1, &inventory), None);
    }

    #[test]
    fn what_was_sent_once_or_is_proven_gone_has_no_twin() {
        let mut once = Story::intended(Retention::UntilDeadline);
        once.tell(change(Change::Sent { steady: None }));
        once.tell(change(Change::Created { id: id("m-1") }));
        let (_, mut inventory) = case();
        inventory.scope = once.claim.scope().clone();
        let resource = &once.claim.resources()[0];
        inventory.items[0].marks = Some(marks_of(&once.claim, resource));
        inventory.items[0].name = Some(resource.intended().name.clone());
        assert_eq!(twin_in(&once.claim, 0, &inventory), None);
        let absence = Absence { listed: 0, absent_for_ms: 0 };
        check(
            |claim, _| {
                let next = crate::journal::Record {
                    v: crate::journal::FORMAT,
                    seq: claim.sequence().plus(1),
                    at: claim.updated_at(),
                    event: change(Change::ProvenAbsent(absence)),
                };
                claim.apply(next).unwrap();
            },
            false,
        );
    }
}
