//! Proof tokens: the only way to create or destroy anything is to hold one, and the only way to hold one is to have
//! done what it proves.
//!
//! [`Intent`] proves that a durable record says what is about to be created (invariant I1). [`Owned`] proves that the
//! one gate, [`may_destroy`], let a resource through (invariant I5). [`VerifiedScope`] proves that this process asked the
//! provider which account it is (invariant I9). Their fields are private and their constructors are not exported:
//!
//! ```compile_fail,E0451
//! # fn forge(scope: lease_core::Scope) {
//! let forged = lease_core::VerifiedScope { scope };
//! # }
//! ```
//! ```compile_fail,E0061,E0308
//! // A create without a journalled intent.
//! # async fn forge(provider: &dyn lease_core::Provider, request: serde_json::Value) {
//! provider.create(&request).await;
//! # }
//! ```
//! ```compile_fail,E0308
//! // A destroy without verified ownership.
//! # async fn forge(provider: &dyn lease_core::Provider, id: lease_core::ResourceId) {
//! provider.destroy(&id).await;
//! # }
//! ```
//! ```compile_fail,E0639
//! // Neither token can be built by hand.
//! # fn forge(claim: lease_core::Claim) -> lease_core::Intent {
//! lease_core::Intent { index: 0, ..unreachable!() }
//! # }
//! ```
//! The same calls with real tokens compile, so that the examples above fail for the reason they give:
//!
//! ```
//! # async fn allowed(provider: &dyn lease_core::Provider, intent: &lease_core::Intent, owned: &lease_core::Owned) {
//! let _ = provider.create(intent).await;
//! let _ = provider.destroy(owned).await;
//! # }
//! ```

mod absence;

use crate::claim::{Claim, ClaimedResource};
use crate::descriptor::Ownership;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Found, Marks};
use crate::id::{LeaseId, Nonce, ResourceId, ResourceName};
use crate::journal::Disposition;
use crate::provider::Provider;
use crate::scope::Scope;
use crate::spec::Retention;
use crate::state::ResourceState;
use crate::time::Timestamp;

pub(crate) use absence::may_land;
pub use absence::{Observed, prove_absent};

/// The proof that a durable record says what is about to be created. Only [`LeaseWriter`](crate::store::LeaseWriter)
/// mints it, after the record is on disk.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Intent {
    scope: Scope,
    marks: Marks,
    index: usize,
    kind: String,
    name: ResourceName,
    request: serde_json::Value,
    public_key: String,
    expires_at: Option<Timestamp>,
    first_sent_at: Option<Timestamp>,
    sends: u32,
    siblings: Vec<Sibling>,
}

/// A resource of the same candidate that was created before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sibling {
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: ResourceId,
}

impl Intent {
    pub(crate) fn mint(claim: &Claim, index: usize) -> Result<Self> {
        let resource = claim.resources().get(index).ok_or_else(|| no_resource(index))?;
        let candidate = resource.intended.candidate;
        let siblings = claim.resources()[..index]
            .iter()
            .filter(|it| it.intended.candidate == candidate)
            .filter_map(|it| Some(Sibling { kind: it.intended.kind.clone(), id: it.id.clone()? }))
            .collect();
        Ok(Self {
            scope: claim.scope().clone(),
            marks: marks_of(claim, resource),
            index,
            kind: resource.intended.kind.clone(),
            name: resource.intended.name.clone(),
            request: resource.intended.request.clone(),
            public_key: resource.intended.public_key.clone(),
            expires_at: claim.ends_at(),
            first_sent_at: resource.sent_at.as_ref().map(|it| it.at),
            sends: resource.sends,
            siblings,
        })
    }

    /// The account it must be created in.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What has to be written on the resource in the create call itself.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The lease it is for.
    pub fn lease(&self) -> &LeaseId {
        &self.marks.lease
    }

    /// Its place in the lease.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its kind in the provider's terms.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name it must have.
    pub fn name(&self) -> &ResourceName {
        &self.name
    }

