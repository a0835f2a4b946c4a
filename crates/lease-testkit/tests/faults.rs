//! The fault matrix with single faults, the seeded bugs, and the same faults on a store of real files.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::sync::Arc;

use lease_core::store::fs::FsStore;
use lease_core::{Provider, ResourceId, ResourceName, Result, Spec};
use lease_testkit::behavior::{Harness, SimHarness, run_all};
use lease_testkit::faults::{
    Fault, Matrix, Mutant, Planned, Point, Run, Scenario, hunt, replay_over, run_matrix,
};

#[test]
fn no_single_fault_leaks_or_destroys_anything() {
    for scenario in Scenario::ALL {
        let tally = run_matrix(Matrix { scenario, pairs: false }).unwrap();
        let shown: Vec<_> =
            tally.failures.iter().map(|it| format!("{:?}: {}", it.planned, it.what)).collect();
        assert_eq!(tally.failed, 0, "{scenario}: {shown:#?}");
        assert_eq!(
            tally.fired, tally.singles,
            "{scenario}: a fault did not happen where it was planned"
        );
        assert!(tally.singles > 500, "{scenario}: only {} runs", tally.singles);
    }
}

#[test]
fn each_seeded_bug_turns_the_matrix_red() {
    for mutant in Mutant::ALL {
        let kill = hunt(mutant).unwrap();
        assert!(kill.is_some(), "{mutant} survives");
        println!("{mutant}: {kill:?}");
    }
}

/// The simulated provider with a bug.
struct Infected {
    healthy: SimHarness,
    mutant: Mutant,
}

#[async_trait::async_trait]
impl Harness for Infected {
    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        Ok(self.mutant.infect_provider(self.healthy.provider().await?, self.healthy.world()))
    }

    fn spec(&self) -> Spec {
        self.healthy.spec()
    }

    fn public_key(&self) -> String {
        self.healthy.public_key()
    }

    fn clock(&self) -> Arc<dyn lease_core::Clock> {
        self.healthy.clock()
    }

    async fn plant_look_alike(&self, kind: &str, name: &ResourceName) -> Result<ResourceId> {
        self.healthy.plant_look_alike(kind, name).await
    }

    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool> {
        self.healthy.look_alike_is_untouched(id).await
    }

    async fn uproot(&self, id: &ResourceId) -> Result<()> {
        self.healthy.uproot(id).await
    }

    async fn break_next_listing(&self) -> Result<()> {
        self.healthy.break_next_listing().await
    }
}

#[tokio::test(start_paused = true)]
async fn each_bug_of_a_provider_breaks_its_sentence() {
    let mut seen = 0;
    for mutant in Mutant::ALL {
        let Some(sentence) = mutant.breaks() else { continue };
        let harness = Infected { healthy: SimHarness::new(mutant.scenario().flavor()), mutant };
        let verdicts = run_all(&harness).await;
        let verdict = verdicts.iter().find(|it| it.sentence == sentence).unwrap();
        assert!(verdict.result.is_err(), "{mutant} is not noticed by {sentence}: {verdicts:#?}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_disk_leak_nothing_on_real_files() {
    let base = replay_on_files(&[]).await;
    assert_eq!(base.complaint(), None);
    let on_disk = |it: &Point| {
        matches!(it, Point::Open | Point::Append | Point::Archive | Point::Lock | Point::Load)
    };
    let mut runs = 0;
    for (at, passed) in base.trace.iter().enumerate().filter(|(_, it)| on_disk(&it.point)) {
        for fault in Fault::ALL.into_iter().filter(|it| it.applies_at(*passed)) {
            let run = replay_on_files(&[Planned { at, fault }]).await;
            assert_eq!(run.complaint(), None, "{fault} at point {at} ({})", passed.point);
            runs += 1;
        }
    }
    assert!(runs > 100, "only {runs} runs");
}

async fn replay_on_files(planned: &[Planned]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(FsStore::open(dir.path()).unwrap());
    replay_over(store, Some(dir.path().join("leases")), Scenario::Release, planned).await
}
