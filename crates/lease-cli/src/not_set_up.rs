//! A provider of this build that cannot be used as it is configured: it says why to whoever asks it for something, and
//! stands in nobody else's way.

use async_trait::async_trait;
use lease_core::provider::{Candidate, Check, Created, Size, Verdict};
use lease_core::{
    Descriptor, Error, ErrorKind, Held, Intent, Inventory, Owned, Provider, ResourceId, Result,
    Scope, Sighting, Spec, Timestamp,
};

/// A provider that nothing can be asked of.
#[derive(Debug)]
pub(crate) struct NotSetUp {
    descriptor: &'static Descriptor,
    why: String,
}

impl NotSetUp {
    /// The provider with that descriptor, which cannot be used because of `why`.
    pub(crate) fn new(descriptor: &'static Descriptor, why: impl Into<String>) -> Self {
        Self { descriptor, why: why.into() }
    }

    fn refuse<T>(&self) -> Result<T> {
        let doing = format!("use the provider {}", self.descriptor.name);
        Err(Error::harmless(ErrorKind::Unsupported, doing, self.why.clone()))
    }
}

#[async_trait]
impl Provider for NotSetUp {
    fn descriptor(&self) -> &Descriptor {
        self.descriptor
    }

    async fn scope(&self) -> Result<Scope> {
        self.refuse()
    }

    async fn plan(&self, _spec: &Spec) -> Result<Vec<Candidate>> {
        self.refuse()
    }

    async fn create(&self, _intent: &Intent) -> Result<Created> {
        self.refuse()
    }

    async fn find(&self, _intent: &Intent) -> Result<Sighting> {
        self.refuse()
    }

    async fn inspect(&self, _id: &ResourceId) -> Result<Sighting> {
        self.refuse()
    }

    async fn list(&self) -> Result<Inventory> {
        self.refuse()
    }

    async fn destroy(&self, _owned: &Owned) -> Result<()> {
        self.refuse()
    }

    async fn renew(&self, _held: &Held, _ends_at: Option<Timestamp>) -> Result<()> {
        self.refuse()
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        self.refuse()
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(vec![Check::new("configuration", Verdict::Problem, self.why.clone())])
    }
}
