//! How one resource is destroyed at a provider that is slow, deaf or refuses: how often it is asked, and after which pauses.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::error::{Error, ErrorKind};
use lease_core::evidence::Status;
use lease_core::provider::Check;
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
enum Look {
    Truth,
    /// It is going away.
    Stopping,
    Fails(ErrorKind),
}

/// What is done with the destroy of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It is done.
    Done,
    /// It is accepted, and nothing follows.
    Deaf,
    Fails(ErrorKind),
}

/// Answers for the machine as it is told to; afterwards, and for everything else, as the simulated cloud does.
#[derive(Debug)]
struct Stubborn {
    inner: Arc<dyn Provider>,
    looks: Mutex<VecDeque<Look>>,
    answers: Mutex<VecDeque<Answer>>,
    /// When the machine was looked at, and when it was to be destroyed.
    looked: Mutex<Vec<Instant>>,
    asked: Mutex<Vec<Instant>>,
}

impl Stubborn {
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
        self.inner.scope().await
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        self.inner.plan(spec).await
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
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
        self.looked.lock().unwrap().push(Instant::now());
        let look = self.looks.lock().unwrap().pop_front();
        match look.unwrap_or(Look::Truth) {
            Look::Truth => truth,
            Look::Stopping => {
                let mut found = found.clone();
                found.status = Status::Stopping;
                Ok(Sighting::Found(found))
            }
            Look::Fails(kind) => Err(Self::failure(kind)),
        }
    }

    async fn list(&self) -> Result<Inventory> {
        self.inner.list().await
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        if owned.kind() != "machine" {
            return self.inner.destroy(owned).await;
        }
        self.asked.lock().unwrap().push(Instant::now());
        let answer = self.answers.lock().unwrap().pop_front();
        match answer.unwrap_or(Answer::Done) {
            Answer::Done => self.inner.destroy(owned).await,
            Answer::Deaf => Ok(()),
            Answer::Fails(kind) => Err(Self::failure(kind)),
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

/// Remembers what became of the machine.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<ResourceState>>);

impl Observer for Told {
    fn notice(&self, _lease: &LeaseId, notice: &Notice<'_>) {
        if let Notice::Resource { kind: "machine", state } = notice {
            self.0.lock().unwrap().push(*state);
        }
    }
}

struct Scene {
    /// Holds the cloud.
    _stage: Stage,
    engine: Engine,
    provider: Arc<Stubborn>,
    told: Arc<Told>,
    claim: Claim,
}

/// A lease whose machine answers so when it is released.
async fn scene(looks: &[Look], answers: &[Answer]) -> Scene {
    let stage = Stage::new(Flavor::UniqueNames, &[], None).unwrap();
    let claim = stage.engine().acquire(Acquire::new(Spec::new("sim"))).await.unwrap();
    let provider = Arc::new(Stubborn {
        inner: Arc::clone(stage.engine().providers().next().unwrap()),
        looks: Mutex::new(looks.iter().copied().collect()),
        answers: Mutex::new(answers.iter().copied().collect()),
        looked: Mutex::default(),
        asked: Mutex::default(),
    });
    let (told, transport) = (Arc::new(Told::default()), SimTransport::new(stage.world().clone()));
    let clock = Arc::new(SimClock::new());
    let engine = Engine::builder(Arc::clone(stage.store()), Arc::new(transport), clock)
        .provider(Arc::<Stubborn>::clone(&provider))
        .observer(Arc::<Told>::clone(&told))
        .build();
    Scene { _stage: stage, engine, provider, told, claim }
}

impl Scene {
    async fn release(&self) -> Result<Outcome> {
        self.engine.release(self.claim.lease(), Release::new(By::Person, "a test")).await
    }

    fn asked(&self) -> Vec<Instant> {
        self.provider.asked.lock().unwrap().clone()
    }

    fn looked(&self) -> Vec<Instant> {
        self.provider.looked.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_and_not_done_is_asked_for_again_after_longer_and_longer_pauses() {
    let scene = scene(&[], &[Answer::Deaf; 6]).await;
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    let asked = scene.asked();
    assert_eq!(asked.len(), 7);
    let pauses: Vec<Duration> = asked.windows(2).map(|it| it[1] - it[0]).collect();
    // The first look after a destroy costs no pause: most are gone by then.
    assert_eq!(pauses[0], Duration::ZERO, "{pauses:?}");
    assert!(pauses[1] >= Duration::from_millis(50), "{pauses:?}");
    assert!(pauses[1..].windows(2).all(|it| it[1] > it[0]), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_going_away_because_it_was_asked_to_is_waited_for() {
    let scene =
        scene(&[Look::Truth, Look::Stopping, Look::Stopping, Look::Stopping], &[Answer::Deaf])
            .await;
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    // Only the fifth look showed that it runs after all.
    let (asked, looked) = (scene.asked(), scene.looked());
    assert_eq!((asked.len(), asked[1]), (2, looked[4]), "{looked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_goes_away_by_itself_is_asked_for_all_the_same() {
    let scene = scene(&[Look::Stopping], &[]).await;
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    assert_eq!(scene.asked(), [scene.looked()[0]]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_repeated_unless_it_takes_a_person() {
    let scene =
        scene(&[Look::Fails(ErrorKind::Unavailable), Look::Fails(ErrorKind::Timeout)], &[]).await;
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    assert_eq!(scene.asked(), [scene.looked()[2]]);

    let scene = self::scene(&[Look::Fails(ErrorKind::Denied)], &[]).await;
    assert!(matches!(scene.release().await.unwrap(), Outcome::Pending(_)));
    assert_eq!((scene.looked().len(), scene.asked().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_destroy_that_fails_is_repeated_where_that_may_help() {
    let scene =
        scene(&[], &[Answer::Fails(ErrorKind::Unavailable), Answer::Fails(ErrorKind::Timeout)])
            .await;
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    assert_eq!(scene.asked().len(), 3);

    let scene = self::scene(&[], &[Answer::Fails(ErrorKind::Denied)]).await;
    assert!(matches!(scene.release().await.unwrap(), Outcome::Pending(_)));
    assert_eq!(scene.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_is_told_each_step() {
    let scene = scene(&[], &[]).await;
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    assert_eq!(*scene.told.0.lock().unwrap(), [ResourceState::Destroying, ResourceState::Gone]);
}
