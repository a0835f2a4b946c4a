//! How the seeded bugs are put in: wrappers around honest parts, so that the code under test stays as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lease_core::error::ErrorKind;
use lease_core::journal::{Change, Event, FORMAT, Opened, Record, Sequence};
use lease_core::provider::Check;
use lease_core::store::{Entry, LockGuard, LockKind};
use lease_core::{
    Candidate, Claim, Created, Descriptor, Error, Held, InstallationId, Intent, Inventory, LeaseId,
    Marks, Owned, Provider, ResourceId, Result, Scope, Sighting, Size, Slug, Spec, Store,
    Timestamp,
};

use super::mutant::Mutant;
use crate::sim::{Flavor, SimProvider};
use crate::world::{HOME, Kind, Order, World};

/// A provider with a bug.
#[derive(Debug)]
pub(super) struct InfectedProvider {
    inner: Arc<dyn Provider>,
    world: World,
    mutant: Mutant,
    /// Whose marks a look-alike was given.
    adopted: Mutex<BTreeMap<ResourceId, Marks>>,
}

impl InfectedProvider {
    pub(super) fn new(inner: Arc<dyn Provider>, world: World, mutant: Mutant) -> Self {
        Self { inner, world, mutant, adopted: Mutex::default() }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == mutant
    }

    fn mutate_error(&self, error: Error) -> Error {
        if self.is(Mutant::ErrorMeansNotCreated) {
            Error::harmless(error.kind(), "create or destroy", error.message().to_owned())
        } else {
            error
        }
    }

    async fn create_anywhere(&self, intent: &Intent) -> Result<Created> {
        let order = Order {
            account: self.world.account().to_owned(),
            kind: Kind::parse(intent.kind()).unwrap_or(Kind::Machine),
            machine_type: None,
            name: intent.name().to_string(),
            marks: intent.marks().clone(),
            public_key: intent.public_key().to_owned(),
            uses: intent.sibling(Kind::Key.name()).cloned(),
        };
        let id = self.world.order(order).await.map_err(|error| {
            Error::harmless(ErrorKind::Unavailable, "create a resource", format!("{error:?}"))
        })?;
        Ok(Created { id, shown: None })
    }

    fn adopt(&self, sighting: Sighting) -> Sighting {
        let Sighting::Found(mut found) = sighting else { return sighting };
        if let Some(marks) = self.adopted().get(&found.id) {
            found.marks = Some(marks.clone());
        }
        Sighting::Found(found)
    }

    fn adopted(&self) -> MutexGuard<'_, BTreeMap<ResourceId, Marks>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provider for InfectedProvider {
    fn descriptor(&self) -> &Descriptor {
        match self.mutant {
            Mutant::ReplayPromisedFalsely => Flavor::UniqueNames.descriptor(),
            Mutant::SettlesAtOnce => &crate::sim::SETTLES_AT_ONCE,
            Mutant::NoIntent
            | Mutant::ErrorMeansNotCreated
            | Mutant::EmptyListMeansGone
            | Mutant::KeyBeforeServer
            | Mutant::ReleaseByName
            | Mutant::KeepForgotten
            | Mutant::AnyAccount
            | Mutant::LookAlikesAdopted => self.inner.descriptor(),
        }
    }

    async fn scope(&self) -> Result<Scope> {
        if self.is(Mutant::AnyAccount) {
            Ok(SimProvider::scope_of(HOME))
        } else {
            self.inner.scope().await
        }
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        self.inner.plan(spec).await
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        if self.is(Mutant::AnyAccount) {
            return self.create_anywhere(intent).await;
        }
        self.inner.create(intent).await.map_err(|error| self.mutate_error(error))
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        if self.is(Mutant::LookAlikesAdopted)
            && let Some(entry) = self.world.named(intent.name().as_str()).first()
        {
            self.adopted().insert(entry.id.clone(), intent.marks().clone());
            return self.inspect(&entry.id).await;
        }
        match self.inner.find(intent).await {
            Err(_) | Ok(Sighting::Unclear(_)) if self.is(Mutant::EmptyListMeansGone) => {
                Ok(Sighting::Absent)
            }
            sighting => sighting,
        }
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        match self.inner.inspect(id).await {
            Err(_) | Ok(Sighting::Unclear(_)) if self.is(Mutant::EmptyListMeansGone) => {
                Ok(Sighting::Absent)
            }
            sighting => Ok(self.adopt(sighting?)),
        }
    }

