//! What a cleanup does with a lease whose machine a listing does not show.

use std::time::Duration;

use lease_core::Clock as _;
use lease_core::engine::{Step, Why, plan};
use lease_core::retry::pause;
use lease_core::spec::Retention;
use lease_core::state::Phase;
use lease_testkit::sim::SimClock;

use crate::stubborn::{Look, Scene};

/// The steps of a cleanup in an hour.
async fn planned(scene: &Scene) -> Vec<Step> {
    let (hour, clock) = (Duration::from_secs(3600), SimClock::new());
    pause(hour).await;
    clock.jump_ms(2 * 3600 * 1000);
    plan(&scene.engine.observe(None).await.unwrap(), clock.now())
}

fn is_vanished(step: &Step) -> bool {
    matches!(step, Step::Release { why: Why::Vanished, .. })
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_a_listing_lacks_is_asked_for_before_its_lease_is_given_up() {
    for looks in [&[Look::Truth][..], &[Look::Fails(lease_core::ErrorKind::Unavailable)]] {
        let scene = Scene::new();
        scene.provider.overlooks();
        let claim = scene.honest(Retention::UntilDeadline).await;
        let steps = planned(&scene).await;
        assert!(steps.iter().any(is_vanished), "{steps:?}");
        scene.provider.shows(looks);
        let report = scene.engine.execute(&steps).await;
        assert!(report.done.is_empty(), "{report:?}");
        let now = scene.stage.store().load(claim.lease()).await.unwrap();
        assert_eq!(now.phase(), Phase::Ready);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_machine_somebody_removed_is_given_up() {
    let scene = Scene::new();
    let claim = scene.honest(Retention::UntilDeadline).await;
    scene.stage.world().remove_by_hand();
    let steps = planned(&scene).await;
    assert!(steps.iter().any(is_vanished), "{steps:?}");
    let report = scene.engine.execute(&steps).await;
    assert_eq!(report.done.len(), 1, "{report:?}");
    let now = scene.stage.store().load(claim.lease()).await.unwrap();
    assert_eq!(now.phase(), Phase::Released);
}