    /// The idempotency key: the resource's nonce.
    pub fn key(&self) -> &Nonce {
        &self.marks.nonce
    }

    /// The provider's own exact request, as its plan made it.
    pub fn request(&self) -> &serde_json::Value {
        &self.request
    }

    /// The public key that may log in.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// When the lease ends at the latest, for providers that enforce it themselves.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// When the first create for it was sent; `None` before any was.
    pub fn first_sent_at(&self) -> Option<Timestamp> {
        self.first_sent_at
    }

    /// How often a create was sent, this one included.
    pub fn sends(&self) -> u32 {
        self.sends
    }

    /// The id of the resource of `kind` that was created before this one for the same machine.
    pub fn sibling(&self, kind: &str) -> Option<&ResourceId> {
        self.siblings.iter().find(|it| it.kind == kind).map(|it| &it.id)
    }
}

/// The proof that this process asked the provider which account it is, and that it is the one the claim is bound to.
#[derive(Clone, Debug)]
pub struct VerifiedScope {
    scope: Scope,
}

impl VerifiedScope {
    /// Asks the provider and compares.
    ///
    /// # Errors
    /// [`ErrorKind::ScopeChanged`] when it is another account; otherwise whatever the provider met. Nothing is changed
    /// in either case.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn verify(provider: &dyn Provider, expected: &Scope) -> Result<Self> {
        let actual = provider.scope().await?;
        if actual == *expected {
            Ok(Self { scope: actual })
        } else {
            let message = format!(
                "the lease belongs to {expected}, and the credentials now belong to {actual}"
            );
            Err(Error::harmless(ErrorKind::ScopeChanged, "verify the account", message))
        }
    }

    /// The verified scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// The proof that a resource may be destroyed: it is exactly the one that the claim names, in exactly that account.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Owned {
    scope: Scope,
    marks: Marks,
    id: ResourceId,
    kind: String,
    name: ResourceName,
}

impl Owned {
    /// The account it lives in.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The marks that were read back from it, or that our create gave it.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The resource to destroy.
    pub fn id(&self) -> &ResourceId {
        &self.id
    }

    /// Its kind in the provider's terms.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its name.
    pub fn name(&self) -> &ResourceName {
        &self.name
    }
}

/// The proof that a resource belongs to a lease that nobody is giving back: it may be written on, and not destroyed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Held {
    marks: Marks,
    id: ResourceId,
    kind: String,
}

impl Held {
    /// The marks that were read back from it.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The resource.
    pub fn id(&self) -> &ResourceId {
        &self.id
    }

    /// Its kind in the provider's terms.
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

/// Why the gate stays shut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Invariant I7.
    #[error("the lease is kept, so nothing of it is deleted automatically")]
    Kept,
    /// Nobody asked for the end of the lease or of this candidate.
    #[error("the lease is not being released")]
    NotReleasing,
    /// What is being given back is not written on any more.
    #[error("the lease is being released")]
    Releasing,
    /// Invariant I9.
    #[error("{0}")]
    OtherScope(Box<ScopeMismatch>),
    /// Invariant I8.
    #[error("the resource was not created by this lease")]
    NotOurs,
    /// Only what is known to exist can be destroyed.
    #[error("the resource is {0}")]
    NotPresent(ResourceState),
    /// The provider showed something else.
    #[error("the claim names {claimed:?}, and the provider showed {shown}")]
    OtherResource {
        /// The claim's id.
        claimed: Option<ResourceId>,
        /// The id that was shown.
        shown: ResourceId,
    },
    /// The provider's marks are missing or name something else: the id was given to somebody else.
    #[error("{shown} does not carry the marks of this lease")]
    OtherMarks {
        /// The id that was shown.
        shown: ResourceId,
    },
    /// Invariant I8.
    #[error("resource {0} was created later and is not gone yet")]
    OutOfOrder(usize),
}

