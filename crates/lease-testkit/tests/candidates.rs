//! Where one machine cannot be had and another is tried, nothing of the first is left before the second is asked for.

use lease_core::Spec;
use lease_core::engine::Acquire;
use lease_testkit::faults::Stage;
use lease_testkit::sim::Flavor;

#[tokio::test(start_paused = true)]
async fn i8_a_candidate_is_gone_before_the_next_one_is_tried() {
    let stage = Stage::new(Flavor::UniqueNames, &[], None).unwrap();
    stage.world().sell_out("s1");
    let claim = stage.engine().acquire(Acquire::new(Spec::new("sim"))).await.unwrap();
    assert_eq!(claim.failed_candidates().len(), 1);

    let ledger = stage.world().ledger();
    let named = |name: String| ledger.iter().find(|it| it.name == name).unwrap();
    let (mut failed, mut used) = (Vec::new(), Vec::new());
    for resource in claim.resources().iter().filter(|it| it.id().is_some()) {
        let intended = resource.intended();
        let place = if intended.candidate == 0 { &mut failed } else { &mut used };
        place.push(named(intended.name.to_string()));
    }
    assert_eq!(
        (failed.len(), used.len()),
        (1, 2),
        "a key was left, then key and machine were made"
    );
    let gone = failed[0].gone_at.unwrap();
    assert!(used.iter().all(|it| it.accepted_at >= gone), "{failed:?} beside {used:?}");
}
