//! Whose account it is, whether it may do anything, and who watches: before any conclusion is drawn.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use lease_core::engine::{Acquire, Left, Outcome};
use lease_core::provider::Verdict;
use lease_core::retry::pause;
use lease_core::watch::Guardian;
use lease_core::{Error, ErrorKind, LeaseId, Provider, Result, Scope, Secret, Spec};
use lease_emulator::Cloud;
use lease_emulator::fal::{KeyScope, MoneyGate, Permission};
use lease_emulator::script::{Fault, Plan};

use crate::bench::{Bench, ELSEWHERE, HOME, KEY};

#[tokio::test(start_paused = true)]
async fn a_404_under_another_account_proves_nothing() {
    let bench = Bench::new();
    let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    bench.cloud.inner().set_key(KEY, ELSEWHERE, KeyScope::Admin);
    for _ in 0..3 {
        let outcome = bench.reap_once(&bench.engine(), claim.lease()).await;
        assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
        pause(Duration::from_secs(3_600)).await;
    }
    assert!(bench.only_made().gone.is_none());
    assert_eq!(bench.sent(&Method::DELETE), 0);
    bench.cloud.inner().set_key(KEY, HOME, KeyScope::Admin);
    bench.reap(claim.lease()).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn another_key_of_the_same_workspace_may_give_back_what_is_known() {
    let bench = Bench::new();
    let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    bench.cloud.inner().revoke(KEY);
    let rotated = || bench.engine_with(|it| it.key = Some(Secret::new(crate::bench::NEW_KEY)));
    bench.reap_by(claim.lease(), rotated).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn a_locked_account_keeps_the_lease_releasing_until_it_is_unlocked() {
    let bench = Bench::new();
    let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    let lock = |reason: Option<&str>| {
        let locked = reason.map(str::to_owned);
        assert!(bench.cloud.inner().change_workspace(HOME, |it| it.locked = locked));
    };
    lock(Some("Exhausted balance"));
    let outcome = bench.reap_once(&bench.engine(), claim.lease()).await;
    let Outcome::Pending(pending) = outcome else { panic!("{outcome:?}") };
    let obstacle = pending.obstacle().unwrap();
    assert_eq!(obstacle.kind, ErrorKind::Denied, "{obstacle:?}");
    assert!(obstacle.message.contains("locked"), "{obstacle:?}");
    assert!(bench.only_made().gone.is_none());
    lock(None);
    bench.reap(claim.lease()).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn the_rule_about_credit_is_explained_and_leaves_nothing_to_search_for() {
    for status in [
        StatusCode::BAD_REQUEST,
        StatusCode::PAYMENT_REQUIRED,
        StatusCode::FORBIDDEN,
        StatusCode::UNPROCESSABLE_ENTITY,
    ] {
        let bench = Bench::with(|it| it.money_gate = MoneyGate::Refuse(status));
        bench.cloud.inner().change_workspace(HOME, |it| it.credit_cents = 10_000);
        let failure = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Refused, "{status}");
        assert!(failure.error.kind().needs_person());
        assert!(failure.error.message().contains("$500"), "{}", failure.error);
        assert_eq!(failure.left, Left::Released, "{status}");
        assert!(bench.cloud.ledger().is_empty());
        assert_eq!(bench.sent(&Method::POST), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_doctor_says_what_would_fail_and_changes_nothing() {
    type Change = fn(&Bench);
    let cases: [(&str, Change, &str, Verdict); 6] = [
        ("all is well", |_| {}, "credit", Verdict::Ok),
        (
            "too little credit",
            |it| assert!(it.cloud.inner().change_workspace(HOME, |it| it.credit_cents = 49_999)),
            "credit",
            Verdict::Problem,
        ),
        (
            "no permission",
            |it| {
                let denied = Permission::Denied;
                assert!(it.cloud.inner().change_workspace(HOME, |it| it.compute = denied));
            },
            "compute",
            Verdict::Problem,
        ),
        ("a revoked key", |it| it.cloud.inner().revoke(KEY), "key", Verdict::Problem),
        (
            "a key for models",
            |it| it.cloud.inner().set_key(KEY, HOME, KeyScope::Api),
            "key",
            Verdict::Problem,
        ),
        ("nobody ends it", |_| {}, "end of leases", Verdict::Warning),
    ];
    for (what, change, name, verdict) in cases {
        let bench = Bench::new();
        change(&bench);
        let checks = bench.provider().doctor().await.unwrap();
        let found = checks.iter().find(|it| it.name == name);
        assert_eq!(found.map(|it| it.verdict), Some(verdict), "{what}: {checks:?}");
        assert_eq!(bench.cloud.trace().len(), bench.sent(&Method::GET), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_never_answers_is_told_in_time_and_once() {
    let bench = Bench::new();
    bench.cloud.plan(Plan::at(0, Fault::HangBefore));
    let provider = bench.provider();
    let asked = tokio::time::timeout(Duration::from_secs(25), provider.doctor());
    let checks = asked.await.unwrap().unwrap();
    assert!(checks.len() == 1 && checks[0].name == "api", "{checks:?}");
    assert!(
        checks[0].detail.contains("did not answer within 14s; check the network"),
        "{checks:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_created_unless_a_reaper_watches() {
    #[derive(Debug)]
    struct Asleep;
    #[async_trait]
    impl Guardian for Asleep {
        async fn ensure(&self, _lease: &LeaseId, _scope: &Scope) -> Result<()> {
            Err(Error::harmless(ErrorKind::Unavailable, "start the reaper", "it does not start"))
        }
    }
    let bench = Bench::new();
    let engine = bench.engine_of(bench.provider(), Some(Arc::new(Asleep)));
    let failure = engine.acquire(Acquire::new(Spec::new("fal"))).await.unwrap_err();
    assert_eq!(failure.left, Left::Nothing);
    assert_eq!(bench.sent(&Method::POST), 0);
}
