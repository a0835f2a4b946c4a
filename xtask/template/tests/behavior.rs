//! The behaviour suite of the provider contract, against the stand-in. VENDOR: against an emulator of the vendor.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::{Provider, ResourceId, ResourceName, Result, Spec};
use lease_sample::{SampleConfig, SampleProvider};
use lease_testkit::behavior::Harness;
use tempfile::TempDir;

lease_testkit::behavior_tests!(Account::new());

/// An account that ends with the test.
struct Account {
    directory: TempDir,
}

impl Account {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("account"), "behaviour\n").unwrap();
        fs::create_dir(directory.path().join("machines")).unwrap();
        Self { directory }
    }

    fn machine(&self, id: &str) -> PathBuf {
        self.directory.path().join("machines").join(format!("{id}.json"))
    }
}

/// A machine that somebody else made, without a label of ours.
fn foreign(id: &str, name: &str) -> String {
    format!(r#"{{"id":"{id}","name":"{name}","model":"one","public_key":""}}"#)
}

#[async_trait]
impl Harness for Account {
    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(SampleProvider::open(SampleConfig::new(self.directory.path()))?))
    }

    fn spec(&self) -> Spec {
        Spec::new("sample")
    }

    fn public_key(&self) -> String {
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti behaviour"
            .to_owned()
    }

    async fn plant_look_alike(&self, _kind: &str, name: &ResourceName) -> Result<ResourceId> {
        let id = format!("foreign-{name}");
        fs::write(self.machine(&id), foreign(&id, name.as_str())).unwrap();
        id.parse()
    }

    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool> {
        let name = id.as_str().trim_start_matches("foreign-");
        let text = fs::read_to_string(self.machine(id.as_str())).unwrap_or_default();
        Ok(text == foreign(id.as_str(), name))
    }

    async fn uproot(&self, id: &ResourceId) -> Result<()> {
        fs::remove_file(self.machine(id.as_str())).unwrap();
        Ok(())
    }

    // VENDOR: `break_next_listing` belongs here as soon as the emulator can lose a page.
}
