//! Slurm's commands on a login node, and nodes that are reached through it: a real sshd on the loopback.

use std::sync::Arc;

use lease_core::engine::Acquire;
use lease_core::provider::Verdict;
use lease_core::retry::{Bounds, Pace};
use lease_core::{Provider as _, Sighting, Spec};

use crate::bench::Bench;
use crate::cluster::login::LoginNode;
use crate::cluster::{Cluster, PATIENCE};
use crate::ending::until;

fn through(cluster: &Arc<Cluster>, login: &LoginNode) -> Bench {
    let host = format!("{}@login", cluster.user());
    let file = login.ssh_config.clone();
    Bench::with(Arc::clone(cluster), |config| {
        config.enter = Vec::new();
        config.login_host = Some(host);
        config.login_ssh_config = Some(file);
    })
}

#[tokio::test]
async fn a_lease_works_through_a_login_node() {
    let cluster = Arc::new(Cluster::start(&["NODES=1"]));
    let login = LoginNode::start(&cluster).await;
    let bench = through(&cluster, &login);
    let checks = bench.provider.doctor().await.unwrap();
    assert!(checks.iter().all(|it| it.verdict != Verdict::Problem), "{checks:?}");
    let claim = bench.acquire().await;
    let reach = claim.usable().unwrap().clone();
    assert!(reach.proxy.contains(&"-W".to_owned()), "{reach:?}");
    let said = bench.run(&claim, "id -un").await;
    // A profile that talks is in front of every answer.
    assert_eq!(String::from_utf8(said.stdout).unwrap().lines().last(), Some(cluster.user()));
    bench.release(&claim).await;
    bench.assert_clean().await;
    login.end().await;
}

#[tokio::test]
async fn a_login_node_that_is_down_proves_nothing() {
    let cluster = Arc::new(Cluster::start(&["NODES=1"]));
    let login = LoginNode::start(&cluster).await;
    let bench = through(&cluster, &login);
    let mut request = Acquire::new(Spec::new("slurm"));
    request.purpose = "it outlives its login node".to_owned();
    let claim = bench.engine.acquire(request).await.unwrap();
    login.end().await;
    let sighting = bench.inspect(&claim).await;
    assert!(matches!(sighting, Sighting::Unclear(_)), "{sighting:?}");
    bench.provider.list().await.unwrap_err();
    let checks = bench.provider.doctor().await.unwrap();
    assert_eq!((checks.len(), checks[0].verdict), (1, Verdict::Problem));
    let number = bench.number(&claim).await;
    bench.cluster.say(&["scancel", &number]).await;
    until!("the job goes on", bench.cluster.state(&number).await == "CANCELLED");
}
