//! Seeded bugs. Each is the kind of mistake that leaks a machine or destroys a foreign one, and each must be noticed: a
//! matrix that lets one live proves nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request};
use lease_core::descriptor::Replay;
use lease_core::error::ErrorKind;
use lease_core::provider::Check;
use lease_core::{
    Candidate, Created, Descriptor, Error, Found, Held, Intent, Inventory, Marks, Owned, Provider,
    ResourceId, Result, Scope, Sighting, Size, Spec, Status, Timestamp,
};
use lease_emulator::Cloud as _;

use crate::backend::Vendor;
use crate::life::Life;
use crate::notes::Notes;

/// More resources than any lease here has.
const RESOURCES_MAX: usize = 8;

/// A seeded bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mutant {
    /// Every error of a create means that nothing was made.
    ErrorMeansNotCreated,
    /// A conflict means that what has the name is ours, whatever its marks.
    ConflictAdopted,
    /// The first machine that may be ours is taken, without a login.
    SuspectTaken,
    /// Everything whose name begins as ours is destroyed.
    DeleteByName,
    /// A look or a listing that failed shows nothing.
    EmptyListMeansGone,
    /// A repetition has an idempotency key of its own.
    NewKeyOnReplay,
    /// Each create has a name of its own, a repetition too.
    NewNameOnReplay,
    /// A create is repeated for ever.
    ReplayAfterWindow,
    /// The account is asked once, and believed for ever.
    OtherAccountGone,
    /// The key is destroyed before its server.
    KeyBeforeServer,
}

impl Mutant {
    /// The bugs that can be made with this vendor.
    pub(crate) fn of(vendor: Vendor) -> &'static [Self] {
        match vendor {
            Vendor::Fal => &[
                Self::ErrorMeansNotCreated,
                Self::SuspectTaken,
                Self::EmptyListMeansGone,
                Self::NewKeyOnReplay,
                Self::ReplayAfterWindow,
                Self::OtherAccountGone,
            ],
            Vendor::Hetzner => &[
                Self::ErrorMeansNotCreated,
                Self::ConflictAdopted,
                Self::DeleteByName,
                Self::EmptyListMeansGone,
                Self::NewNameOnReplay,
                Self::OtherAccountGone,
                Self::KeyBeforeServer,
            ],
        }
    }

    /// The life that it is looked for in first.
    pub(crate) fn shows_in(self) -> Life {
        if self == Self::ReplayAfterWindow { Life::FoundLate } else { Life::Release }
    }

    /// Puts the bug into a provider. `account` outlives the process.
    pub(crate) fn infect(
        self,
        inner: Arc<dyn Provider>,
        notes: &Notes,
        account: &Arc<Mutex<Option<Scope>>>,
    ) -> Arc<dyn Provider> {
        let mut descriptor = inner.descriptor().clone();
        if self == Self::ReplayAfterWindow {
            descriptor.replay = Replay::Key { window_ms: u64::MAX };
        }
        Arc::new(Infected {
            inner,
            descriptor,
            mutant: self,
            notes: notes.clone(),
            account: Arc::clone(account),
            adopted: Mutex::default(),
        })
    }

    /// Puts the bug into a request that creates.
    pub(crate) fn infect_request(self, request: &mut Request<Bytes>, notes: &Notes) {
        let number = notes.trace().len();
        if self == Self::NewKeyOnReplay {
            let fresh = HeaderValue::from_str(&format!("fresh-{number}")).unwrap();
            request.headers_mut().insert("idempotency-key", fresh);
        }
        if self == Self::NewNameOnReplay {
            let mut body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
            let name = format!("{}-{number}", body["name"].as_str().unwrap());
            body["name"] = name.into();
            *request.body_mut() = body.to_string().into();
        }
    }
}

/// A provider with a bug.
#[derive(Debug)]
struct Infected {
    inner: Arc<dyn Provider>,
    descriptor: Descriptor,
    mutant: Mutant,
    notes: Notes,
    account: Arc<Mutex<Option<Scope>>>,
    /// Whose marks something was given.
    adopted: Mutex<BTreeMap<ResourceId, Marks>>,
}

