//! The workbench of one test: it mints tokens the public way, remembers what it made, and takes everything away again.

use std::sync::Arc;
use std::time::Duration;

use lease_core::descriptor::Ownership;
use lease_core::error::{Effect, ErrorKind};
use lease_core::journal::{Change, Disposition, Event, Intended, Opened};
use lease_core::proof::may_renew;
use lease_core::retry::{Bounds, Pace};
use lease_core::spec::{Deadlines, Retention};
use lease_core::store::memory::MemoryStore;
use lease_core::store::{LeaseWriter, Store};
use lease_core::{
    Candidate, Descriptor, Entropy, Error, Found, Held, Intent, LeaseId, Nonce, OsEntropy, Owned,
    Provider, ResourceId, ResourceState, Result, Scope, Sighting, Slug, VerifiedScope,
};

use super::{Broken, Harness};

/// A machine that a test forgot ends by itself after this, where the provider can do that.
const TEST_LEASE_ENDS_AFTER: Duration = Duration::from_secs(15 * 60);

/// The surroundings of one test.
pub(super) struct Bench<'h> {
    pub(super) harness: &'h dyn Harness,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) scope: Scope,
    store: Arc<dyn Store>,
    leases: Vec<Lease>,
    planted: Vec<ResourceId>,
}

/// A lease of the bench by its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handle(usize);

struct Lease {
    writer: LeaseWriter,
    candidates: Vec<Candidate>,
}

impl<'h> Bench<'h> {
    pub(super) async fn set_up(harness: &'h dyn Harness) -> Result<Self> {
        let provider = harness.provider().await?;
        let scope = provider.scope().await?;
        let store = Arc::new(MemoryStore::new()?);
        Ok(Self { harness, provider, scope, store, leases: Vec::new(), planted: Vec::new() })
    }

    pub(super) fn descriptor(&self) -> &Descriptor {
        self.provider.descriptor()
    }

    /// How long something may take that must come to pass.
    pub(super) fn pace(&self) -> Pace {
        Pace::start(Bounds::within(self.descriptor().settle + self.harness.patience()))
    }

    /// Records a lease and the intents of its first candidate; nothing is created yet.
    pub(super) async fn intend(&mut self) -> Result<Handle> {
        let clock = self.harness.clock();
        let total = Some(TEST_LEASE_ENDS_AFTER);
        let opened = Opened {
            lease: LeaseId::draw(&OsEntropy)?,
            slug: Slug::draw_numbered(&OsEntropy)?,
            installation: self.store.installation().await?,
            scope: self.scope.clone(),
            spec: self.harness.spec(),
            owner: None,
            retention: Retention::UntilDeadline,
            deadlines: Deadlines::from_spans(clock.now(), None, total)?,
            purpose: "behaviour suite".to_owned(),
        };
        let candidates = self.provider.plan(&opened.spec).await?;
        let writer = LeaseWriter::open(Arc::clone(&self.store), clock, opened).await?;
        self.leases.push(Lease { writer, candidates });
        let handle = Handle(self.leases.len() - 1);
        self.intend_candidate(handle, 0).await?;
        Ok(handle)
    }

    async fn intend_candidate(&mut self, handle: Handle, number: usize) -> Result<()> {
        let public_key = self.harness.public_key();
        let Lease { writer, candidates } = self.lease(handle)?;
        let candidate = candidates.get(number).ok_or_else(|| {
            Error::harmless(ErrorKind::Capacity, "choose a candidate", "there is no other")
        })?;
        let first = writer.claim().resources().len();
        let mut intended = Vec::new();
        for (offset, template) in candidate.resources.iter().enumerate() {
            intended.push(Intended {
                candidate: number,
                kind: template.kind.clone(),
                disposition: template.disposition,
                name: writer.claim().lease().resource_name(first + offset),
                nonce: Nonce::draw(&OsEntropy)?,
                request: template.request.clone(),
                public_key: public_key.clone(),
                id: template.id.clone(),
            });
        }
        writer.append(&[Event::Intended(intended)]).await
    }

