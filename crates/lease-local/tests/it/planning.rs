//! What is refused before anything exists, and what `doctor` says.

use std::path::PathBuf;
use std::sync::Arc;

use lease_core::error::Effect;
use lease_core::provider::Verdict;
use lease_core::{Error, ErrorKind, OsEntropy, Provider as _, Spec};
use lease_local::{Contain, LocalConfig, LocalProvider};
use lease_testkit::sim::WallClock;

use crate::bench::{Bench, config_in};

async fn plan(bench: &Bench, change: impl FnOnce(&mut Spec)) -> Result<(), Error> {
    let mut spec = Spec::new("local");
    change(&mut spec);
    bench.provider.plan(&spec).await.map(drop)
}

#[track_caller]
fn check_refused(result: Result<(), Error>, kind: ErrorKind, expect: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{error}");
    assert!(error.to_string().contains(expect), "{error}");
}

#[tokio::test]
async fn wishes_that_this_machine_cannot_fulfil_are_refused() {
    let bench = Bench::new();
    let invalid = ErrorKind::Invalid;
    plan(&bench, |it| it.class = Some("any".to_owned())).await.unwrap();
    check_refused(plan(&bench, |it| it.class = Some("huge".to_owned())).await, invalid, "huge");
    let typed = plan(&bench, |it| it.machine_type = Some("cx22".to_owned())).await;
    check_refused(typed, invalid, "cx22");
    let option = |name: &str, value: serde_json::Value| {
        let name = name.to_owned();
        move |it: &mut Spec| drop(it.options.insert(name, value))
    };
    plan(&bench, option("contain", "scan".into())).await.unwrap();
    check_refused(plan(&bench, option("contain", "jail".into())).await, invalid, "jail");
    check_refused(plan(&bench, option("contain", 7.into())).await, invalid, "7");
    check_refused(plan(&bench, option("color", "red".into())).await, invalid, "color");
    bench.assert_clean();
}

#[tokio::test]
async fn a_machine_that_cannot_is_told_so() {
    let bench = Bench::with(|it| it.sshd = Some("/nowhere/sshd".into()));
    check_refused(plan(&bench, |_| {}).await, ErrorKind::Unsupported, "/nowhere/sshd");
    let bench = Bench::with(|it| it.user = "nobody-of-that-name".to_owned());
    check_refused(plan(&bench, |_| {}).await, ErrorKind::Unsupported, "no user database");
    let bench = Bench::with(|it| it.uid += 1);
    check_refused(plan(&bench, |_| {}).await, ErrorKind::Unsupported, "log in as one user");
}

#[tokio::test]
async fn doctor_says_what_plan_would() {
    let bench = Bench::with(|it| it.contain = Contain::Scan);
    let checks = bench.provider.doctor().await.unwrap();
    let problems: Vec<_> = checks.iter().filter(|it| it.verdict == Verdict::Problem).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let sick = Bench::with(|it| {
        it.sshd = Some("/nowhere/sshd".into());
        it.environment = vec![("PATH".to_owned(), "bin:/usr/bin:/bin".to_owned())];
    });
    let checks = sick.provider.doctor().await.unwrap();
    let verdict = |name: &str| checks.iter().find(|it| it.name == name).unwrap().verdict;
    assert_eq!(verdict("sshd"), Verdict::Problem);
    assert_eq!(verdict("PATH"), Verdict::Warning);
    sick.assert_clean();
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let open = |root: PathBuf| {
        let mut config: LocalConfig = config_in(directory.path());
        config.root = root;
        LocalProvider::open(config, Arc::new(WallClock), Arc::new(OsEntropy)).map(drop)
    };
    check_refused(open(file.join("boxes")), ErrorKind::Storage, "making");
    check_refused(open("boxes".into()), ErrorKind::Invalid, "absolute");
}
