//! The whole way with real sockets, real sshd and real ssh: what a machine of the emulated fal lets in is asked of it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::host::Command;
use lease_core::store::memory::MemoryStore;
use lease_core::{Claim, Engine, Secret, Spec};
use lease_emulator::fal::{FalCloud, FalPolicy, Walk, Workspace};
use lease_emulator::machine::{SshdMachines, SshdSettings};
use lease_emulator::script::{Fault, Matching, Plan, Scripted};
use lease_emulator::{Cloud, Machines, Server};
use lease_fal::{FalConfig, FalProvider};
use lease_http::{HttpWire, Limits};
use lease_ssh::{Client, Settings};
use lease_testkit::sim::WallClock;
use tempfile::TempDir;

use crate::bench::{HOME, INSTANCES, KEY};

struct Site {
    cloud: Arc<Scripted<FalCloud>>,
    machines: Arc<SshdMachines>,
    server: Server,
    directory: TempDir,
    ssh: Client,
}

impl Site {
    async fn open() -> Self {
        let machines = Arc::new(SshdMachines::start(SshdSettings::default()).await.unwrap());
        let policy = FalPolicy {
            walk: Walk(vec![(Duration::ZERO, "ready".to_owned())]),
            ..FalPolicy::default()
        };
        let run: Arc<dyn Machines> = Arc::<SshdMachines>::clone(&machines);
        let cloud = FalCloud::new(run, policy);
        cloud.add_workspace(Workspace::new(HOME), KEY);
        let cloud = Arc::new(Scripted::new(Arc::new(cloud)));
        let behind: Arc<dyn Cloud> = Arc::<Scripted<FalCloud>>::clone(&cloud);
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mut settings = Settings::new(at("keys"), at("run"));
        settings.environment.push(("PATH".into(), "/usr/bin:/bin".into()));
        let server = Server::start(behind).await.unwrap();
        Self { cloud, machines, server, directory, ssh: Client::new(settings) }
    }

    /// The engine of a caller with leases of his own, which never repeats a create if `window` is zero.
    fn engine(&self, window: Duration) -> Engine {
        let mut config = FalConfig::new(Some(Secret::new(KEY)));
        config.endpoint = format!("{}/v1", self.server.origin());
        self.machines.user().clone_into(&mut config.user);
        config.port = self.machines.port();
        config.work_root = self.directory.path().join("home/lease").to_string_lossy().into_owned();
        config.replay_window = window;
        config.settle = Duration::ZERO;
        let wire = Arc::new(HttpWire::new(Limits::default()));
        let provider = Arc::new(FalProvider::open(config, wire).unwrap());
        let store = Arc::new(MemoryStore::new().unwrap());
        Engine::builder(store, Arc::new(self.ssh.clone()), Arc::new(WallClock))
            .provider(provider)
            .build()
    }

    fn lose_the_answer(&self, number: u64) {
        let create = Matching::request(Method::POST, INSTANCES);
        self.cloud.plan(Plan::at(number, Fault::LostAfter).on(create));
    }

    /// Checks that the lease's machine is the one of its claim, and that commands find the lease's directory.
    async fn check_usable(&self, engine: &Engine, claim: &Claim) {
        let host = engine.transport().connect(claim.lease(), claim.usable().unwrap()).await;
        let command = Command::new(["pwd"]);
        let output = host.unwrap().output(&command).await.unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.trim().ends_with("/home/lease/work"), "{shown}");
    }

    async fn give_back(&self, engine: &Engine, claim: &Claim) {
        let release = Release::new(By::Person, "the test is over");
        let outcome = engine.release(claim.lease(), release).await.unwrap();
        assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    }

    fn alive(&self) -> Vec<String> {
        let alive = self.cloud.ledger().into_iter().filter(|it| it.gone.is_none());
        alive.map(|it| it.id).collect()
    }
}

#[tokio::test]
async fn a_machine_whose_create_was_lost_is_leased_used_and_given_back() {
    let site = Site::open().await;
    site.lose_the_answer(0);
    let engine = site.engine(Duration::from_secs(400));
    let claim = engine.acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    site.check_usable(&engine, &claim).await;
    site.give_back(&engine, &claim).await;
    assert_eq!(site.cloud.ledger().len(), 1);
    assert!(site.alive().is_empty());
    site.machines.end_all().await;
}

#[tokio::test]
async fn of_two_new_machines_the_one_that_takes_the_key_is_ours() {
    let site = Site::open().await;
    // Two callers make machines at the same time; both lose their answers, and neither may repeat its create.
    site.lose_the_answer(0);
    site.lose_the_answer(1);
    let (ours, theirs) = (site.engine(Duration::ZERO), site.engine(Duration::ZERO));
    let (one, two) = tokio::join!(
        ours.acquire(Acquire::new(Spec::new("fal"))),
        theirs.acquire(Acquire::new(Spec::new("fal"))),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    let id = |claim: &Claim| claim.resources()[0].id().unwrap().to_string();
    assert_ne!(id(&one), id(&two));
    site.give_back(&ours, &one).await;
    assert_eq!(site.alive(), [id(&two)]);
    site.give_back(&theirs, &two).await;
    assert!(site.alive().is_empty());
    site.machines.end_all().await;
}
