//! What a failed acquire says and leaves, and for whom a release waits.

use std::time::Duration;

use lease_core::engine::{Acquire, AcquireFailure, By, Left, Outcome, Release};
use lease_core::error::ErrorKind;
use lease_core::retry::pause;
use lease_core::spec::Retention;
use lease_core::store::LockKind;
use lease_core::{Claim, Spec};
use lease_testkit::faults::{Fault, Planned, Point, Stage};
use lease_testkit::sim::Flavor;
use lease_testkit::world::Kind;
use tokio::time::Instant;

use crate::stubborn::Scene;

fn wish(keep_on_failure: bool, retention: Retention) -> Acquire {
    let mut wish = Acquire::new(Spec::new("sim"));
    (wish.keep_on_failure, wish.retention) = (keep_on_failure, retention);
    wish
}

fn machines_alive(stage: &Stage) -> usize {
    stage.world().ours_alive().iter().filter(|it| it.kind == Kind::Machine).count()
}

#[tokio::test(start_paused = true)]
async fn i7_what_was_to_be_kept_is_kept_when_acquiring_fails_if_there_is_anything() {
    let prepare = points().await.iter().position(|it| *it == Point::Prepare).unwrap();
    for (keep_on_failure, retention, left, alive) in [
        (false, Retention::UntilDeadline, Left::Released, 0),
        (true, Retention::UntilDeadline, Left::Kept, 1),
        (false, Retention::Keep, Left::Kept, 1),
    ] {
        let case = format!("{keep_on_failure} {retention:?}");
        let stage = Stage::new(Flavor::UniqueNames, &[], None).unwrap();
        stage.world().refuse_logins();
        let failure = stage.engine().acquire(wish(keep_on_failure, retention)).await.unwrap_err();
        assert_eq!((failure.left, machines_alive(&stage)), (left, alive), "{case}");
        // Its deadline does not end it either.
        let kept = stage.live_claims().await.iter().map(Claim::retention).collect::<Vec<_>>();
        assert_eq!(kept, vec![Retention::Keep; alive], "{case}");

        let (stage, failure) = failing_at(prepare, keep_on_failure, retention).await;
        assert_eq!(failure.left, Left::Nothing, "{case}");
        assert!(stage.live_claims().await.is_empty(), "{case}: nobody has to end what is nothing");
    }
}

/// The points that an acquire passes when nothing goes wrong.
async fn points() -> Vec<Point> {
    let plain = Stage::new(Flavor::UniqueNames, &[], None).unwrap();
    plain.engine().acquire(Acquire::new(Spec::new("sim"))).await.unwrap();
    plain.script().trace().iter().map(|it| it.point).collect()
}

/// An acquire that is refused at the point of this number.
async fn failing_at(
    at: usize,
    keep_on_failure: bool,
    retention: Retention,
) -> (Stage, AcquireFailure) {
    let refused = Planned { at, fault: Fault::RefusedBefore };
    let stage = Stage::new(Flavor::UniqueNames, &[refused], None).unwrap();
    let failure = stage.engine().acquire(wish(keep_on_failure, retention)).await.unwrap_err();
    assert!(stage.script().all_fired());
    (stage, failure)
}

#[tokio::test(start_paused = true)]
async fn what_was_intended_and_never_recorded_as_sent_was_not_sent() {
    let points = points().await;
    let sending = points.iter().position(|it| *it == Point::Create).unwrap() - 1;
    assert_eq!(points[sending], Point::Append);
    let (stage, failure) = failing_at(sending, false, Retention::UntilDeadline).await;
    assert_eq!((failure.error.kind(), failure.left), (ErrorKind::Storage, Left::Nothing));
    assert!(stage.live_claims().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn i7_an_acquire_that_a_release_stops_does_not_end_a_keep_that_came_later() {
    let stage = Stage::new(Flavor::UniqueNames, &[], None).unwrap();
    stage.world().boot_in(Duration::from_secs(60));
    let (engine, other) = (stage.engine(), stage.engine());
    let intervene = async {
        pause(Duration::from_secs(2)).await;
        let lease = stage.live_claims().await.first().unwrap().lease().clone();
        let outcome = other.release(&lease, Release::new(By::Reaper, "a test")).await.unwrap();
        assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
        other.keep(&lease, "somebody still needs it").await.unwrap();
    };
    let (acquired, ()) =
        tokio::join!(engine.acquire(wish(false, Retention::UntilDeadline)), intervene);
    let failure = acquired.unwrap_err();
    assert_eq!((failure.error.kind(), failure.left), (ErrorKind::Interrupted, Left::Kept));
    assert_eq!(machines_alive(&stage), 1);
    assert_eq!(stage.live_claims().await.first().unwrap().retention(), Retention::Keep);
}

#[tokio::test(start_paused = true)]
async fn who_gives_a_lease_back_waits_for_who_works_on_it_but_not_for_ever() {
    for (by, works_for, gives_up_after) in [
        (By::Person, 10, None),
        (By::Owner, 10, None),
        (By::Person, 100, Some(30)),
        (By::Reaper, 10, Some(0)),
    ] {
        let scene = Scene::new();
        let claim = scene.honest(Retention::UntilDeadline).await;
        let lease = claim.lease();
        let guard = scene.stage.store().lock(lease, LockKind::Operate).await.unwrap().unwrap();
        let began = Instant::now();
        let work = async {
            pause(Duration::from_secs(works_for)).await;
            drop(guard);
        };
        let release = async {
            let outcome = scene.engine.release(lease, Release::new(by, "a test")).await.unwrap();
            (outcome, began.elapsed().as_secs())
        };
        let ((outcome, waited), ()) = tokio::join!(release, work);
        match gives_up_after {
            None => assert!(matches!(outcome, Outcome::Released), "{by:?}: {outcome:?}"),
            Some(_) => assert!(matches!(outcome, Outcome::Pending(_)), "{by:?}: {outcome:?}"),
        }
        // Nothing is destroyed beside the one who works on it, and what is destroyed takes its time to be gone.
        assert!(
            gives_up_after.map_or(waited >= works_for, |it| waited == it),
            "{by:?}: {waited} s"
        );
    }
}