    async fn list(&self) -> Result<Inventory> {
        match self.inner.list().await {
            Err(_) if self.is(Mutant::EmptyListMeansGone) => Ok(Inventory {
                scope: SimProvider::scope_of(self.world.account()),
                items: Vec::new(),
            }),
            Ok(inventory) if self.is(Mutant::AnyAccount) => {
                Ok(Inventory { scope: SimProvider::scope_of(HOME), ..inventory })
            }
            inventory => inventory,
        }
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        let account = owned.scope().account.clone();
        let others: Vec<_> = match self.mutant {
            Mutant::KeyBeforeServer => {
                let of_lease = |it: &Marks| it.lease == owned.marks().lease;
                let ledger = self.world.ours_alive().into_iter();
                ledger
                    .filter(|it| it.kind == Kind::Key && it.marks.as_ref().is_some_and(of_lease))
                    .collect()
            }
            Mutant::ReleaseByName => self.world.named(owned.name().as_str()),
            Mutant::NoIntent
            | Mutant::ErrorMeansNotCreated
            | Mutant::EmptyListMeansGone
            | Mutant::KeepForgotten
            | Mutant::AnyAccount
            | Mutant::ReplayPromisedFalsely
            | Mutant::SettlesAtOnce
            | Mutant::LookAlikesAdopted => Vec::new(),
        };
        for other in others {
            drop(self.world.end(&account, &other.id).await);
        }
        self.inner.destroy(owned).await.map_err(|error| self.mutate_error(error))
    }

    async fn renew(&self, held: &Held, ends_at: Option<Timestamp>) -> Result<()> {
        self.inner.renew(held, ends_at).await
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        self.inner.sizes().await
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        self.inner.doctor().await
    }
}

type Waiting = BTreeMap<LeaseId, (Sequence, Timestamp, Vec<Event>)>;

/// A store that acknowledges some events before they are kept. What waits dies with the process.
#[derive(Debug)]
pub(super) struct WriteBehindStore {
    inner: Arc<dyn Store>,
    mutant: Mutant,
    waiting: Mutex<Waiting>,
}

impl WriteBehindStore {
    pub(super) fn new(inner: Arc<dyn Store>, mutant: Mutant) -> Self {
        Self { inner, mutant, waiting: Mutex::default() }
    }

    fn is_put_off(&self, events: &[Event]) -> bool {
        let sent = |it: &Event| {
            matches!(
                it,
                Event::Resource { change: Change::Sent { .. } | Change::Resent { .. }, .. }
            )
        };
        match self.mutant {
            Mutant::NoIntent => events.iter().all(sent),
            Mutant::KeepForgotten => events.iter().all(|it| matches!(it, Event::Kept { .. })),
            Mutant::ErrorMeansNotCreated
            | Mutant::EmptyListMeansGone
            | Mutant::KeyBeforeServer
            | Mutant::ReleaseByName
            | Mutant::AnyAccount
            | Mutant::ReplayPromisedFalsely
            | Mutant::SettlesAtOnce
            | Mutant::LookAlikesAdopted => false,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for WriteBehindStore {
    async fn installation(&self) -> Result<InstallationId> {
        self.inner.installation().await
    }

    async fn open(&self, at: Timestamp, opened: Opened, then: &[Event]) -> Result<Claim> {
        self.inner.open(at, opened, then).await
    }

    async fn append(
        &self,
        lease: &LeaseId,
        expected: Sequence,
        at: Timestamp,
        events: &[Event],
    ) -> Result<()> {
        let waiting = self.waiting().remove(lease);
        if let Some((base, at, events)) = waiting {
            self.inner.append(lease, base, at, &events).await?;
        }
        if self.is_put_off(events) {
            self.waiting().insert(lease.clone(), (expected, at, events.to_vec()));
            return Ok(());
        }
        self.inner.append(lease, expected, at, events).await
    }

    async fn load(&self, lease: &LeaseId) -> Result<Claim> {
        let mut claim = self.inner.load(lease).await?;
        let waiting = self.waiting().get(lease).cloned();
        for event in waiting
            .into_iter()
            .flat_map(|(_, at, events)| events.into_iter().map(move |it| (at, it)))
        {
            let (at, event) = event;
            claim.apply(Record { v: FORMAT, seq: claim.sequence().plus(1), at, event })?;
        }
        Ok(claim)
    }

    async fn scan(&self) -> Result<Vec<Entry>> {
        self.inner.scan().await
    }

    async fn names(&self) -> Result<Vec<(LeaseId, Slug)>> {
        self.inner.names().await
    }

    async fn archive(&self, lease: &LeaseId) -> Result<()> {
        self.inner.archive(lease).await
    }

    async fn lock(&self, lease: &LeaseId, kind: LockKind) -> Result<Option<LockGuard>> {
        self.inner.lock(lease, kind).await
    }
}
