//! The behaviour suite of the provider contract, against both skeletons and the sample adapter for machines of a list.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::id;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lease_core::{Provider, ResourceId, ResourceName, Result, Spec};
use lease_external::{ExternalConfig, ExternalProvider, Unheard, skeleton};
use lease_testkit::behavior::Harness;
use lease_testkit::sim::WallClock;
use tempfile::TempDir;

const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
const FOREIGN: &str = "cbx_00000000000f";

mod python {
    //! Every sentence, with the adapter in Python.
    use super::{Adapter, Ids};
    lease_testkit::behavior_tests!(Adapter::new("adapter.py", Ids::Free));
}

mod python_with_fixed_ids {
    //! Every sentence, with an adapter that declares that a lease id is its key.
    use super::{Adapter, Ids};
    lease_testkit::behavior_tests!(Adapter::new("adapter.py", Ids::Fixed));
}

mod shell {
    //! Every sentence, with the adapter in shell.
    use super::{Adapter, Ids};
    lease_testkit::behavior_tests!(Adapter::new("adapter.sh", Ids::Free));
}

mod hosts {
    //! Every sentence, with the sample adapter for machines of a list; its ssh is a stand-in that runs here.
    use super::{Adapter, Ids};
    lease_testkit::behavior_tests!(Adapter::hosts(Ids::Fixed));
}

/// Whether the adapter declares that a lease id is its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    Free,
    Fixed,
}

/// An adapter with a directory that ends with the test.
struct Adapter {
    directory: TempDir,
    config: ExternalConfig,
    /// Where the adapter keeps a file for each lease.
    leases: PathBuf,
}

impl Adapter {
    fn new(program: &str, ids: Ids) -> Self {
        let directory = tempfile::tempdir().unwrap();
        skeleton::write(directory.path(), &skeleton::SKELETONS).unwrap();
        let leases = directory.path().join("leases");
        let mut config =
            ExternalConfig::command([directory.path().join(program).to_str().unwrap()]);
        config.config.insert("directory".to_owned(), leases.to_str().unwrap().into());
        Self::of(directory, config, leases, ids)
    }

    fn hosts(ids: Ids) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (list, leases) = (directory.path().join("hosts"), directory.path().join("state"));
        fs::write(&list, "ann@192.0.2.1\nann@192.0.2.2:2222\nann@192.0.2.3\nann@192.0.2.4\n")
            .unwrap();
        let ssh = directory.path().join("ssh");
        // What it is asked to run on a machine, it runs here in a home of that machine's name.
        let script = format!(
            "#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\nHOME='{}'/\"$1\"\nexport HOME\n\
             mkdir -p \"$HOME\"\nexec \"$2\"\n",
            directory.path().join("homes").display()
        );
        fs::write(&ssh, script).unwrap();
        make_executable(&ssh);
        let program = examples().join("hosts/lease-hosts");
        let mut config = ExternalConfig::command([program.to_str().unwrap()]);
        for (name, value) in [("hosts", &list), ("state", &leases), ("ssh", &ssh)] {
            config.config.insert(name.to_owned(), value.to_str().unwrap().into());
        }
        Self::of(directory, config, leases.join("leases"), ids)
    }

    fn of(directory: TempDir, mut config: ExternalConfig, leases: PathBuf, ids: Ids) -> Self {
        break_on_request(directory.path(), &mut config);
        config.environment = vec![("PATH".to_owned(), PATH.to_owned())];
        config.idempotent_lease_id = ids == Ids::Fixed;
        config.settle = Duration::ZERO;
        config.landing = Duration::ZERO;
        Self { directory, config, leases }
    }

    fn planted(&self, id: &ResourceId) -> PathBuf {
        self.leases.join(id.as_str())
    }

    /// What a lease of somebody else looks like to this adapter.
    fn foreign(&self, name: &ResourceName) -> String {
        let is_shell = matches!(&self.config.form, lease_external::Form::Command { argv }
            if Path::new(&argv[1]).extension().is_some_and(|it| it == "sh"));
        if is_shell {
            return format!("calm-otter\n{name}\nready\n");
        }
        serde_json::json!({
            "leaseId": FOREIGN, "slug": "calm-otter", "name": name.as_str(), "cloudId": "x",
            "status": "ready", "ssh": {"host": "192.0.2.9", "user": "ann"}, "labels": {},
            "machine": "ann@192.0.2.4", "publicKey": "",
        })
        .to_string()
    }
}

#[async_trait]
impl Harness for Adapter {
    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        let clock = Arc::new(WallClock);
        Ok(Arc::new(ExternalProvider::open(self.config.clone(), clock, Arc::new(Unheard))?))
    }

    fn spec(&self) -> Spec {
        Spec::new("external")
    }

    fn public_key(&self) -> String {
        format!(
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti p{}",
            id()
        )
    }

    async fn plant_look_alike(&self, _kind: &str, name: &ResourceName) -> Result<ResourceId> {
        fs::create_dir_all(&self.leases).unwrap();
        let id: ResourceId = FOREIGN.parse()?;
        fs::write(self.planted(&id), self.foreign(name)).unwrap();
        Ok(id)
    }

    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool> {
        let text = fs::read_to_string(self.planted(id)).unwrap_or_default();
        Ok(text.contains("calm-otter") && self.directory.path().exists())
    }

    async fn uproot(&self, id: &ResourceId) -> Result<()> {
        fs::remove_file(self.planted(id)).unwrap();
        Ok(())
    }

    async fn break_next_listing(&self) -> Result<()> {
        fs::write(self.directory.path().join("broken"), "").unwrap();
        Ok(())
    }
}

/// Puts a script before the adapter that breaks one answer off when it finds a file.
fn break_on_request(directory: &Path, config: &mut ExternalConfig) {
    let lease_external::Form::Command { argv } = &mut config.form else { return };
    let (wrapper, broken) = (directory.join("wrapper"), directory.join("broken"));
    let answer = r#"{"protocolVersion":1,"leases":[{"leaseId":"cbx_00"#;
    let script = format!(
        "#!/bin/sh\nif [ -e '{0}' ]; then rm '{0}'; printf '%s' '{answer}'; exit 0; fi\nexec \"$@\"\n",
        broken.display()
    );
    fs::write(&wrapper, script).unwrap();
    make_executable(&wrapper);
    argv.insert(0, wrapper.to_str().unwrap().to_owned());
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples").canonicalize().unwrap()
}
