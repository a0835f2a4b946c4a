//! A provider that answers as it is told to, and an engine that asks it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::engine::{Acquire, AcquireFailure, By, Outcome, Release};
use lease_core::error::{Error, ErrorKind};
use lease_core::evidence::Status;
use lease_core::provider::Check;
use lease_core::retry::pause;
use lease_core::spec::Retention;
use lease_core::watch::{Notice, Observer};
use lease_core::{
    Candidate, Claim, Created, Descriptor, Engine, Held, Intent, Inventory, LeaseId, Owned,
    Provider, ResourceId, ResourceState, Result, Scope, Sighting, Size, Spec, Timestamp,
};
use lease_testkit::faults::Stage;
use lease_testkit::sim::{Flavor, SimClock, SimTransport};
use tokio::time::Instant;

/// What a look at the machine shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Truth,
    /// It is going away.
    Stopping,
    /// The one who is asked knows of no such machine yet, or not any more.
    Absent,
    Fails(ErrorKind),
}

/// What is done with the destroy of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is accepted, and nothing follows.
    Deaf,
    Fails(ErrorKind),
}

/// What a question after the account comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    Told,
    Fails(ErrorKind),
    /// It is too busy, and asks to wait.
    Busy(Duration),
    /// It is told after so long.
    Slow(Duration),
}

/// Answers as it is told to; afterwards, and for everything else, as the simulated cloud does.
#[derive(Debug)]
pub(crate) struct Stubborn {
    inner: Arc<dyn Provider>,
    looks: Mutex<VecDeque<Look>>,
    answers: Mutex<VecDeque<Answer>>,
    accounts: Mutex<VecDeque<Account>>,
    refusals: Mutex<VecDeque<ErrorKind>>,
    /// How many machines were asked for.
    created: AtomicUsize,
    /// Whether the next listing leaves machines out.
    overlooks: AtomicBool,
    /// When the machine was looked at, and when it was last there.
    looked: Mutex<Vec<Instant>>,
    seen: Mutex<Option<Instant>>,
    /// When it was to be destroyed.
    asked: Mutex<Vec<Instant>>,
    /// When somebody wanted to know the account.
    visited: Mutex<Vec<Instant>>,
}

impl Stubborn {
    pub(crate) fn shows(&self, looks: &[Look]) {
        self.looks.lock().unwrap().extend(looks);
    }

    pub(crate) fn answers(&self, answers: &[Answer]) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn accounts(&self, accounts: &[Account]) {
        self.accounts.lock().unwrap().extend(accounts);
    }

    /// Refuses machines for these reasons, having made none.
    pub(crate) fn refuses(&self, kinds: &[ErrorKind]) {
        self.refusals.lock().unwrap().extend(kinds);
    }

    pub(crate) fn created(&self) -> usize {
        self.created.load(Ordering::Relaxed)
    }

    pub(crate) fn overlooks(&self) {
        self.overlooks.store(true, Ordering::Relaxed);
    }

    pub(crate) fn looked(&self) -> Vec<Instant> {
        self.looked.lock().unwrap().clone()
    }

    pub(crate) fn seen(&self) -> Instant {
        self.seen.lock().unwrap().unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn visited(&self) -> Vec<Instant> {
        self.visited.lock().unwrap().clone()
    }

    fn failure(kind: ErrorKind) -> Error {
        Error::harmless(kind, "a test", "it was told to")
    }
}

#[async_trait]
impl Provider for Stubborn {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn scope(&self) -> Result<Scope> {
        self.visited.lock().unwrap().push(Instant::now());
        let account = self.accounts.lock().unwrap().pop_front();
        match account.unwrap_or(Account::Told) {
            Account::Told => self.inner.scope().await,
            Account::Slow(span) => {
                pause(span).await;
                self.inner.scope().await
            }
            Account::Fails(kind) => Err(Self::failure(kind)),
            Account::Busy(span) => Err(Self::failure(ErrorKind::Busy).with_retry_after(span)),
        }
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        self.inner.plan(spec).await
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        if intent.kind() == "machine" {
            self.created.fetch_add(1, Ordering::Relaxed);
            let refusal = self.refusals.lock().unwrap().pop_front();
            if let Some(kind) = refusal {
                return Err(Self::failure(kind));
            }
        }
        self.inner.create(intent).await
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        self.inner.find(intent).await
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        let truth = self.inner.inspect(id).await;
        let Ok(Sighting::Found(found)) = &truth else { return truth };
        if found.kind != "machine" {
            return truth;
        }
        let now = Instant::now();
        self.looked.lock().unwrap().push(now);
        let look = self.looks.lock().unwrap().pop_front().unwrap_or(Look::Truth);
        if [Look::Truth, Look::Stopping].contains(&look) {
            *self.seen.lock().unwrap() = Some(now);
        }
        match look {
            Look::Truth => truth,
            Look::Stopping => {
                let mut found = found.clone();
                found.status = Status::Stopping;
                Ok(Sighting::Found(found))
            }
            Look::Absent => Ok(Sighting::Absent),
            Look::Fails(kind) => Err(Self::failure(kind)),
        }
    }

