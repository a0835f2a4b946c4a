//! Whole leases with the real program: a command's output and code come back, and nothing is left.

use std::sync::Arc;

use crate::cluster::login::LoginNode;
use crate::cluster::{Cluster, PATIENCE};
use crate::installation::{Deadline, eventually};
use crate::site::Site;

/// Runs a command that reads the tree, says who and where it is, and fails.
fn check_run(site: &Site, user: &str) {
    let script = "cat a.txt; id -un; echo \"$SLURM_JOB_ID\" | grep -c '^[1-9]'; exit 7";
    let ended = site.lease(&["run", "--provider", "slurm", "--", "sh", "-c", script]);
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(said, format!("a\n{user}\n1\n"));
    site.assert_clean();
}

#[test]
fn a_run_on_a_cluster_of_root_as_an_ordinary_user() {
    let cluster = Cluster::shared();
    let mut site = Site::on(Arc::clone(&cluster));
    site.plant();
    check_run(&site, cluster.user());
}

#[test]
fn a_run_on_a_cluster_of_a_plain_user() {
    let cluster = Arc::new(Cluster::of_plain_user(&["NODES=1"]));
    let mut site = Site::on(Arc::clone(&cluster));
    site.plant();
    check_run(&site, cluster.user());
}

fn check_accounting(cluster: Cluster) {
    let cluster = Arc::new(cluster);
    let site = Site::on(Arc::clone(&cluster));
    site.configure("account: research");
    check_run(&site, cluster.user());
    // The books are written a moment after the fact.
    let words = ["sacct", "-X", "-n", "-P", "-S", "now-1hours", "-o", "Account,JobName"];
    let is_booked = || site.slurm(&words).starts_with("research|lse-");
    eventually(Deadline::after(PATIENCE), is_booked)
        .unwrap_or_else(|()| panic!("not in the books"));
    let ended = site.lease(&["run", "--option", "account=nosuch", "--", "true"]);
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("Invalid account"), "{}", ended.stderr);
    site.assert_clean();
}

#[test]
fn a_run_with_accounting() {
    check_accounting(Cluster::start(&["NODES=1", "ACCOUNTING=1"]));
}

#[test]
fn a_run_with_accounting_on_a_cluster_of_a_plain_user() {
    check_accounting(Cluster::of_plain_user(&["NODES=1", "ACCOUNTING=1"]));
}

#[test]
fn a_run_through_a_login_node() {
    let cluster = Arc::new(Cluster::start(&["NODES=1"]));
    let site = Site::away_from(Arc::clone(&cluster));
    let login = site.wait(LoginNode::start(&cluster));
    // Its profile talks wherever a shell is started, in jobs as well.
    let (user, file) = (cluster.user(), &login.ssh_config);
    site.configure(&format!("login_host: {user}@login\nlogin_ssh_config: {file}"));
    let checks = site.json(&["doctor"]);
    let is_problem = |it: &serde_json::Value| it["verdict"] == "problem";
    let checks = checks["checks"].as_array().unwrap();
    assert!(!checks.iter().any(is_problem), "{checks:?}");
    check_run(&site, user);
    site.wait(login.end());
}

#[test]
fn a_lease_that_is_kept_is_used_twice_and_released() {
    let site = Site::on(Cluster::shared());
    let acquired = site.lease(&["acquire", "--slug", "one-oak"]);
    assert_eq!(acquired.code, 0, "{}", acquired.stderr);
    for number in ["1", "2"] {
        let ended = site.lease(&["exec", "one-oak", "--", "sh", "-c", "echo $0", number]);
        assert_eq!((ended.code, ended.stdout), (0, format!("{number}\n").into_bytes()));
    }
    assert_eq!(site.lease(&["release", "one-oak"]).code, 0);
    site.assert_clean();
}
