//! An emulated fal with everything that an engine needs on top of it, and the ways in which a process can die there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::journal::{Change, Disposition, Event, Intended, Opened};
use lease_core::retry::pause;
use lease_core::spec::{Deadlines, Retention};
use lease_core::store::memory::MemoryStore;
use lease_core::store::{LeaseWriter, Store};
use lease_core::watch::Guardian;
use lease_core::{
    Claim, Clock, Engine, Intent, LeaseId, Nonce, OsEntropy, Owned, Provider, Scope, Secret,
    Sighting, Slug, Spec, Steady, Timestamp, VerifiedScope,
};
use lease_emulator::fal::{FalCloud, FalPolicy, Workspace};
use lease_emulator::script::{Fault, Matching, Plan, PlanId, Scripted, Stage};
use lease_emulator::{Cloud, LedgerEntry};
use lease_fal::{FalConfig, FalProvider};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::machines::{Keys, Lan};
use crate::wire::InProcess;

pub(crate) const KEY: &str = "0d2c-admin:planted-secret-of-the-bench";
/// Another admin key of the same workspace.
pub(crate) const NEW_KEY: &str = "77aa-admin:planted-secret-after-rotation";
pub(crate) const HOME: &str = "acme";
pub(crate) const ELSEWHERE: &str = "somebody-else";
pub(crate) const INSTANCES: &str = "/v1/compute/instances";
pub(crate) const STRANGERS_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPQW7zCPYq6lqGHvWvBbk5GLDCCmXhq1x7oR2sxN3C6 stranger";

