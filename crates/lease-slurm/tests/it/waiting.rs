//! Jobs that wait, jobs that never start, and jobs that fail at once.

use std::time::Duration;

use lease_core::engine::{Acquire, Left};
use lease_core::retry::{Bounds, Pace};
use lease_core::{Spec, Status};

use crate::bench::Bench;
use crate::cluster::{Cluster, PATIENCE};

/// Section 12, "pending reasons are dropped"; and a pending job that is released before it starts.
#[tokio::test]
async fn a_pending_job_says_why_and_is_released_before_it_starts() {
    let bench = Bench::with(Cluster::shared(), |config| {
        config.sbatch_args = vec!["--begin=now+1hour".to_owned()];
    });
    let mut request = Acquire::new(Spec::new("slurm"));
    request.keep_on_failure = true;
    // It is given up while it waits, as by a client that is killed.
    let given_up =
        tokio::time::timeout(Duration::from_secs(3), bench.engine.acquire(request)).await;
    assert!(given_up.is_err(), "{given_up:?}");
    let (_, claim) = bench.only_claim().await;
    let status = bench.status(&claim).await;
    let Status::Starting { waiting_for: Some(why) } = status else { panic!("{status:?}") };
    assert!(why.contains("PENDING (BeginTime)"), "{why}");
    bench.release(&claim).await;
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_partition_that_never_runs_fails_at_once_and_withdraws_the_job() {
    for (option, value, reason) in
        [("partition", "closed", "PartitionDown"), ("time", "200000", "(Partition")]
    {
        let bench = Bench::new();
        let mut spec = Spec::new("slurm");
        spec.options.insert(option.to_owned(), value.into());
        let failure = bench.try_acquire(spec).await.unwrap_err();
        assert!(failure.to_string().contains(reason), "{failure}");
        assert_eq!(failure.left, Left::Released);
        bench.assert_clean().await;
    }
}

/// Section 12, "never final without accounting": a box that gives up is not waited for until a timeout.
#[tokio::test]
async fn a_box_that_fails_at_once_is_not_waited_for() {
    let bench =
        Bench::with(Cluster::shared(), |config| config.sshd = Some("/bin/false".to_owned()));
    let failure = bench.try_acquire(Spec::new("slurm")).await.unwrap_err();
    assert!(failure.to_string().contains("sshd does not start on"), "{failure}");
    assert_eq!(failure.left, Left::Released);
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_refused_submission_leaves_nothing() {
    let bench = Bench::with(Cluster::shared(), |config| config.memory_mib = Some(1 << 40));
    let failure = bench.try_acquire(Spec::new("slurm")).await.unwrap_err();
    assert!(failure.to_string().contains("Memory specification can not be satisfied"), "{failure}");
    bench.assert_clean().await;
}

/// Words that are not known to be a refusal prove nothing, so the job is searched for; then they are told.
#[tokio::test]
async fn an_answer_of_sbatch_that_is_not_understood_is_told() {
    let bench = Bench::with(Cluster::shared(), |config| {
        config.sbatch_args = vec!["--clusters=elsewhere".to_owned()];
        config.landing = Duration::from_secs(2);
    });
    let failure = bench.try_acquire(Spec::new("slurm")).await.unwrap_err();
    assert!(failure.to_string().contains("sbatch said: "), "{failure}");
    assert!(failure.to_string().contains("'elsewhere' can't be reached now"), "{failure}");
    assert_eq!(failure.left, Left::Released);
    bench.assert_clean().await;
}

/// Section 12, "a dead lease is ready".
#[tokio::test]
async fn a_job_that_was_cancelled_from_outside_is_not_called_ready() {
    let bench = Bench::new();
    let claim = bench.acquire().await;
    let number = bench.number(&claim).await;
    bench.cluster.say(&["scancel", &number]).await;
    let mut pace = Pace::start(Bounds::within(PATIENCE));
    loop {
        match bench.status(&claim).await {
            Status::Failed { why } if why.contains("CANCELLED") => break,
            // The script's own last words can be read before the controller lists the job as cancelled.
            Status::Failed { why } => assert!(why.contains("Received signal 15"), "{why}"),
            Status::Running => {}
            Status::Stopping | Status::Starting { .. } => {}
        }
        assert!(pace.wait(None).await, "it is still called running");
    }
    bench.release(&claim).await;
    bench.assert_clean().await;
}
