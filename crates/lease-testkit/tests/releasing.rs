//! What a release that cannot be finished leaves behind: who goes on with it, when, and who says nothing about it.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::error::ErrorKind;
use lease_core::watch::Guardian;
use lease_core::{Claim, Engine, LeaseId, Result, Scope, Spec};
use lease_testkit::faults::Stage;
use lease_testkit::sim::{Flavor, SimClock, SimTransport};
use lease_testkit::world::ELSEWHERE;

/// Counts how often somebody made sure of a reaper.
#[derive(Debug, Default)]
struct Counting(Mutex<u32>);

impl Counting {
    fn count(&self) -> u32 {
        *self.0.lock().unwrap()
    }
}

#[async_trait]
impl Guardian for Counting {
    async fn ensure(&self, _lease: &LeaseId, _scope: &Scope) -> Result<()> {
        *self.0.lock().unwrap() += 1;
        Ok(())
    }
}

struct Scene {
    stage: Stage,
    engine: Engine,
    guardian: Arc<Counting>,
    claim: Claim,
}

async fn scene() -> Scene {
    let (stage, guardian) =
        (Stage::new(Flavor::UniqueNames, &[], None).unwrap(), Arc::new(Counting::default()));
    let provider = Arc::clone(stage.engine().providers().next().unwrap());
    let transport = Arc::new(SimTransport::new(stage.world().clone()));
    let engine = Engine::builder(Arc::clone(stage.store()), transport, Arc::new(SimClock::new()))
        .provider(provider)
        .guardian(Arc::<Counting>::clone(&guardian))
        .build();
    let claim = engine.acquire(Acquire::new(Spec::new("sim"))).await.unwrap();
    Scene { stage, engine, guardian, claim }
}

impl Scene {
    async fn release(&self, by: By) -> Result<Outcome> {
        self.engine.release(self.claim.lease(), Release::new(by, "a test")).await
    }

    async fn recorded(&self) -> Claim {
        let entries = self.stage.store().scan().await.unwrap();
        entries.into_iter().find_map(|it| it.claim.ok()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_makes_sure_of_a_reaper_unless_it_is_one() {
    for (by, more) in [(By::Person, 1), (By::Owner, 1), (By::Reaper, 0)] {
        let scene = scene().await;
        let before = scene.guardian.count();
        assert!(matches!(scene.release(by).await.unwrap(), Outcome::Released));
        assert_eq!(scene.guardian.count() - before, more, "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn i9_a_reaper_with_other_credentials_says_nothing_and_a_person_records_the_delay() {
    let scene = scene().await;
    scene.stage.world().log_in(ELSEWHERE);
    let error = scene.release(By::Reaper).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ScopeChanged, "{error}");
    let releasing = scene.recorded().await.releasing().unwrap().clone();
    assert_eq!((releasing.attempts, releasing.last), (0, None));

    let outcome = scene.release(By::Person).await.unwrap();
    assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    let releasing = scene.recorded().await.releasing().unwrap().clone();
    assert_eq!(releasing.attempts, 1);
    assert_eq!(releasing.last.unwrap().kind, ErrorKind::ScopeChanged);
}

#[tokio::test(start_paused = true)]
async fn i6_a_reaper_that_serves_the_account_records_when_it_tries_again() {
    let scene = scene().await;
    scene.stage.world().go_down(Duration::from_secs(24 * 3600));
    let outcome = scene.release(By::Reaper).await.unwrap();
    assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    let first = scene.recorded().await.releasing().unwrap().clone();
    assert_eq!(first.attempts, 1);
    assert!(first.last.unwrap().retry_at > first.since);
    assert!(matches!(scene.release(By::Reaper).await.unwrap(), Outcome::Pending(_)));
    let second = scene.recorded().await.releasing().unwrap().clone();
    assert_eq!((second.attempts, second.since), (2, first.since), "it is the same release");
}