/// How often a reaper comes by before a test gives up on it, and how long it waits in between.
const ROUNDS_MAX: usize = 60;
const BETWEEN_ROUNDS: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) cloud: Arc<Scripted<FalCloud>>,
    pub(crate) lan: Lan,
    pub(crate) keys: Keys,
    pub(crate) clock: Clocks,
    pub(crate) store: MemoryStore,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A bench over a cloud whose policy is changed first.
    pub(crate) fn with(change: impl FnOnce(&mut FalPolicy)) -> Self {
        let mut policy = FalPolicy::default();
        change(&mut policy);
        let lan = Lan::default();
        let cloud = FalCloud::new(Arc::new(lan.clone()), policy);
        cloud.add_workspace(Workspace::new(HOME), KEY);
        cloud.set_key(NEW_KEY, HOME, lease_emulator::fal::KeyScope::Admin);
        cloud.add_workspace(Workspace::new(ELSEWHERE), "other:key-of-another-account");
        Self {
            cloud: Arc::new(Scripted::new(Arc::new(cloud))),
            keys: Keys::new(lan.clone()),
            lan,
            clock: Clocks::new(),
            store: MemoryStore::new().unwrap(),
        }
    }

    pub(crate) fn provider(&self) -> FalProvider {
        self.provider_with(|_| {})
    }

    pub(crate) fn provider_with(&self, change: impl FnOnce(&mut FalConfig)) -> FalProvider {
        let mut config = FalConfig::new(Some(Secret::new(KEY)));
        change(&mut config);
        FalProvider::open(config, Arc::new(InProcess(Arc::clone(&self.cloud)))).unwrap()
    }

    /// The engine of a new process: the same store and keys, nothing remembered.
    pub(crate) fn engine(&self) -> Engine {
        self.engine_of(self.provider(), None)
    }

    pub(crate) fn engine_with(&self, change: impl FnOnce(&mut FalConfig)) -> Engine {
        self.engine_of(self.provider_with(change), None)
    }

    pub(crate) fn engine_of(
        &self,
        provider: FalProvider,
        guardian: Option<Arc<dyn Guardian>>,
    ) -> Engine {
        let (store, keys) = (Arc::new(self.store.clone()), Arc::new(self.keys.clone()));
        let builder =
            Engine::builder(store, keys, Arc::new(self.clock.clone())).provider(Arc::new(provider));
        match guardian {
            Some(guardian) => builder.guardian(guardian).build(),
            None => builder.build(),
        }
    }

    /// Plans a fault for the next create.
    pub(crate) fn spoil_create(&self, fault: Fault) -> PlanId {
        let create = Matching::request(Method::POST, INSTANCES);
        self.cloud.plan(Plan::at(0, fault).on(create))
    }

    /// Acquires in a process that dies after its create took effect and before it hears of it.
    pub(crate) async fn die_after_create(&self) -> LeaseId {
        self.die_after_create_by(&self.engine()).await
    }

    pub(crate) async fn die_after_create_by(&self, engine: &Engine) -> LeaseId {
        self.spoil_create(Fault::HangAfter);
        self.die_at(engine, Stage::AfterEffect).await
    }

    /// Acquires in a process that dies at that moment of its first create.
    pub(crate) async fn die_at(&self, engine: &Engine, stage: Stage) -> LeaseId {
        let reached = Arc::new(Notify::new());
        let told = Arc::clone(&reached);
        self.cloud.hook(Arc::new(move |moment| {
            if moment.method == Method::POST && moment.stage == stage {
                told.notify_one();
            }
        }));
        tokio::select! {
            result = engine.acquire(Acquire::new(Spec::new("fal"))) => {
                panic!("the process outlived its death: {result:?}")
            }
            () = reached.notified() => {}
        }
        self.only_lease().await
    }

    /// The one lease that is recorded.
    pub(crate) async fn only_lease(&self) -> LeaseId {
        let mut entries = self.store.scan().await.unwrap();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0).claim.unwrap().lease().clone()
    }

    /// What a reaper's one visit comes to.
    pub(crate) async fn reap_once(&self, engine: &Engine, lease: &LeaseId) -> Outcome {
        let why = "the test is over".to_owned();
        engine.release(lease, Release::new(By::Person, why)).await.unwrap()
    }

    /// Lets reapers, each a new process, come by until the lease is released.
    pub(crate) async fn reap(&self, lease: &LeaseId) {
        self.reap_by(lease, || self.engine()).await;
    }

    pub(crate) async fn reap_by(&self, lease: &LeaseId, engine: impl Fn() -> Engine) {
        for _ in 0..ROUNDS_MAX {
            if let Outcome::Released = self.reap_once(&engine(), lease).await {
                assert!(!self.keys.are_left(), "a released lease leaves no key");
                return;
            }
            pause(BETWEEN_ROUNDS).await;
        }
        panic!("{lease} is never released: {:?}", self.store.load(lease).await);
    }

    /// How many requests with this method there were.
    pub(crate) fn sent(&self, method: &Method) -> usize {
        self.cloud.trace().iter().filter(|it| it.method == *method).count()
    }

    /// Everything that was ever created by a client.
    pub(crate) fn made(&self) -> Vec<LedgerEntry> {
        self.cloud.ledger().into_iter().filter(|it| !it.foreign).collect()
    }

    /// The one instance that was ever created.
    #[track_caller]
    pub(crate) fn only_made(&self) -> LedgerEntry {
        let mut made = self.made();
        assert_eq!(made.len(), 1, "{made:?}");
        made.remove(0)
    }

    /// Checks that exactly one instance was ever created, and that it costs nothing any more.
    #[track_caller]
    pub(crate) fn check_one_made_and_gone(&self) {
        let made = self.only_made();
        assert!(made.gone.is_some(), "{made:?}");
    }

    /// Plants an instance of somebody else, with a machine that refuses our keys. Returns its id.
    pub(crate) fn plant(&self) -> String {
        let id = self.cloud.inner().plant(HOME, STRANGERS_KEY);
        self.lan.boot_last(&id, STRANGERS_KEY);
        id
    }

    #[track_caller]
    pub(crate) fn check_untouched(&self, foreign: &str) {
        let is_it = |it: &LedgerEntry| it.id == foreign && it.gone.is_none();
        assert!(self.cloud.ledger().iter().any(is_it), "{foreign} was destroyed");
        let path = format!("{INSTANCES}/{foreign}");
        let deletes =
            |it: &&lease_emulator::script::Traced| it.method == Method::DELETE && it.path == path;
        assert_eq!(self.cloud.trace().iter().filter(deletes).count(), 0, "it was asked for");
    }

    /// The changes that are recorded of the only resource of a lease, released or not.
    pub(crate) fn changes(&self, lease: &LeaseId) -> Vec<Change> {
        let archived = self.store.archived().into_iter().find(|(id, _)| id == lease);
        let (_, records) = archived.unwrap();
        let change =
            |event| if let Event::Resource { change, .. } = event { Some(change) } else { None };
        records.into_iter().filter_map(|it| change(it.event)).collect()
    }

    /// A recorded lease with one intended instance, for tests that call the provider themselves.
    pub(crate) async fn intend(&self, provider: &FalProvider) -> LeaseWriter {
        let scope = provider.scope().await.unwrap();
        let candidates = provider.plan(&Spec::new("fal")).await.unwrap();
        let request = candidates[0].resources[0].request.clone();
        self.intend_request(scope, request).await
    }

    pub(crate) async fn intend_request(
        &self,
        scope: Scope,
        request: serde_json::Value,
    ) -> LeaseWriter {
        let lease = LeaseId::draw(&OsEntropy).unwrap();
        let opened = Opened {
            lease: lease.clone(),
            slug: Slug::draw_numbered(&OsEntropy).unwrap(),
            installation: self.store.installation().await.unwrap(),
            scope,
            spec: Spec::new("fal"),
            owner: None,
            retention: Retention::UntilDeadline,
            deadlines: Deadlines::default(),
            purpose: String::new(),
        };
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        let clock = Arc::new(self.clock.clone());
        let mut writer = LeaseWriter::open(store, clock, opened).await.unwrap();
        let intended = Intended {
            candidate: 0,
            kind: "instance".to_owned(),
            disposition: Disposition::Own,
            name: lease.resource_name(0),
            nonce: Nonce::draw(&OsEntropy).unwrap(),
            request,
            public_key: crate::machines::public_key(&lease),
            id: None,
        };
        writer.append(&[Event::Intended(vec![intended])]).await.unwrap();
        writer
    }

    /// An intent whose create may be sent.
    pub(crate) async fn intent(&self, provider: &FalProvider) -> Intent {
        self.intend(provider).await.send(0).await.unwrap()
    }

    pub(crate) async fn claim(&self, lease: &LeaseId) -> Claim {
        self.store.load(lease).await.unwrap()
    }

    /// The token of an instance that exists and may be destroyed.
    pub(crate) async fn owned(&self, provider: &FalProvider) -> Owned {
        let mut writer = self.intend(provider).await;
        let intent = writer.send(0).await.unwrap();
        let id = provider.create(&intent).await.unwrap().id;
        let created = Event::Resource { index: 0, change: Change::Created { id: id.clone() } };
        let why = "the test is over".to_owned();
        writer.append(&[created, Event::Releasing { why, ends_keep: false }]).await.unwrap();
        let Sighting::Found(found) = provider.inspect(&id).await.unwrap() else {
            panic!("{id} is not shown")
        };
        let scope = VerifiedScope::verify(provider, writer.claim().scope()).await.unwrap();
        writer.own(0, &found, &scope, provider.descriptor().ownership).await.unwrap()
    }
}