    async fn list(&self) -> Result<Inventory> {
        let mut inventory = self.inner.list().await?;
        if self.overlooks.swap(false, Ordering::Relaxed) {
            inventory.items.retain(|it| it.kind != "machine");
        }
        Ok(inventory)
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        if owned.kind() != "machine" {
            return self.inner.destroy(owned).await;
        }
        self.asked.lock().unwrap().push(Instant::now());
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            None => self.inner.destroy(owned).await,
            Some(Answer::Deaf) => Ok(()),
            Some(Answer::Fails(kind)) => Err(Self::failure(kind)),
        }
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

/// Remembers what became of the machine, and what was waited for.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) states: Mutex<Vec<ResourceState>>,
    pub(crate) waits: Mutex<Vec<String>>,
    /// When it was last told of the machine.
    pub(crate) last: Mutex<Option<Instant>>,
}

impl Observer for Told {
    fn notice(&self, _lease: &LeaseId, notice: &Notice<'_>) {
        if let Notice::Resource { kind: "machine", state } = notice {
            self.states.lock().unwrap().push(*state);
            *self.last.lock().unwrap() = Some(Instant::now());
        }
        if let Notice::Waiting { what, .. } = notice {
            self.waits.lock().unwrap().push((*what).to_owned());
        }
    }

    fn waiting(&self, what: &str, _so_far: Duration) {
        self.waits.lock().unwrap().push(what.to_owned());
    }
}

/// An engine over one such provider.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) engine: Engine,
    pub(crate) clock: SimClock,
    pub(crate) provider: Arc<Stubborn>,
    pub(crate) told: Arc<Told>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let stage = Stage::new(Flavor::UniqueNames, &[], None).unwrap();
        let provider = Arc::new(Stubborn {
            inner: Arc::clone(stage.engine().providers().next().unwrap()),
            looks: Mutex::default(),
            answers: Mutex::default(),
            accounts: Mutex::default(),
            refusals: Mutex::default(),
            created: AtomicUsize::default(),
            overlooks: AtomicBool::default(),
            looked: Mutex::default(),
            seen: Mutex::default(),
            asked: Mutex::default(),
            visited: Mutex::default(),
        });
        let told = Arc::new(Told::default());
        let transport = SimTransport::new(stage.world().clone());
        let clock = SimClock::new();
        let store = Arc::clone(stage.store());
        let engine = Engine::builder(store, Arc::new(transport), Arc::new(clock.clone()))
            .provider(Arc::<Stubborn>::clone(&provider))
            .observer(Arc::<Told>::clone(&told))
            .build();
        Self { stage, engine, clock, provider, told }
    }

    pub(crate) async fn acquire(&self) -> std::result::Result<Claim, AcquireFailure> {
        self.engine.acquire(Acquire::new(Spec::new("sim"))).await
    }

    /// A lease that was acquired without any trouble.
    pub(crate) async fn honest(&self, retention: Retention) -> Claim {
        let mut request = Acquire::new(Spec::new("sim"));
        request.retention = retention;
        self.stage.engine().acquire(request).await.unwrap()
    }

    /// Gives such a lease back.
    pub(crate) async fn release(&self) -> Result<Outcome> {
        let claim = self.honest(Retention::UntilDeadline).await;
        self.engine.release(claim.lease(), Release::new(By::Person, "a test")).await
    }
}
