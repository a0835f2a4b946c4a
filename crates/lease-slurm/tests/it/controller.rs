//! A controller that is stopped, hangs or is killed, and munge that is down: nothing is called gone, nothing is forgotten.

use std::sync::Arc;
use std::time::Duration;

use lease_core::engine::Outcome;
use lease_core::journal::Change;
use lease_core::retry::{Bounds, Pace};
use lease_core::{Effect, Provider as _, Sighting};

use crate::bench::Bench;
use crate::cluster::{Cluster, PATIENCE};
use crate::ending::until;
use crate::identity::{destroy, intend, note};

/// Everything that is asked while the cluster cannot answer.
async fn check_nothing_is_claimed(bench: &Bench, claim: &lease_core::Claim, trouble: &str) {
    let sighting = bench.inspect(claim).await;
    assert!(matches!(sighting, Sighting::Unclear(_)), "{trouble}: {sighting:?}");
    let listed = bench.provider.list().await;
    assert!(listed.is_err(), "{trouble}: {listed:?}");
    let scope = bench.provider.scope().await;
    assert!(scope.is_err(), "{trouble}: {scope:?}");
}

#[tokio::test]
async fn a_controller_that_cannot_answer_proves_nothing() {
    let cluster = Arc::new(Cluster::start(&["NODES=1", "MESSAGE_TIMEOUT=2"]));
    let bench = Bench::with(cluster, |config| config.command_deadline = Duration::from_secs(6));
    let claim = bench.acquire().await;
    for (harm, cure) in [
        ("stop slurmctld", "start slurmctld"),
        ("kill slurmctld", "start slurmctld"),
        ("hang slurmctld", "wake slurmctld"),
        ("stop munged", "start munged"),
    ] {
        bench.cluster.order(harm);
        check_nothing_is_claimed(&bench, &claim, harm).await;
        bench.cluster.order(cure);
        // The box never noticed.
        until!(
            "the controller does not come back",
            matches!(bench.inspect(&claim).await, Sighting::Found(_))
        );
        assert_eq!(bench.run(&claim, "echo in").await.stdout, b"in\n");
    }
    bench.release(&claim).await;
    bench.assert_clean().await;
}

/// Section 12, "D": sbatch gives up on a hung controller, which carries the submission out when it wakes.
#[tokio::test]
async fn a_submission_to_a_hung_controller_is_not_forgotten() {
    let bench = Bench::with(Arc::new(Cluster::start(&["NODES=1", "MESSAGE_TIMEOUT=2"])), |_| {});
    let mut writer = intend(&bench).await;
    let intent = writer.send(0).await.unwrap();
    bench.cluster.order("hang slurmctld");
    let error = bench.provider.create(&intent).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    note(&mut writer, Change::Lost { message: error.to_string() }).await;
    let sighting = bench.provider.find(&intent).await.unwrap();
    assert!(matches!(sighting, Sighting::Unclear(_)), "{sighting:?}");
    bench.cluster.order("wake slurmctld");
    let name = format!("--name={}", intent.name());
    until!(
        "it does not land",
        !bench.cluster.say(&["squeue", "-h", "-t", "all", &name]).await.is_empty()
    );
    let Sighting::Found(found) = bench.provider.find(&intent).await.unwrap() else {
        panic!("nothing is found")
    };
    note(&mut writer, Change::Found { id: found.id }).await;
    destroy(&bench, &mut writer).await.unwrap();
    assert_eq!(bench.cluster.say(&["squeue", "-h", &name]).await, "");
    bench.assert_clean().await;
}

/// A release that cannot be proven stays one, and goes on where it stopped.
#[tokio::test]
async fn a_release_without_a_controller_keeps_the_lease() {
    let bench = Bench::with(Arc::new(Cluster::start(&["NODES=1", "MESSAGE_TIMEOUT=2"])), |_| {})
        .impatient();
    let claim = bench.acquire().await;
    let number = bench.number(&claim).await;
    bench.cluster.order("stop slurmctld");
    let outcome = bench.try_release(&claim).await;
    assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    bench.cluster.order("start slurmctld");
    until!("it is not released", matches!(bench.try_release(&claim).await, Outcome::Released));
    until!("the job goes on", bench.cluster.state(&number).await != "RUNNING");
    bench.assert_clean().await;
}