    /// Records and creates all resources of a lease; an empty shelf leads to the next candidate.
    pub(super) async fn make(&mut self) -> Result<Handle> {
        let handle = self.intend().await?;
        for number in 0.. {
            match self.create_from(handle, number).await {
                Err(error)
                    if error.kind() == ErrorKind::Capacity && error.effect() == Effect::None =>
                {
                    let kind = error.kind();
                    let failed = Event::CandidateFailed {
                        candidate: number,
                        kind,
                        message: error.to_string(),
                    };
                    self.lease(handle)?.writer.append(&[failed]).await?;
                    self.intend_candidate(handle, number + 1).await?;
                }
                result => return result.map(|()| handle),
            }
        }
        Ok(handle)
    }

    async fn create_from(&mut self, handle: Handle, candidate: usize) -> Result<()> {
        for index in self.own_resources(handle)? {
            if self.candidate_of(handle, index)? == candidate {
                self.create(handle, index).await?;
            }
        }
        Ok(())
    }

    /// Creates one resource and records the answer.
    pub(super) async fn create(&mut self, handle: Handle, index: usize) -> Result<ResourceId> {
        let provider = Arc::clone(&self.provider);
        let writer = &mut self.lease(handle)?.writer;
        let intent = writer.send(index).await?;
        let (change, result) = match provider.create(&intent).await {
            Ok(created) => (Change::Created { id: created.id.clone() }, Ok(created.id)),
            Err(error) if error.effect() == Effect::None => {
                (Change::Rejected { kind: error.kind(), message: error.to_string() }, Err(error))
            }
            Err(error) => (Change::Lost { message: error.to_string() }, Err(error)),
        };
        writer.append(&[Event::Resource { index, change }]).await?;
        result
    }

    /// Creates what comes before the resource `index`, which may refer to it.
    pub(super) async fn create_before(&mut self, handle: Handle, index: usize) -> Result<()> {
        for earlier in self.own_resources(handle)? {
            if earlier < index && self.id(handle, earlier)?.is_none() {
                self.create(handle, earlier).await?;
            }
        }
        Ok(())
    }

    /// The intent of a resource that was sent, or is sent now in the record only.
    pub(super) fn intent(&mut self, handle: Handle, index: usize) -> Result<Intent> {
        self.lease(handle)?.writer.recall(index)
    }

    /// The resources of the live candidate that are the lease's own, in order of creation.
    pub(super) fn own_resources(&self, handle: Handle) -> Result<Vec<usize>> {
        let lease = self.leases.get(handle.0).ok_or_else(no_lease)?;
        let resources = lease.writer.claim().resources().iter().enumerate();
        let last = lease.writer.claim().resources().last().map(|it| it.intended().candidate);
        let own = resources.filter(|(_, it)| {
            it.intended().disposition == Disposition::Own && Some(it.intended().candidate) == last
        });
        Ok(own.map(|(index, _)| index).collect())
    }

    pub(super) fn id(&self, handle: Handle, index: usize) -> Result<Option<ResourceId>> {
        let lease = self.leases.get(handle.0).ok_or_else(no_lease)?;
        Ok(lease.writer.claim().resources().get(index).and_then(|it| it.id().cloned()))
    }

    /// The id of a resource that was created.
    pub(super) fn made_id(&self, handle: Handle, index: usize) -> Result<ResourceId, Broken> {
        self.id(handle, index)?.ok_or_else(|| Broken(format!("resource {index} has no id")))
    }

    fn candidate_of(&self, handle: Handle, index: usize) -> Result<usize> {
        let lease = self.leases.get(handle.0).ok_or_else(no_lease)?;
        lease
            .writer
            .claim()
            .resources()
            .get(index)
            .map(|it| it.intended().candidate)
            .ok_or_else(no_lease)
    }

