//! What a cleanup does with a lease whose machine a listing does not show.

use std::time::Duration;

use lease_core::engine::{Acquire, Step, Why, plan};
use lease_core::retry::pause;
use lease_core::spec::{Deadlines, Retention};
use lease_core::state::Phase;
use lease_core::store::LockKind;
use lease_core::{Clock as _, Spec};
use lease_testkit::sim::SimClock;

use crate::stubborn::{Look, Scene};

const DAY: Duration = Duration::from_secs(24 * 3600);

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

#[tokio::test(start_paused = true)]
async fn whoever_works_on_a_lease_is_not_interrupted_because_its_machine_is_gone() {
    for kind in [LockKind::Operate, LockKind::Use] {
        let scene = Scene::new();
        let claim = scene.honest(Retention::UntilDeadline).await;
        scene.stage.world().remove_by_hand();
        let steps = planned(&scene).await;
        let held = scene.stage.store().lock(claim.lease(), kind).await.unwrap();
        assert!(held.is_some());
        let report = scene.engine.execute(&steps).await;
        assert!(report.done.is_empty(), "{kind:?}: {report:?}");
        drop(held);
        assert_eq!(scene.engine.execute(&steps).await.done.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_due_any_more_when_its_turn_comes_is_left() {
    let scene = Scene::new();
    let mut request = Acquire::new(Spec::new("sim"));
    request.total = Some(Duration::from_secs(3600));
    let claim = scene.stage.engine().acquire(request).await.unwrap();
    let steps = planned(&scene).await;
    let is_expired = |it: &Step| matches!(it, Step::Release { why: Why::Expired, .. });
    assert!(steps.iter().any(is_expired), "{steps:?}");
    // Somebody gives it more time between the plan and its turn.
    let later = Deadlines { idle_ms: None, expires_at: Some(scene.clock.now().after(DAY)) };
    scene.stage.engine().touch(claim.lease(), Some(later)).await.unwrap();
    assert!(scene.engine.execute(&steps).await.done.is_empty());
    scene.clock.jump_ms(2 * 24 * 3600 * 1000);
    assert_eq!(scene.engine.execute(&steps).await.done.len(), 1);
    let record = scene.stage.store().load(claim.lease()).await.unwrap();
    let why = &record.releasing().unwrap().why;
    assert!(why.starts_with("its time is over: "), "{why}");
}

#[tokio::test(start_paused = true)]
async fn one_provider_can_be_looked_at_by_name_or_alias() {
    let scene = Scene::new();
    let claim = scene.honest(Retention::UntilDeadline).await;
    for name in [Some("sim"), Some("simulated"), None] {
        let view = scene.engine.observe(name).await.unwrap();
        assert_eq!(view.inventories.keys().collect::<Vec<_>>(), ["sim"], "{name:?}");
        assert_eq!(view.claims[0].claim.lease(), claim.lease());
    }
    let error = scene.engine.observe(Some("sum")).await.unwrap_err();
    assert_eq!(error.kind(), lease_core::ErrorKind::Unsupported);
}
