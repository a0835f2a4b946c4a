//! What no client can prevent, it must at least not hide: doubles and clones keep the lease in view and are not touched.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::sync::Arc;
use std::time::Duration;

use lease_core::descriptor::Replay;
use lease_core::engine::{Acquire, By, Outcome, Release, Step, plan};
use lease_core::retry::pause;
use lease_core::spec::Retention;
use lease_core::state::Phase;
use lease_core::{Claim, Clock, Engine, Spec};
use lease_testkit::faults::{Fault, Planned, Point, Scenario, Stage, replay};
use lease_testkit::sim::{Flavor, Processes, SimClock};
use lease_testkit::world::{HOME, Kind, Origin, Twist, Violation};

fn stage(flavor: Flavor) -> Stage {
    Stage::new(flavor, &[], None).unwrap()
}

async fn acquired(engine: &Engine) -> Claim {
    engine.acquire(Acquire::new(Spec::new("sim"))).await.unwrap()
}

fn by_person() -> Release {
    Release::new(By::Person, "a test")
}

#[test]
fn a_second_delivery_where_nothing_is_unique_keeps_the_lease_in_view() {
    assert_eq!(Flavor::Searching.descriptor().replay, Replay::Never);
    let base = replay(Scenario::Searching, &[], None).unwrap();
    let creates = base.trace.iter().enumerate().filter(|(_, it)| it.point == Point::Create);
    for (at, _) in creates {
        let run =
            replay(Scenario::Searching, &[Planned { at, fault: Fault::DeliveredTwice }], None)
                .unwrap();
        assert!(run.fired);
        assert!(run.audit.leaked.is_empty(), "it must not be forgotten: {:?}", run.audit);
        assert!(!run.audit.pending.is_empty(), "the lease must still name it: {:?}", run.audit);
        let doubled = |it: &Violation| matches!(it, Violation::Second(_) | Violation::Unbounded(_));
        assert!(run.audit.violations.iter().all(doubled), "{:?}", run.audit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_with_all_our_marks_is_not_destroyed_and_holds_the_release() {
    let stage = stage(Flavor::Searching);
    let engine = stage.engine();
    let claim = acquired(&engine).await;
    let machine =
        stage.world().ours_alive().into_iter().find(|it| it.kind == Kind::Machine).unwrap();
    // Somebody copied the machine with everything that is written on it.
    let copy = stage.world().plant(HOME, Kind::Machine, "a-copy", machine.marks.clone());
    let outcome = engine.release(claim.lease(), by_person()).await.unwrap();
    assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    let ledger = stage.world().ledger();
    assert!(ledger.iter().any(|it| it.id == copy && it.stopping_at.is_none()), "it is not ours");
    // Once the copy is gone, the release completes.
    stage.world().uproot(&copy);
    assert_eq!(stage.conclude().await.complaint(), None);
}

#[tokio::test(start_paused = true)]
async fn what_carries_our_marks_and_has_no_lease_is_reported_and_left() {
    let stage = stage(Flavor::UniqueNames);
    let engine = stage.engine();
    let claim = acquired(&engine).await;
    let mut marks = stage.world().ours_alive().first().unwrap().marks.clone().unwrap();
    marks.lease = "lse-zzzzzzzzzzzzzzzzzzzz".parse().unwrap();
    marks.nonce = "z".repeat(26).parse().unwrap();
    let orphan =
        stage.world().plant(HOME, Kind::Machine, "lse-zzzzzzzzzzzzzzzzzzzz-1", Some(marks));
    pause(Duration::from_secs(60)).await;
    let view = engine.observe(None).await.unwrap();
    let steps = plan(&view, SimClock::new().now());
    let shown =
        steps.iter().any(|it| matches!(it, Step::Orphan { found, .. } if found.id == orphan));
    assert!(shown, "{steps:?}");
    engine.execute(&steps).await;
    assert!(stage.world().ledger().iter().any(|it| it.id == orphan && it.stopping_at.is_none()));
    engine.release(claim.lease(), by_person()).await.unwrap();
    assert_eq!(stage.conclude().await.complaint(), None);
}

#[tokio::test(start_paused = true)]
async fn the_ledger_bills_what_exists_whatever_the_engine_believes() {
    let stage = stage(Flavor::UniqueNames);
    let engine = stage.engine();
    let claim = acquired(&engine).await;
    let before = stage.world().billable_seconds();
    pause(Duration::from_secs(100)).await;
    assert_eq!(stage.world().billable_seconds(), before + 100);
    engine.release(claim.lease(), by_person()).await.unwrap();
    let after = stage.world().billable_seconds();
    pause(Duration::from_secs(100)).await;
    assert_eq!(stage.world().billable_seconds(), after, "nothing is billed after the release");
    let gone = stage.world().ledger();
    assert!(gone.iter().all(|it| it.ended_by == Some(Origin::Ours)), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn an_audit_tells_leaked_from_pending() {
    let stage = stage(Flavor::UniqueNames);
    let claim = acquired(&stage.engine()).await;
    let audit = stage.world().audit(stage.store().as_ref()).await;
    assert_eq!((audit.leaked.len(), audit.pending.len()), (0, 2), "a live lease names both");
    let empty = Arc::new(lease_core::store::memory::MemoryStore::new().unwrap());
    let audit = stage.world().audit(empty.as_ref()).await;
    assert_eq!((audit.leaked.len(), audit.pending.len()), (2, 0), "no lease names them");
    stage.engine().keep(claim.lease(), "a test").await.unwrap();
    let audit = stage.world().audit(stage.store().as_ref()).await;
    assert_eq!((audit.leaked.len(), audit.pending.len()), (0, 0), "they are kept");
    assert_eq!(stage.live_claims().await.first().map(Claim::phase), Some(Phase::Kept));
}

#[test]
fn a_run_is_the_same_each_time() {
    let base = replay(Scenario::Fallback, &[], None).unwrap();
    let planned = [
        Planned { at: 9, fault: Fault::DoneThenLost },
        Planned { at: base.trace.len() / 2, fault: Fault::CrashBefore },
    ];
    let (one, two) =
        (replay(Scenario::Fallback, &planned, None), replay(Scenario::Fallback, &planned, None));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.trace, two.trace);
    assert_eq!(one.billed_seconds, two.billed_seconds);
    assert_eq!(one.audit, two.audit);
}

#[test]
fn a_fault_that_is_never_reached_fails_the_run() {
    let run = replay(Scenario::Release, &[Planned { at: 5_000, fault: Fault::CrashBefore }], None)
        .unwrap();
    assert!(!run.fired);
    assert!(run.complaint().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stale_or_broken_listing_takes_no_machine_from_its_owner() {
    for twist in [Twist::StaleListing(Duration::from_secs(4)), Twist::LostPage] {
        let stage = stage(Flavor::UniqueNames);
        let mut request = Acquire::new(Spec::new("sim"));
        request.owner = Some(Processes::owner(1));
        request.retention = Retention::WithOwner;
        let claim = stage.engine().acquire(request).await.unwrap();
        for _ in 0..30 {
            stage.world().arrange(twist);
            stage.look_and_act().await;
            pause(Duration::from_millis(250)).await;
        }
        let now = stage.store().load(claim.lease()).await.unwrap();
        assert_eq!(now.phase(), Phase::Ready, "{twist:?}: {:?}", now.releasing());
        assert_eq!(stage.world().ours_alive().len(), 2);
        stage.processes().end(1);
        assert_eq!(stage.conclude().await.complaint(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_acquire_is_not_taken_for_an_abandoned_one() {
    let stage = stage(Flavor::UniqueNames);
    stage.world().boot_in(Duration::from_secs(300));
    let engine = stage.engine();
    let reaper = async {
        for _ in 0..80 {
            stage.look_and_act().await;
            pause(Duration::from_secs(5)).await;
        }
    };
    let (acquired, ()) = tokio::join!(engine.acquire(Acquire::new(Spec::new("sim"))), reaper);
    let claim = acquired.unwrap();
    engine.release(claim.lease(), by_person()).await.unwrap();
    assert_eq!(stage.conclude().await.complaint(), None);
}