    fn lease(&mut self, handle: Handle) -> Result<&mut Lease> {
        self.leases.get_mut(handle.0).ok_or_else(no_lease)
    }

    /// Looks until the provider shows the resource.
    pub(super) async fn wait_shown(&self, id: &ResourceId) -> Result<Found, Broken> {
        let mut pace = self.pace();
        loop {
            let last = match self.provider.inspect(id).await? {
                Sighting::Found(found) => return Ok(*found),
                Sighting::Absent => {
                    return Err(Broken(format!("{id} was created and is called absent")));
                }
                Sighting::Suspects(_) => {
                    return Err(Broken(format!("{id} is one id, and several answered")));
                }
                Sighting::Unclear(error) => error.to_string(),
            };
            if !pace.wait(None).await {
                return Err(Broken(format!("{id} was created and never shown: {last}")));
            }
        }
    }

    /// Looks until the provider calls the resource absent.
    pub(super) async fn wait_absent(&self, id: &ResourceId) -> Result<(), Broken> {
        let mut pace = self.pace();
        loop {
            let last = match self.provider.inspect(id).await? {
                Sighting::Absent => return Ok(()),
                Sighting::Suspects(_) => {
                    return Err(Broken(format!("{id} is one id, and several answered")));
                }
                Sighting::Found(found) => format!("{:?}", found.status),
                Sighting::Unclear(error) => error.to_string(),
            };
            if !pace.wait(None).await {
                return Err(Broken(format!("{id} was destroyed and is still there: {last}")));
            }
        }
    }

    /// Passes the gate for one resource, as a release would.
    pub(super) async fn own(&mut self, handle: Handle, index: usize) -> Result<Owned, Broken> {
        let id = self.made_id(handle, index)?;
        let found = self.wait_shown(&id).await?;
        let provider = Arc::clone(&self.provider);
        let verified = VerifiedScope::verify(provider.as_ref(), &self.scope).await?;
        let ownership: Ownership = self.descriptor().ownership;
        let writer = &mut self.lease(handle)?.writer;
        if writer.claim().releasing().is_none() {
            writer
                .append(&[Event::Releasing {
                    why: "the test is over".to_owned(),
                    ends_keep: false,
                }])
                .await?;
        }
        Ok(writer.own(index, &found, &verified, ownership).await?)
    }

    /// Passes the gate for writing on one resource, as a touch would.
    pub(super) async fn hold(
        &mut self,
        handle: Handle,
        index: usize,
        shown: &Found,
    ) -> Result<Held, Broken> {
        let verified = VerifiedScope::verify(self.provider.as_ref(), &self.scope).await?;
        let claim = self.lease(handle)?.writer.claim();
        may_renew(claim, index, shown, &verified).map_err(|refusal| Broken(refusal.to_string()))
    }

    /// Records what a test has proven itself, so that the next resource in line may be destroyed.
    pub(super) async fn record_absent(
        &mut self,
        handle: Handle,
        index: usize,
    ) -> Result<(), Broken> {
        let listed = self.provider.list().await?.items.len();
        let absence = lease_core::journal::Absence { listed, absent_for_ms: 0 };
        let change = Change::ProvenAbsent(absence);
        Ok(self.lease(handle)?.writer.append(&[Event::Resource { index, change }]).await?)
    }

    /// Destroys one resource and waits until it is absent.
    pub(super) async fn destroy(&mut self, handle: Handle, index: usize) -> Result<(), Broken> {
        let owned = self.own(handle, index).await?;
        self.provider.destroy(&owned).await?;
        self.wait_absent(owned.id()).await?;
        self.record_absent(handle, index).await
    }

