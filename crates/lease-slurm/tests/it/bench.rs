//! An engine, a provider and a way to log in, on a cluster; and a look at everything that may stay behind.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lease_core::engine::{Acquire, AcquireFailure, By, Outcome, Release, Settings};
use lease_core::host::{Command, Output};
use lease_core::store::memory::MemoryStore;
use lease_core::{Claim, Engine, Provider, ResourceId, Sighting, Spec, Status, Store, Transport};
use lease_process::ProcessTable;
use lease_slurm::{SlurmConfig, SlurmProvider};
use lease_ssh::Client;
use lease_testkit::sim::WallClock;
use tempfile::TempDir;

use crate::cluster::{Cluster, PATH, PATIENCE};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A provider with a shared directory of its own.
pub(crate) struct Bench {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) provider: Arc<SlurmProvider>,
    pub(crate) engine: Engine,
    client: Arc<Client>,
    name: String,
    /// Keys and sockets of ssh.
    _directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Cluster::shared(), |_| {})
    }

    /// A bench on that cluster, with a changed configuration.
    pub(crate) fn with(cluster: Arc<Cluster>, change: impl FnOnce(&mut SlurmConfig)) -> Self {
        let name = format!("bench-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut config = cluster.config(&name);
        change(&mut config);
        let directory = tempfile::Builder::new().prefix("lsb").tempdir().unwrap();
        let mut settings =
            lease_ssh::Settings::new(directory.path().join("keys"), directory.path().join("run"));
        settings.environment = vec![("PATH".into(), PATH.into())];
        let client = Arc::new(Client::new(settings));
        let provider = Arc::new(SlurmProvider::new(config, Arc::new(WallClock)).unwrap());
        let store = Arc::new(MemoryStore::new().unwrap());
        let engine = engine(store, &client, &provider);
        Self { cluster, provider, engine, client, name, _directory: directory }
    }

    /// Another installation, or the same one after its state was lost: the same configuration and an empty store.
    pub(crate) fn without_memory(&self) -> Engine {
        engine(Arc::new(MemoryStore::new().unwrap()), &self.client, &self.provider)
    }

    /// The same with an engine that gives up soon.
    pub(crate) fn impatient(mut self) -> Self {
        let store = Arc::clone(self.engine.store());
        self.engine = engine_with(store, &self.client, &self.provider, Duration::from_secs(3));
        self
    }

    pub(crate) fn shared_dir(&self) -> PathBuf {
        self.cluster.shared_dir(&self.name)
    }

    pub(crate) async fn try_acquire(&self, spec: Spec) -> Result<Claim, AcquireFailure> {
        let mut request = Acquire::new(spec);
        request.total = Some(Duration::from_secs(900));
        self.engine.acquire(request).await
    }

    pub(crate) async fn acquire(&self) -> Claim {
        self.try_acquire(Spec::new("slurm")).await.unwrap()
    }

    pub(crate) async fn run(&self, claim: &Claim, script: &str) -> Output {
        let host = Transport::connect(self.client.as_ref(), claim.lease(), claim.usable().unwrap())
            .await
            .unwrap();
        let mut command = Command::new(["/bin/sh", "-c", script]);
        command.deadline = Some(PATIENCE);
        host.output(&command).await.unwrap()
    }

    pub(crate) async fn try_release(&self, claim: &Claim) -> Outcome {
        let release = Release::new(By::Person, "the test is over");
        self.engine.release(claim.lease(), release).await.unwrap()
    }

    /// Releases, and wants it proven.
    pub(crate) async fn release(&self, claim: &Claim) {
        let outcome = self.try_release(claim).await;
        assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    }

    /// The only lease of the bench's store.
    pub(crate) async fn only_claim(&self) -> (lease_core::LeaseId, Claim) {
        let mut scanned = self.engine.store().scan().await.unwrap();
        assert_eq!(scanned.len(), 1);
        let claim = scanned.remove(0).claim.unwrap();
        (claim.lease().clone(), claim)
    }

    pub(crate) fn id(claim: &Claim) -> ResourceId {
        claim.resources()[0].id().unwrap().clone()
    }

    /// What a look at the lease's job shows.
    pub(crate) async fn inspect(&self, claim: &Claim) -> Sighting {
        self.provider.inspect(&Self::id(claim)).await.unwrap()
    }

    pub(crate) async fn status(&self, claim: &Claim) -> Status {
        match self.inspect(claim).await {
            Sighting::Found(found) => found.status,
            other @ (Sighting::Suspects(_) | Sighting::Absent | Sighting::Unclear(_)) => {
                panic!("{other:?}")
            }
        }
    }

    /// The number of the lease's job.
    pub(crate) async fn number(&self, claim: &Claim) -> String {
        let name = format!("--name={}", claim.resources()[0].intended().name);
        self.cluster.say(&["squeue", "-h", &name, "-o", "%A"]).await
    }

    /// Every job of this name that Slurm's books are not closed on.
    pub(crate) async fn jobs(&self, claim: &Claim) -> String {
        let name = format!("--name={}", claim.resources()[0].intended().name);
        self.cluster.say(&["squeue", "-h", &name, "-o", "%A %T"]).await
    }

    /// Fails unless no job, no process and no file of this bench is left.
    pub(crate) async fn assert_clean(&self) {
        assert!(self.provider.list().await.unwrap().items.is_empty());
        let entries = fs::read_dir(self.shared_dir()).map(Iterator::count).unwrap_or_default();
        assert_eq!(entries, 0, "{:?}", fs::read_dir(self.shared_dir()));
        let path = self.shared_dir().display().to_string();
        let table = ProcessTable::read().unwrap();
        let ours = |argv: &[std::ffi::OsString]| {
            argv.iter().any(|it| it.to_string_lossy().contains(&path))
        };
        let left = table.select(|it| !it.state.has_ended() && ours(&it.argv()));
        assert!(left.is_empty(), "{left:?} still have {path}");
    }
}

fn engine(store: Arc<dyn Store>, client: &Arc<Client>, provider: &Arc<SlurmProvider>) -> Engine {
    engine_with(store, client, provider, Duration::from_secs(40))
}

fn engine_with(
    store: Arc<dyn Store>,
    client: &Arc<Client>,
    provider: &Arc<SlurmProvider>,
    release_budget: Duration,
) -> Engine {
    let mut settings = Settings::default();
    settings.ready_timeout = PATIENCE;
    settings.settle_budget = Duration::from_secs(30);
    settings.release_budget = release_budget;
    settings.read_patience = Duration::from_secs(2);
    let transport: Arc<dyn Transport> = Arc::<Client>::clone(client);
    let provider: Arc<dyn Provider> = Arc::<SlurmProvider>::clone(provider);
    Engine::builder(store, transport, Arc::new(WallClock))
        .provider(provider)
        .settings(settings)
        .build()
}

/// The processes whose arguments contain exactly this word and which have not ended.
pub(crate) fn bearers(word: &str) -> usize {
    let table = ProcessTable::read().unwrap();
    table
        .select(|it| {
            !it.state.has_ended() && it.argv().iter().any(|arg| arg.to_string_lossy() == word)
        })
        .len()
}