impl Infected {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == mutant
    }

    fn believed(&self, scope: Scope) -> Scope {
        if !self.is(Mutant::OtherAccountGone) {
            return scope;
        }
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.get_or_insert(scope).clone()
    }

    /// Gives what was adopted the marks that it was adopted with.
    fn marked(&self, mut found: Found) -> Found {
        let adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(marks) = adopted.get(&found.id) {
            found.marks = Some(marks.clone());
            found.status = Status::Running;
        }
        found
    }

    fn adopt(&self, id: &ResourceId, marks: &Marks) {
        let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        adopted.insert(id.clone(), marks.clone());
    }

    /// Ends what the bug takes for ours, or too early, with a request past the script.
    async fn end_others(&self, owned: &Owned) {
        let lease = &owned.marks().lease;
        let names: Vec<_> = (0..RESOURCES_MAX).map(|it| lease.resource_name(it)).collect();
        let of_lease = |it: &Found| it.name.as_ref().is_some_and(|it| names.contains(it));
        let begins = |it: &Found| {
            it.name.as_ref().is_some_and(|name| name.as_str().starts_with(lease.as_str()))
        };
        let wanted = |it: &Found| {
            if self.is(Mutant::DeleteByName) {
                begins(it)
            } else {
                it.kind == "ssh_key" && of_lease(it)
            }
        };
        let Ok(inventory) = self.inner.list().await else { return };
        let token = crate::hetzner::TOKEN;
        for found in inventory.items.iter().filter(|it| wanted(it)) {
            let Some((kind, number)) = found.id.as_str().rsplit_once('-') else { continue };
            let request = Request::delete(format!("https://api.hetzner.cloud/v1/{kind}s/{number}"))
                .header("authorization", format!("Bearer {token}"))
                .body(Bytes::new())
                .unwrap();
            drop(self.notes.cloud.inner().serve(request).await);
        }
    }
}

#[async_trait]
impl Provider for Infected {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn scope(&self) -> Result<Scope> {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(account) = account {
            return Ok(account);
        }
        Ok(self.believed(self.inner.scope().await?))
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        self.inner.plan(spec).await
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        let error = match self.inner.create(intent).await {
            Ok(created) => return Ok(created),
            Err(error) => error,
        };
        if self.is(Mutant::ConflictAdopted) && error.kind() == ErrorKind::Conflict {
            let inventory = self.inner.list().await?;
            let named = |it: &&Found| it.name.as_ref() == Some(intent.name());
            if let Some(found) = inventory.items.iter().find(named) {
                self.adopt(&found.id, intent.marks());
                return Ok(Created { id: found.id.clone(), shown: None });
            }
        }
        if self.is(Mutant::ErrorMeansNotCreated) {
            let message = error.message().to_owned();
            return Err(Error::harmless(error.kind(), "create a resource", message));
        }
        Err(error)
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        match self.inner.find(intent).await {
            Err(_) | Ok(Sighting::Unclear(_)) if self.is(Mutant::EmptyListMeansGone) => {
                Ok(Sighting::Absent)
            }
            Ok(Sighting::Suspects(suspects)) if self.is(Mutant::SuspectTaken) => {
                let ledger = self.notes.cloud.ledger();
                let place = |it: &Found| ledger.iter().position(|one| one.id == it.id.as_str());
                let oldest = suspects.into_iter().min_by_key(place);
                Ok(oldest.map_or(Sighting::Absent, |it| Sighting::Found(Box::new(it))))
            }
            sighting => sighting,
        }
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        match self.inner.inspect(id).await {
            Err(_) | Ok(Sighting::Unclear(_)) if self.is(Mutant::EmptyListMeansGone) => {
                Ok(Sighting::Absent)
            }
            Ok(Sighting::Found(found)) => Ok(Sighting::Found(Box::new(self.marked(*found)))),
            sighting => sighting,
        }
    }

    async fn list(&self) -> Result<Inventory> {
        match self.inner.list().await {
            Err(_) if self.is(Mutant::EmptyListMeansGone) => {
                Ok(Inventory { scope: self.scope().await?, items: Vec::new() })
            }
            Ok(Inventory { scope, items }) => Ok(Inventory { scope: self.believed(scope), items }),
            Err(error) => Err(error),
        }
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        if matches!(self.mutant, Mutant::DeleteByName | Mutant::KeyBeforeServer) {
            self.end_others(owned).await;
        }
        self.inner.destroy(owned).await
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

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ErrorMeansNotCreated => "an error means that nothing was created",
            Self::ConflictAdopted => "a 409 is adopted without a look at the marks",
            Self::SuspectTaken => "a machine that may be ours is taken without a login",
            Self::DeleteByName => "what has our name is deleted",
            Self::EmptyListMeansGone => "one listing that failed means gone",
            Self::NewKeyOnReplay => "a repetition has a new idempotency key",
            Self::NewNameOnReplay => "a repetition has a new name",
            Self::ReplayAfterWindow => "a create is repeated after the window",
            Self::OtherAccountGone => "404 under another account means gone",
            Self::KeyBeforeServer => "the key is deleted before its server",
        })
    }
}