/// Two accounts that should have been one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease belongs to {claimed}, and this is {actual}")]
pub struct ScopeMismatch {
    /// The claim's scope.
    pub claimed: Scope,
    /// The verified one.
    pub actual: Scope,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::harmless(ErrorKind::Refused, "destroy a resource", refusal.to_string())
    }
}

/// The one gate: whether the claim's resource number `index`, as the provider just showed it, may be destroyed.
///
/// # Errors
/// The [`Refusal`] says which condition does not hold.
pub fn may_destroy(
    claim: &Claim,
    index: usize,
    shown: &Found,
    scope: &VerifiedScope,
    ownership: Ownership,
) -> Result<Owned, Refusal> {
    if claim.retention() == Retention::Keep {
        return Err(Refusal::Kept);
    }
    if scope.scope != *claim.scope() {
        return Err(Refusal::OtherScope(Box::new(ScopeMismatch {
            claimed: claim.scope().clone(),
            actual: scope.scope.clone(),
        })));
    }
    let Some(resource) = claim.resources().get(index) else { return Err(Refusal::NotOurs) };
    if resource.intended.disposition != Disposition::Own {
        return Err(Refusal::NotOurs);
    }
    let given_up =
        claim.failed_candidates().iter().any(|it| it.candidate == resource.intended.candidate);
    if claim.releasing().is_none() && !given_up {
        return Err(Refusal::NotReleasing);
    }
    if !matches!(resource.state, ResourceState::Present | ResourceState::Destroying) {
        return Err(Refusal::NotPresent(resource.state));
    }
    if resource.id.as_ref() != Some(&shown.id) {
        return Err(Refusal::OtherResource {
            claimed: resource.id.clone(),
            shown: shown.id.clone(),
        });
    }
    let marks = marks_of(claim, resource);
    let marked = match ownership {
        Ownership::Marks => shown.marks.as_ref() == Some(&marks),
        // Marks that are there all the same count as marks; without any, the id has to be proven in another way.
        Ownership::CreateAnswer => match &shown.marks {
            Some(shown) => *shown == marks,
            None => resource.identified,
        },
    };
    if !marked {
        return Err(Refusal::OtherMarks { shown: shown.id.clone() });
    }
    let later = claim.resources().iter().enumerate().skip(index + 1);
    if let Some((other, _)) = later.into_iter().find(|(_, it)| it.state != ResourceState::Gone) {
        return Err(Refusal::OutOfOrder(other));
    }
    Ok(Owned {
        scope: scope.scope.clone(),
        marks,
        id: shown.id.clone(),
        kind: resource.intended.kind.clone(),
        name: resource.intended.name.clone(),
    })
}

/// Whether the claim's resource number `index`, as the provider just showed it, may be written on.
///
/// # Errors
/// The [`Refusal`] says which condition does not hold.
pub fn may_renew(
    claim: &Claim,
    index: usize,
    shown: &Found,
    scope: &VerifiedScope,
) -> Result<Held, Refusal> {
    if scope.scope != *claim.scope() {
        return Err(Refusal::OtherScope(Box::new(ScopeMismatch {
            claimed: claim.scope().clone(),
            actual: scope.scope.clone(),
        })));
    }
    if claim.releasing().is_some() {
        return Err(Refusal::Releasing);
    }
    let Some(resource) = claim.resources().get(index) else { return Err(Refusal::NotOurs) };
    if resource.intended.disposition != Disposition::Own {
        return Err(Refusal::NotOurs);
    }
    if resource.state != ResourceState::Present {
        return Err(Refusal::NotPresent(resource.state));
    }
    let marks = marks_of(claim, resource);
    if resource.id.as_ref() != Some(&shown.id) || shown.marks.as_ref() != Some(&marks) {
        return Err(Refusal::OtherMarks { shown: shown.id.clone() });
    }
    Ok(Held { marks, id: shown.id.clone(), kind: resource.intended.kind.clone() })
}

pub(crate) fn marks_of(claim: &Claim, resource: &ClaimedResource) -> Marks {
    Marks {
        lease: claim.lease().clone(),
        installation: claim.installation().clone(),
        nonce: resource.intended.nonce.clone(),
    }
}

