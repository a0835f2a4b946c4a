//! What a cleanup plans, when, and which evidence it gives: `lease cleanup --dry-run` prints it.

use std::time::Duration;

use lease_core::engine::{Acquire, Outcome, Step, View, Why, plan};
use lease_core::error::ErrorKind;
use lease_core::spec::Retention;
use lease_core::{Claim, Clock as _, Spec, Timestamp};
use lease_testkit::sim::{Flavor, Processes};
use lease_testkit::world::ELSEWHERE;

use crate::stubborn::{Account, Scene};

const MINUTE: u64 = 60_000;

fn ms(time: Timestamp) -> u64 {
    time.as_millis()
}

/// The only step.
fn only(view: &View, now_ms: u64) -> Step {
    let steps = plan(view, Timestamp::from_millis(now_ms));
    assert_eq!(steps.len(), 1, "{steps:?}");
    steps.into_iter().next().unwrap()
}

fn due(step: &Step) -> Option<(Why, &str)> {
    if let Step::Release { why, evidence, .. } = step { Some((*why, evidence)) } else { None }
}

fn wait_until(step: &Step) -> Option<u64> {
    if let Step::Wait { until, .. } = step { until.map(ms) } else { None }
}

/// A release that such an obstacle delays.
async fn delayed(kind: ErrorKind) -> (Scene, Claim) {
    let scene = Scene::new();
    scene.provider.accounts(&[Account::Fails(kind); 200]);
    let outcome = scene.release().await.unwrap();
    assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    let claim = scene.stage.live_claims().await.remove(0);
    (scene, claim)
}

#[tokio::test(start_paused = true)]
async fn a_delayed_release_waits_for_its_time_and_for_a_quarter_of_an_hour_at_most() {
    let (scene, claim) = delayed(ErrorKind::Unavailable).await;
    let view = scene.engine.observe(None).await.unwrap();
    let retry_at = ms(claim.obstacle().unwrap().retry_at);
    // A time that lies further ahead was written by a clock that was wrong.
    for (before, waits) in [(0, false), (1, true), (15 * MINUTE, true), (15 * MINUTE + 1, false)] {
        let step = only(&view, retry_at - before);
        assert_eq!(wait_until(&step), waits.then_some(retry_at), "{before}: {step:?}");
        assert_eq!(due(&step).map(|it| it.0), (!waits).then_some(Why::Resume), "{before}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_evidence_of_a_resumed_release_says_whether_it_takes_a_person() {
    for (kind, says) in
        [(ErrorKind::Denied, "needs a person"), (ErrorKind::Unavailable, "last obstacle")]
    {
        let (scene, claim) = delayed(kind).await;
        let view = scene.engine.observe(None).await.unwrap();
        let obstacle = claim.obstacle().unwrap();
        let step = only(&view, ms(obstacle.retry_at));
        let evidence = format!("{says}: {}", obstacle.message);
        assert_eq!(due(&step), Some((Why::Resume, evidence.as_str())));
    }
}

/// A lease of process 1 that was cut off while its machine booted.
async fn cut_off() -> (Scene, Claim) {
    let scene = Scene::new();
    scene.stage.world().boot_in(Duration::from_secs(3600));
    let mut request = Acquire::new(Spec::new("sim"));
    request.owner = Some(Processes::owner(1));
    let engine = scene.stage.engine();
    let acquiring = engine.acquire(request);
    let cut_off = tokio::time::timeout(Duration::from_secs(30), acquiring).await;
    assert!(cut_off.is_err());
    let claim = scene.stage.live_claims().await.remove(0);
    (scene, claim)
}

#[tokio::test(start_paused = true)]
async fn an_acquire_is_abandoned_when_its_process_ended_or_nobody_worked_on_it_for_a_minute() {
    let (scene, claim) = cut_off().await;
    let view = scene.stage.engine().observe(None).await.unwrap();
    let updated = ms(claim.updated_at());
    let late = Some((Why::Abandoned, "nobody has worked on it for a minute"));
    for (now, abandoned) in [
        (updated, None),
        (updated + MINUTE - 1, None),
        (updated + MINUTE, late),
        // A clock that is behind says nothing about how long ago it was, until it is too far behind to be right.
        (updated - MINUTE, None),
        (updated - MINUTE - 1, late),
    ] {
        let step = only(&view, now);
        assert_eq!(due(&step), abandoned, "{step:?}");
        let patience = abandoned.is_none().then_some(updated + MINUTE);
        assert_eq!(wait_until(&step), patience, "{step:?}");
    }
    scene.stage.processes().end(1);
    let view = scene.stage.engine().observe(None).await.unwrap();
    let step = only(&view, updated);
    assert_eq!(due(&step), Some((Why::Abandoned, "the process that acquired it ended")));
}

#[tokio::test(start_paused = true)]
async fn the_evidence_says_by_what_a_lease_is_over() {
    let (scene, hour) = (Scene::new(), Some(Duration::from_secs(3600)));
    let plain = || Acquire::new(Spec::new("sim"));
    let (mut owned, mut total, mut idle) = (plain(), plain(), plain());
    (owned.owner, owned.retention) = (Some(Processes::owner(1)), Retention::WithOwner);
    (total.total, idle.idle) = (hour, hour);
    let expected = [
        (owned, Why::OwnerDied, "process 1 on simulation ended"),
        (total, Why::Expired, "its time is over"),
        (idle, Why::Idle, "it was not used for its idle time"),
    ];
    for (request, why, evidence) in expected {
        let engine = scene.stage.engine();
        let claim = engine.acquire(request).await.unwrap();
        scene.stage.processes().end(1);
        let view = engine.observe(None).await.unwrap();
        let steps = plan(&view, scene.clock.now().after(Duration::from_secs(7200)));
        let step = steps
            .iter()
            .find(|it| matches!(it, Step::Release { lease, .. } if lease == claim.lease()));
        assert_eq!(step.and_then(due), Some((why, evidence)), "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn i9_only_a_settled_listing_of_the_same_account_lets_a_lease_vanish() {
    let scene = Scene::new();
    let claim = scene.honest(Retention::UntilDeadline).await;
    let settle = Flavor::UniqueNames.descriptor().settle;
    let settled = ms(claim.updated_at().after(settle));
    scene.provider.overlooks();
    let view = scene.engine.observe(None).await.unwrap();
    assert!(plan(&view, Timestamp::from_millis(settled)).is_empty());
    let step = only(&view, settled + 1);
    let evidence = "a complete listing of 1 resources does not show it";
    assert_eq!(due(&step), Some((Why::Vanished, evidence)));

    scene.stage.world().log_in(ELSEWHERE);
    let view = scene.engine.observe(None).await.unwrap();
    let later = Timestamp::from_millis(settled + 60 * MINUTE);
    assert!(plan(&view, later).is_empty(), "another account has other machines");
}
