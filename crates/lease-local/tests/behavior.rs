//! The behaviour suite of the provider contract, against boxes on this very machine.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::{Error, ErrorKind, OsEntropy, Provider, ResourceId, ResourceName, Result, Spec};
use lease_local::{LocalConfig, LocalProvider};
use lease_testkit::behavior::Harness;
use lease_testkit::sim::WallClock;
use tempfile::TempDir;

lease_testkit::behavior_tests!(Boxes::new());

/// A directory of boxes that ends with the test.
struct Boxes {
    directory: TempDir,
}

impl Boxes {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("boxes")
    }
}

#[async_trait]
impl Harness for Boxes {
    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        let uid = rustix::process::geteuid().as_raw();
        let table = fs::read_to_string("/etc/passwd").unwrap();
        let is_ours = |line: &&str| line.split(':').nth(2) == Some(&uid.to_string());
        let user = table.lines().find(is_ours).and_then(|it| it.split(':').next()).unwrap();
        let config = LocalConfig::new(self.root(), user, uid);
        Ok(Arc::new(LocalProvider::open(config, Arc::new(WallClock), Arc::new(OsEntropy))?))
    }

    fn spec(&self) -> Spec {
        Spec::new("local")
    }

    fn public_key(&self) -> String {
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti behaviour"
            .to_owned()
    }

    async fn plant_look_alike(&self, _kind: &str, name: &ResourceName) -> Result<ResourceId> {
        let path = self.root().join(name.as_str());
        if path.exists() {
            let why = "a directory has no two entries of one name";
            return Err(Error::harmless(ErrorKind::Unsupported, "plant a look-alike", why));
        }
        fs::create_dir(&path).unwrap();
        fs::write(path.join("precious"), "foreign").unwrap();
        name.as_str().parse()
    }

    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool> {
        let path = self.root().join(id.as_str());
        let entries = fs::read_dir(&path).map(Iterator::count).unwrap_or_default();
        let content = fs::read_to_string(path.join("precious")).unwrap_or_default();
        Ok(entries == 1 && content == "foreign")
    }

    async fn uproot(&self, id: &ResourceId) -> Result<()> {
        fs::remove_dir_all(self.root().join(id.as_str())).unwrap();
        Ok(())
    }
}
