//! Transport and guardian whose calls fail as the script says.

use std::sync::Arc;

use async_trait::async_trait;
use lease_core::watch::Guardian;
use lease_core::{Host, LeaseId, Probe, Reach, Recognition, Result, Scope, Transport};

use super::point::Point;
use super::script::Script;

/// Wraps any transport.
#[derive(Clone, Debug)]
pub(super) struct FaultyTransport {
    inner: Arc<dyn Transport>,
    script: Script,
}

impl FaultyTransport {
    pub(super) fn new(inner: Arc<dyn Transport>, script: Script) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl Transport for FaultyTransport {
    async fn prepare(&self, lease: &LeaseId) -> Result<String> {
        let fault = self.script.arrive(Point::Prepare, None);
        self.script.meet(Point::Prepare, fault, self.inner.prepare(lease)).await
    }

    async fn probe(&self, lease: &LeaseId, reach: &Reach) -> Result<Probe> {
        let fault = self.script.arrive(Point::Probe, None);
        self.script.meet(Point::Probe, fault, self.inner.probe(lease, reach)).await
    }

    async fn recognise(&self, lease: &LeaseId, reach: &Reach) -> Result<Recognition> {
        let fault = self.script.arrive(Point::Probe, None);
        self.script.meet(Point::Probe, fault, self.inner.recognise(lease, reach)).await
    }

    async fn connect(&self, lease: &LeaseId, reach: &Reach) -> Result<Box<dyn Host>> {
        self.inner.connect(lease, reach).await
    }

    async fn forget(&self, lease: &LeaseId) -> Result<()> {
        let fault = self.script.arrive(Point::Forget, None);
        self.script.meet(Point::Forget, fault, self.inner.forget(lease)).await
    }
}

/// Wraps any guardian.
#[derive(Clone, Debug)]
pub(super) struct FaultyGuardian<G> {
    inner: G,
    script: Script,
}

impl<G> FaultyGuardian<G> {
    pub(super) fn new(inner: G, script: Script) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl<G: Guardian> Guardian for FaultyGuardian<G> {
    async fn ensure(&self, lease: &LeaseId, scope: &Scope) -> Result<()> {
        let fault = self.script.arrive(Point::Guard, None);
        self.script.meet(Point::Guard, fault, self.inner.ensure(lease, scope)).await
    }
}