/// A wall clock that can be set, and a steady one that begins anew with each boot. Clones are the same machine.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    started: Instant,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Debug)]
struct Shown {
    offset_ms: i64,
    boot: Option<String>,
}

impl Clocks {
    fn new() -> Self {
        let shown = Shown { offset_ms: 0, boot: Some("boot-1".to_owned()) };
        Self { started: Instant::now(), shown: Arc::new(Mutex::new(shown)) }
    }

    /// Sets the wall clock forward, or back.
    pub(crate) fn set_by(&self, seconds: i64) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).offset_ms += seconds * 1_000;
    }

    /// Boots the machine anew, or takes its steady clock away.
    pub(crate) fn boot_as(&self, boot: Option<&str>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.boot = boot.map(str::to_owned);
    }
}

impl Clock for Clocks {
    fn now(&self) -> Timestamp {
        // 2026-01-01T00:00:00Z.
        let begun = Timestamp::from_millis(1_767_225_600_000);
        let offset = self.shown.lock().unwrap_or_else(PoisonError::into_inner).offset_ms;
        let ms = begun.after(self.started.elapsed()).as_millis().saturating_add_signed(offset);
        Timestamp::from_millis(ms)
    }

    fn steady(&self) -> Option<Steady> {
        let boot = self.shown.lock().unwrap_or_else(PoisonError::into_inner).boot.clone()?;
        Some(Steady { boot, ms: lease_core::time::millis(self.started.elapsed()) })
    }
}
