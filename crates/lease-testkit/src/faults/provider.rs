//! A provider whose calls fail as the script says.

use std::sync::Arc;

use async_trait::async_trait;
use lease_core::provider::Check;
use lease_core::{
    Candidate, Created, Descriptor, Held, Intent, Inventory, Owned, Provider, ResourceId, Result,
    Scope, Sighting, Size, Spec, Timestamp,
};

use super::point::Point;
use super::script::Script;

/// Wraps any provider.
#[derive(Clone, Debug)]
pub(super) struct FaultyProvider {
    inner: Arc<dyn Provider>,
    script: Script,
}

impl FaultyProvider {
    pub(super) fn new(inner: Arc<dyn Provider>, script: Script) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl Provider for FaultyProvider {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn scope(&self) -> Result<Scope> {
        let fault = self.script.arrive(Point::Scope, None);
        self.script.meet(Point::Scope, fault, self.inner.scope()).await
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        let fault = self.script.arrive(Point::Plan, None);
        self.script.meet(Point::Plan, fault, self.inner.plan(spec)).await
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        let fault = self.script.arrive(Point::Create, Some(intent.name()));
        self.script.meet(Point::Create, fault, self.inner.create(intent)).await
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        let fault = self.script.arrive(Point::Find, Some(intent.name()));
        self.script.meet(Point::Find, fault, self.inner.find(intent)).await
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        let fault = self.script.arrive(Point::Inspect, None);
        self.script.meet(Point::Inspect, fault, self.inner.inspect(id)).await
    }

    async fn list(&self) -> Result<Inventory> {
        let fault = self.script.arrive(Point::List, None);
        self.script.meet(Point::List, fault, self.inner.list()).await
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        let fault = self.script.arrive(Point::Destroy, Some(owned.name()));
        self.script.meet(Point::Destroy, fault, self.inner.destroy(owned)).await
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
