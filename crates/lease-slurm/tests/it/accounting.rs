//! A cluster with a database of accounts, in which ended jobs are forgotten soon.

use std::sync::Arc;

use lease_core::engine::Left;
use lease_core::provider::Verdict;
use lease_core::retry::{Bounds, Pace};
use lease_core::{ErrorKind, Provider as _, Spec, Status};

use crate::bench::Bench;
use crate::cluster::{Cluster, PATIENCE};
use crate::ending::until;

/// Section 12, "doctor is ready with nonexistent account" and "never final after the purge even with accounting".
#[tokio::test]
async fn a_lease_works_with_accounting_and_after_the_purge() {
    let cluster = Arc::new(Cluster::start(&["NODES=1", "ACCOUNTING=1", "MIN_JOB_AGE=2"]));
    let nobody =
        Bench::with(Arc::clone(&cluster), |config| config.account = Some("nosuch".to_owned()));
    let failure = nobody.try_acquire(Spec::new("slurm")).await.unwrap_err();
    assert_eq!(
        (failure.error.kind(), failure.left),
        (ErrorKind::Invalid, Left::Released),
        "{failure}"
    );
    let checks = nobody.provider.doctor().await.unwrap();
    let submission = checks.iter().find(|it| it.name == "submission").unwrap();
    assert!(
        submission.verdict == Verdict::Problem && submission.detail.contains("Invalid account"),
        "{submission:?}"
    );
    nobody.assert_clean().await;

    let bench = Bench::with(cluster, |config| config.account = Some("research".to_owned()));
    let claim = bench.acquire().await;
    assert_eq!(bench.run(&claim, "echo $SLURM_JOB_ACCOUNT").await.stdout, b"research\n");
    let number = bench.number(&claim).await;
    bench.cluster.say(&["scancel", &number]).await;
    until!("the job is not forgotten", bench.cluster.state(&number).await.is_empty());
    let status = bench.status(&claim).await;
    let Status::Failed { why } = status else { panic!("{status:?}") };
    assert!(why.contains("Slurm does not know the job"), "{why}");
    bench.release(&claim).await;
    bench.assert_clean().await;
}
