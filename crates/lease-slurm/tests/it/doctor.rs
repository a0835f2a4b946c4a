//! What `doctor` finds before a job exists.

use std::sync::Arc;

use lease_core::Provider as _;
use lease_core::provider::Verdict;
use lease_core::retry::{Bounds, Pace};

use crate::bench::Bench;
use crate::cluster::{Cluster, PATIENCE};
use crate::ending::until;

async fn verdict(bench: &Bench, name: &str) -> (Verdict, String) {
    let checks = bench.provider.doctor().await.unwrap();
    let check = checks.iter().find(|it| it.name == name);
    let check = check.unwrap_or_else(|| panic!("no {name} in {checks:?}"));
    (check.verdict, check.detail.clone())
}

#[tokio::test]
async fn a_good_cluster_has_no_problem() {
    let bench = Bench::new();
    let checks = bench.provider.doctor().await.unwrap();
    let problems: Vec<_> = checks.iter().filter(|it| it.verdict == Verdict::Problem).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let names: Vec<_> = checks.iter().map(|it| it.name.as_str()).collect();
    for name in [
        "commands",
        "programs",
        "controller",
        "version",
        "KillWait",
        "PrivateData",
        "ProctrackType",
        "partition",
        "submission",
        "shared directory",
        "containment",
        "route",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
}

/// Section 12, "doctor is ready with nonexistent partition".
#[tokio::test]
async fn a_partition_that_is_not_there_or_not_up_is_a_problem() {
    for (partition, word) in [("nosuch", "there is no partition nosuch"), ("closed", "is not up")] {
        let bench =
            Bench::with(Cluster::shared(), |config| config.partition = Some(partition.to_owned()));
        let (verdict, detail) = verdict(&bench, "partition").await;
        assert!(verdict == Verdict::Problem && detail.contains(word), "{detail}");
    }
}

/// Section 12, "doctor is ready with slurmctld down".
#[tokio::test]
async fn a_controller_that_is_down_is_a_problem() {
    let bench = Bench::with(Arc::new(Cluster::start(&["NODES=1", "MESSAGE_TIMEOUT=2"])), |_| {});
    bench.cluster.order("stop slurmctld");
    let checks = bench.provider.doctor().await.unwrap();
    let problems: Vec<_> = checks.iter().filter(|it| it.verdict == Verdict::Problem).collect();
    assert!(problems.len() == 1 && problems[0].name == "controller", "told once: {checks:?}");
    assert!(problems[0].detail.ends_with("; run: scontrol ping"), "{problems:?}");
    bench.cluster.order("start slurmctld");
    until!("it is not found up", verdict(&bench, "controller").await.0 == Verdict::Ok);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let bench =
        Bench::with(Cluster::shared(), |config| config.shared_dir = "/nowhere/at/all".to_owned());
    let (verdict_of, detail) = verdict(&bench, "shared directory").await;
    assert!(verdict_of == Verdict::Problem && detail.contains("/nowhere/at/all"), "{detail}");
    let bench = Bench::with(Arc::clone(&bench.cluster), |config| {
        config.sbatch_args = vec!["--no-such-option".to_owned()];
    });
    assert_eq!(verdict(&bench, "submission").await.0, Verdict::Problem);
    let bench = Bench::with(Arc::clone(&bench.cluster), |config| {
        config.enter.push("/nowhere/program".to_owned());
    });
    assert_eq!(verdict(&bench, "commands").await.0, Verdict::Problem);
}