fn no_resource(index: usize) -> Error {
    Error::harmless(ErrorKind::Internal, "read the claim", format!("there is no resource {index}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::entropy::OsEntropy;
    use crate::evidence::{Inventory, Sighting, Status};
    use crate::journal::{Change, Event, FORMAT, Intended, Opened, Record, Sequence};
    use crate::store::tests::opened;

    const AT: Timestamp = Timestamp::from_millis(1);

    /// A lease with a key and a machine, both present, that is being released.
    struct Case {
        opened: Opened,
        events: Vec<Event>,
        shown: Found,
        scope: VerifiedScope,
        ownership: Ownership,
        index: usize,
    }

    fn intended(lease: &LeaseId, index: usize) -> Intended {
        Intended {
            candidate: 0,
            kind: "machine".to_owned(),
            disposition: Disposition::Own,
            name: lease.resource_name(index),
            nonce: Nonce::draw(&OsEntropy).unwrap(),
            request: serde_json::Value::Null,
            public_key: String::new(),
            id: None,
        }
    }

    fn moved(index: usize, change: Change) -> Event {
        Event::Resource { index, change }
    }

    fn case() -> Case {
        let opened = opened("calm-otter");
        let (lease, scope) = (opened.lease.clone(), opened.scope.clone());
        let resources = vec![intended(&lease, 0), intended(&lease, 1)];
        let marks = Marks {
            lease,
            installation: opened.installation.clone(),
            nonce: resources[1].nonce.clone(),
        };
        let shown = Found {
            id: "id-1".parse().unwrap(),
            kind: "machine".into(),
            name: None,
            marks: Some(marks),
            status: Status::Running,
            reach: None,
            created_at: None,
        };
        let events = vec![
            Event::Intended(resources),
            moved(0, Change::Sent { steady: None }),
            moved(0, Change::Created { id: "id-0".parse().unwrap() }),
            moved(1, Change::Sent { steady: None }),
            moved(1, Change::Created { id: "id-1".parse().unwrap() }),
            Event::Releasing { why: "a test".into(), ends_keep: false },
        ];
        Case {
            opened,
            events,
            shown,
            scope: VerifiedScope { scope },
            ownership: Ownership::Marks,
            index: 1,
        }
    }

    fn claim_of(case: &Case) -> Claim {
        let first = Event::Opened(Box::new(case.opened.clone()));
        let events = [first].into_iter().chain(case.events.iter().cloned()).enumerate();
        let record = |(offset, event)| Record {
            v: FORMAT,
            seq: Sequence::FIRST.plus(offset),
            at: AT,
            event,
        };
        Claim::fold(events.map(record)).unwrap()
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Case), expected: fn(&Result<Owned, Refusal>) -> bool) {
        let mut case = case();
        change(&mut case);
        let claim = claim_of(&case);
        let result = may_destroy(&claim, case.index, &case.shown, &case.scope, case.ownership);
        assert!(expected(&result), "{result:?}");
    }

    #[test]
    fn i5_the_gate_opens_for_exactly_the_claimed_resource() {
        check(|_| {}, |it| it.as_ref().is_ok_and(|owned| owned.id().as_str() == "id-1"));
        check(
            |it| it.shown.id = "id-9".parse().unwrap(),
            |it| matches!(it, Err(Refusal::OtherResource { .. })),
        );
        check(|it| it.shown.marks = None, |it| matches!(it, Err(Refusal::OtherMarks { .. })));
        let other_nonce = |it: &mut Case| {
            if let Some(marks) = &mut it.shown.marks {
                marks.nonce = Nonce::draw(&OsEntropy).unwrap();
            }
        };
        check(other_nonce, |it| matches!(it, Err(Refusal::OtherMarks { .. })));
        check(|it| it.index = 7, |it| matches!(it, Err(Refusal::NotOurs)));
    }

    #[test]
    fn i5_without_marks_only_an_answered_id_counts() {
        let unmarked = |it: &mut Case| {
            it.ownership = Ownership::CreateAnswer;
            it.shown.marks = None;
        };
        check(unmarked, Result::is_ok);
        let found_by_search = move |it: &mut Case| {
            unmarked(it);
            it.events[4] = moved(1, Change::Lost { message: "reset".into() });
            it.events.insert(5, moved(1, Change::Found { id: "id-1".parse().unwrap() }));
        };
        check(found_by_search, |it| matches!(it, Err(Refusal::OtherMarks { .. })));
        // Marks that show all the same decide, for and against.
        let with_ours = move |it: &mut Case| {
            let marks = it.shown.marks.clone();
            found_by_search(it);
            it.shown.marks = marks;
        };
        check(with_ours, Result::is_ok);
        let with_others = move |it: &mut Case| {
            let marks = it.shown.marks.clone();
            unmarked(it);
            it.shown.marks =
                marks.map(|it| Marks { nonce: Nonce::draw(&OsEntropy).unwrap(), ..it });
        };
        check(with_others, |it| matches!(it, Err(Refusal::OtherMarks { .. })));
    }

    #[test]
    fn i7_the_gate_is_shut_for_a_kept_lease() {
        let kept = |it: &mut Case| it.events.push(Event::Kept { why: "a person".into() });
        check(kept, |it| matches!(it, Err(Refusal::Kept)));
        let ended = |it: &mut Case| {
            it.events.push(Event::Kept { why: "a person".into() });
            it.events.push(Event::Releasing { why: "a person".into(), ends_keep: true });
        };
        check(ended, Result::is_ok);
    }

    /// The machine is somebody else's, and only used.
    fn referenced(it: &mut Case) {
        if let Event::Intended(resources) = &mut it.events[0] {
            resources[1].disposition = Disposition::Referenced;
            resources[1].id = Some("id-1".parse().unwrap());
        }
        it.events.drain(3..5);
    }

    #[test]
    fn i8_later_resources_go_first_and_foreign_ones_never() {
        let key_first = |it: &mut Case| {
            it.index = 0;
            it.shown.id = "id-0".parse().unwrap();
            if let (Event::Intended(resources), Some(marks)) = (&it.events[0], &mut it.shown.marks)
            {
                marks.nonce = resources[0].nonce.clone();
            }
        };
        check(key_first, |it| matches!(it, Err(Refusal::OutOfOrder(1))));
        check(referenced, |it| matches!(it, Err(Refusal::NotOurs)));
    }

    #[test]
    fn i9_the_gate_is_shut_in_another_account() {
        check(
            |it| it.scope.scope.account = "b".into(),
            |it| matches!(it, Err(Refusal::OtherScope(_))),
        );
    }

    #[test]
    fn i6_nothing_is_destroyed_that_nobody_gave_up() {
        check(|it| drop(it.events.pop()), |it| matches!(it, Err(Refusal::NotReleasing)));
        let other_candidate = |it: &mut Case| {
            it.events.pop();
            it.events.push(Event::CandidateFailed {
                candidate: 1,
                kind: ErrorKind::Capacity,
                message: "x".into(),
            });
        };
        check(other_candidate, |it| matches!(it, Err(Refusal::NotReleasing)));
        let given_up = |it: &mut Case| {
            it.events.pop();
            it.events.push(Event::CandidateFailed {
                candidate: 0,
                kind: ErrorKind::Capacity,
                message: "x".into(),
            });
        };
        check(given_up, Result::is_ok);
    }

    #[track_caller]
    fn check_absence(
        sighting: &Sighting,
        listed: bool,
        account: &str,
        absent_ms: u64,
        proven: bool,
    ) {
        let mut case = case();
        let listed_scope = Scope { account: account.into(), ..case.scope.scope.clone() };
        let items = if listed { vec![case.shown.clone()] } else { Vec::new() };
        let inventory = Inventory { scope: listed_scope.clone(), items };
        case.scope.scope = listed_scope;
        let scope = VerifiedScope { scope: case.scope.scope.clone() };
        let observed = Observed {
            scope: &scope,
            absent_for: Duration::from_millis(absent_ms),
            settle: Duration::from_millis(500),
            sent_before: None,
            landing: Duration::ZERO,
            ownership: Ownership::Marks,
        };
        let result = prove_absent(&claim_of(&case), 1, sighting, &inventory, &observed);
        assert_eq!(result.is_ok(), proven, "{result:?}");
    }

    #[test]
    fn i4_absence_needs_every_part_of_its_proof() {
        let unclear = Sighting::Unclear(Error::harmless(ErrorKind::Timeout, "look", "no answer"));
        check_absence(&Sighting::Absent, false, "a", 500, true);
        check_absence(&Sighting::Absent, false, "a", 499, false);
        check_absence(&Sighting::Absent, true, "a", 500, false);
        check_absence(&Sighting::Absent, false, "b", 500, false);
        check_absence(&unclear, false, "a", 500, false);
        check_absence(&Sighting::Found(Box::new(case().shown)), false, "a", 500, false);
    }

    #[test]
    fn i4_a_repeated_create_may_still_land_beside_what_it_made() {
        let proven = |repeated: bool, ownership: Ownership, absent: u64| {
            let mut case = case();
            if repeated {
                // The first attempt of resource 1 was lost, and the second was answered.
                case.events[4] = moved(1, Change::Lost { message: "reset".into() });
                case.events.insert(5, moved(1, Change::Resent { steady: None }));
                case.events.insert(6, moved(1, Change::Created { id: "id-1".parse().unwrap() }));
            }
            let claim = claim_of(&case);
            let inventory = Inventory { scope: case.scope.scope.clone(), items: Vec::new() };
            let observed = Observed {
                scope: &case.scope,
                absent_for: Duration::from_millis(absent),
                settle: Duration::from_millis(500),
                sent_before: None,
                landing: Duration::from_secs(2),
                ownership,
            };
            prove_absent(&claim, 1, &Sighting::Absent, &inventory, &observed).is_ok()
        };
        assert!(proven(false, Ownership::Marks, 500));
        assert!(!proven(true, Ownership::Marks, 1_999));
        assert!(proven(true, Ownership::Marks, 2_000));
        assert!(proven(true, Ownership::CreateAnswer, 500));
    }

    #[test]
    fn i4_what_shows_in_either_way_is_not_absent() {
        let shows = |change: fn(&mut Found)| {
            let case = case();
            let claim = claim_of(&case);
            let resource = &claim.resources()[1];
            let mut item = case.shown.clone();
            change(&mut item);
            let inventory = Inventory { scope: case.scope.scope.clone(), items: vec![item] };
            inventory.shows(resource.id.as_ref(), &resource.intended.nonce)
        };
        assert!(shows(|_| {}));
        assert!(shows(|it| it.marks = None), "the id alone");
        assert!(shows(|it| it.id = "id-9".parse().unwrap()), "the nonce alone");
        let stranger = |it: &mut Found| {
            it.id = "id-9".parse().unwrap();
            it.marks = None;
        };
        assert!(!shows(stranger));
    }

    #[test]
    fn i9_neither_look_nor_listing_of_another_account_proves_absence() {
        let proven = |looked: &str, listed: &str| {
            let case = case();
            let of =
                |account: &str| Scope { account: account.to_owned(), ..case.scope.scope.clone() };
            let inventory = Inventory { scope: of(listed), items: Vec::new() };
            let scope = VerifiedScope { scope: of(looked) };
            let observed = Observed {
                scope: &scope,
                absent_for: Duration::ZERO,
                settle: Duration::ZERO,
                sent_before: None,
                landing: Duration::ZERO,
                ownership: Ownership::Marks,
            };
            prove_absent(&claim_of(&case), 1, &Sighting::Absent, &inventory, &observed).is_ok()
        };
        assert!(proven("a", "a"));
        assert!(!proven("b", "a"));
        assert!(!proven("a", "b"));
    }

    #[test]
    fn tokens_say_what_the_record_says() {
        let mut case = case();
        case.opened.deadlines.expires_at = Some(Timestamp::from_millis(9_000));
        case.events.truncate(4);
        case.events.push(moved(1, Change::Lost { message: "reset".into() }));
        case.events.push(moved(1, Change::Resent { steady: None }));
        if let Event::Intended(resources) = &mut case.events[0] {
            resources[0].kind = "key".to_owned();
            resources[1].request = serde_json::json!({ "size": 4 });
            resources[1].public_key = "ssh-ed25519 AAAA".to_owned();
        }
        let intent = Intent::mint(&claim_of(&case), 1).unwrap();
        let marks = case.shown.marks.clone().unwrap();
        assert_eq!((intent.index(), intent.sends(), intent.first_sent_at()), (1, 2, Some(AT)));
        assert_eq!((intent.scope(), intent.marks()), (&case.opened.scope, &marks));
        assert_eq!((intent.lease(), intent.key()), (&case.opened.lease, &marks.nonce));
        assert_eq!((intent.kind(), intent.public_key()), ("machine", "ssh-ed25519 AAAA"));
        assert_eq!(intent.name(), &case.opened.lease.resource_name(1));
        assert_eq!(intent.request(), &serde_json::json!({ "size": 4 }));
        assert_eq!(intent.expires_at(), case.opened.deadlines.expires_at);
        assert_eq!(intent.sibling("key").map(ResourceId::as_str), Some("id-0"));
        assert_eq!(intent.sibling("machine"), None, "it is no sibling of itself");
        assert_eq!(Intent::mint(&claim_of(&case), 0).unwrap().index(), 0);
        Intent::mint(&claim_of(&case), 2).unwrap_err();

        let case = self::case();
        let claim = claim_of(&case);
        let owned = may_destroy(&claim, 1, &case.shown, &case.scope, case.ownership).unwrap();
        let marks = case.shown.marks.as_ref().unwrap();
        assert_eq!((owned.scope(), owned.marks()), (&case.opened.scope, marks));
        assert_eq!((owned.id().as_str(), owned.kind()), ("id-1", "machine"));
        assert_eq!(owned.name(), &case.opened.lease.resource_name(1));
        assert_eq!(case.scope.scope(), &case.opened.scope);
    }

    #[track_caller]
    fn check_renewal(change: impl FnOnce(&mut Case), expected: fn(&Result<Held, Refusal>) -> bool) {
        let mut case = case();
        case.events.pop();
        change(&mut case);
        let result = may_renew(&claim_of(&case), case.index, &case.shown, &case.scope);
        assert!(expected(&result), "{result:?}");
    }

    #[test]
    fn i5_only_a_present_resource_of_the_lease_is_written_on() {
        let is_ours = |it: &Result<Held, Refusal>| {
            it.as_ref().is_ok_and(|held| held.id().as_str() == "id-1" && held.kind() == "machine")
        };
        check_renewal(|_| {}, is_ours);
        let releasing = Event::Releasing { why: "a test".into(), ends_keep: false };
        check_renewal(|it| it.events.push(releasing), |it| matches!(it, Err(Refusal::Releasing)));
        check_renewal(
            |it| it.scope.scope.account = "b".into(),
            |it| matches!(it, Err(Refusal::OtherScope(_))),
        );
        check_renewal(|it| it.index = 7, |it| matches!(it, Err(Refusal::NotOurs)));
        check_renewal(referenced, |it| matches!(it, Err(Refusal::NotOurs)));
        check_renewal(
            |it| drop(it.events.pop()),
            |it| matches!(it, Err(Refusal::NotPresent(ResourceState::Creating))),
        );
        let is_other = |it: &Result<Held, Refusal>| matches!(it, Err(Refusal::OtherMarks { .. }));
        check_renewal(|it| it.shown.marks = None, is_other);
        check_renewal(|it| it.shown.id = "id-9".parse().unwrap(), is_other);
    }
}
