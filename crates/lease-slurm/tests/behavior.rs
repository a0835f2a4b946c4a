//! The behaviour suite of the provider contract, against a real cluster.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

#[expect(dead_code, reason = "the other tests need more of it")]
mod cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use lease_core::{Provider, ResourceId, ResourceName, Result, Spec};
use lease_slurm::SlurmProvider;
use lease_testkit::behavior::Harness;
use lease_testkit::sim::WallClock;

use crate::cluster::Cluster;

lease_testkit::behavior_tests!(Jobs::new());

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A shared directory of its own on the cluster of all tests.
struct Jobs {
    cluster: Arc<Cluster>,
    name: String,
}

impl Jobs {
    fn new() -> Self {
        let name = format!("suite-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self { cluster: Cluster::shared(), name }
    }
}

#[async_trait]
impl Harness for Jobs {
    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        let config = self.cluster.config(&self.name);
        Ok(Arc::new(SlurmProvider::new(config, Arc::new(WallClock))?))
    }

    fn spec(&self) -> Spec {
        Spec::new("slurm")
    }

    fn public_key(&self) -> String {
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti behaviour"
            .to_owned()
    }

    async fn plant_look_alike(&self, _kind: &str, name: &ResourceName) -> Result<ResourceId> {
        self.cluster.plant(name.as_str()).await.parse()
    }

    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool> {
        Ok(["PENDING", "RUNNING"].contains(&self.cluster.state(id.as_str()).await.as_str()))
    }

    async fn uproot(&self, id: &ResourceId) -> Result<()> {
        self.cluster.say(&["scancel", id.as_str()]).await;
        Ok(())
    }
}
