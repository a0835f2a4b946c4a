//! While a provider gives no answer of use, whoever listens is told whom the engine waits for, and why.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::watch::{Notice, Observer};
use lease_core::{Engine, LeaseId, Spec};
use lease_testkit::faults::Stage;
use lease_testkit::sim::{Flavor, SimClock, SimTransport};

/// The waits that it heard of, each with the lease it is about.
#[derive(Debug, Default)]
struct Ear(Mutex<Vec<(Option<LeaseId>, String)>>);

impl Ear {
    fn heard(&self) -> Vec<(Option<LeaseId>, String)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Observer for Ear {
    fn notice(&self, lease: &LeaseId, notice: &Notice<'_>) {
        if let Notice::Waiting { what, .. } = notice {
            self.0.lock().unwrap().push((Some(lease.clone()), (*what).to_owned()));
        }
    }

    fn waiting(&self, what: &str, _so_far: Duration) {
        self.0.lock().unwrap().push((None, what.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_is_named_before_there_is_a_lease_and_until_it_is_released() {
    let (stage, ear) =
        (Stage::new(Flavor::UniqueNames, &[], None).unwrap(), Arc::new(Ear::default()));
    let world = stage.world();
    let provider = Arc::clone(stage.engine().providers().next().unwrap());
    let transport = Arc::new(SimTransport::new(world.clone()));
    let engine = Engine::builder(Arc::clone(stage.store()), transport, Arc::new(SimClock::new()))
        .provider(provider)
        .observer(Arc::<Ear>::clone(&ear))
        .build();

    let nothing = "r999999".parse().unwrap();
    world.go_down(Duration::from_secs(3));
    engine.adopt("sim", &nothing, None).await.unwrap_err();
    let heard = ear.heard();
    assert!(heard.len() > 1, "{heard:?}");
    let named =
        |(lease, what): &(Option<LeaseId>, String)| lease.is_none() && what.starts_with("sim: ");
    assert!(heard.iter().all(named), "{heard:?}");

    let claim = engine.acquire(Acquire::new(Spec::new("sim"))).await.unwrap();
    ear.heard();
    world.go_down(Duration::from_secs(3));
    let release = Release::new(By::Person, "a test");
    let outcome = engine.release(claim.lease(), release).await.unwrap();
    assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    let heard = ear.heard();
    let named = |(lease, what): &&(Option<LeaseId>, String)| {
        lease.as_ref() == Some(claim.lease()) && what.starts_with("sim: ")
    };
    assert!(heard.iter().filter(named).count() > 1, "{heard:?}");

    world.go_down(Duration::from_secs(3600));
    let failure = engine.adopt("sim", &nothing, None).await.unwrap_err();
    let said = failure.to_string();
    assert!(said.contains("sim gives no answer of use: "), "{said}");
}