    /// Puts a look-alike beside the resource. `None` when that is impossible here.
    pub(super) async fn plant(
        &mut self,
        handle: Handle,
        index: usize,
    ) -> Result<Option<ResourceId>, Broken> {
        let claim = self.lease(handle)?.writer.claim();
        let intended = claim.resources().get(index).ok_or_else(no_lease)?.intended().clone();
        match self.harness.plant_look_alike(&intended.kind, &intended.name).await {
            Ok(id) => {
                self.planted.push(id.clone());
                Ok(Some(id))
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Everything that is listed, in an order of its own.
    pub(super) async fn listed_ids(&self) -> Result<Vec<ResourceId>> {
        let inventory = self.provider.list().await?;
        let mut ids: Vec<_> = inventory.items.into_iter().map(|it| it.id).collect();
        ids.sort();
        Ok(ids)
    }

    /// Takes everything away that the test made, whatever became of the test.
    pub(super) async fn tear_down(&mut self) -> Result<(), Broken> {
        let mut failed = Vec::new();
        for number in (0..self.leases.len()).rev() {
            if let Err(broken) = self.clear(Handle(number)).await {
                failed.push(broken.0);
            }
        }
        for id in std::mem::take(&mut self.planted) {
            if let Err(error) = self.harness.uproot(&id).await {
                failed.push(error.to_string());
            }
        }
        if failed.is_empty() {
            Ok(())
        } else {
            Err(Broken(format!("cleaning up: {}", failed.join("; "))))
        }
    }

    async fn clear(&mut self, handle: Handle) -> Result<(), Broken> {
        let count = self.lease(handle)?.writer.claim().resources().len();
        for index in (0..count).rev() {
            let claim = self.lease(handle)?.writer.claim();
            match claim.resources().get(index).map(lease_core::claim::ClaimedResource::state) {
                Some(ResourceState::Present | ResourceState::Destroying) => {
                    if let Sighting::Absent =
                        self.provider.inspect(&self.made_id(handle, index)?).await?
                    {
                        self.record_absent(handle, index).await?;
                    } else {
                        self.destroy(handle, index).await?;
                    }
                }
                Some(ResourceState::Creating | ResourceState::Uncertain) => {
                    self.clear_uncertain(handle, index).await?;
                }
                Some(ResourceState::Intended) => {
                    let change = Change::NeverSent;
                    self.lease(handle)?.writer.append(&[Event::Resource { index, change }]).await?;
                }
                Some(ResourceState::Gone) | None => {}
            }
        }
        Ok(())
    }

    async fn clear_uncertain(&mut self, handle: Handle, index: usize) -> Result<(), Broken> {
        let intent = self.intent(handle, index)?;
        let mut pace = self.pace();
        while pace.elapsed() <= self.descriptor().settle {
            if let Sighting::Found(found) = self.provider.find(&intent).await? {
                let writer = &mut self.lease(handle)?.writer;
                if writer.claim().resources()[index].state() == ResourceState::Creating {
                    let change = Change::Lost { message: "the test did not wait".to_owned() };
                    writer.append(&[Event::Resource { index, change }]).await?;
                }
                let change = Change::Found { id: found.id };
                writer.append(&[Event::Resource { index, change }]).await?;
                return self.destroy(handle, index).await;
            }
            if !pace.wait(None).await {
                break;
            }
        }
        Ok(())
    }
}

/// An id that nobody was ever given, in the shape of `like`.
pub(super) fn stranger(like: &ResourceId) -> Result<ResourceId> {
    let digits = |count: usize| -> Result<String> {
        let mut bytes = vec![0_u8; count];
        OsEntropy.fill(&mut bytes)?;
        Ok(bytes.iter().map(|it| char::from(b'1' + it % 9)).collect())
    };
    let (tail, count) =
        like.as_str().chars().rev().fold((String::new(), 0), |(mut tail, count), c| {
            if c.is_ascii_digit() && count == tail.len() {
                tail.push(c);
                (tail, count + 1)
            } else {
                (tail, count)
            }
        });
    let head = &like.as_str()[..like.as_str().len() - tail.len()];
    format!("{head}{}", digits(count.max(9))?).parse()
}

fn no_lease() -> Error {
    Error::harmless(ErrorKind::Internal, "run the suite", "there is no such lease or resource")
}
