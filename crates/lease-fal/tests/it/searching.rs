//! Creates that no repetition can settle: the instances that were not there before, and the one that takes our key.

use std::time::Duration;

use http::{Method, StatusCode};
use lease_core::engine::{Acquire, Left, Outcome};
use lease_core::journal::Change;
use lease_core::retry::pause;
use lease_core::{ErrorKind, Provider, Sighting, Spec};
use lease_emulator::Cloud;
use lease_emulator::fal::{Cached, CreateAnomaly, Walk};
use lease_emulator::script::{Fault, Stage};
use lease_fal::FalConfig;

use crate::bench::Bench;

const WINDOW_OVER: Duration = Duration::from_secs(10 * 60);

#[tokio::test(start_paused = true)]
async fn after_the_window_the_instance_is_found_by_its_login_and_only_then_destroyed() {
    let bench = Bench::new();
    let lease = bench.die_after_create().await;
    let foreign = bench.plant();
    pause(WINDOW_OVER).await;
    assert_eq!(bench.sent(&Method::DELETE), 0);
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
    bench.check_untouched(&foreign);
    assert_eq!(bench.sent(&Method::POST), 1);
    let changes = bench.changes(&lease);
    let recognised = changes.iter().position(|it| matches!(it, Change::Recognised { .. }));
    let destroyed = changes.iter().position(|it| matches!(it, Change::DestroySent));
    assert!(recognised.unwrap() < destroyed.unwrap(), "{changes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_instance_that_appeared_meanwhile_is_neither_adopted_nor_deleted() {
    let bench = Bench::new();
    bench.spoil_create(Fault::HangBefore);
    let lease = bench.die_at(&bench.engine(), Stage::BeforeEffect).await;
    let foreign = bench.plant();
    pause(WINDOW_OVER).await;
    bench.reap(&lease).await;
    assert!(bench.made().is_empty());
    bench.check_untouched(&foreign);
    assert_eq!(bench.sent(&Method::DELETE), 0);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_instance_that_cannot_be_asked_keeps_the_lease_from_being_called_released() {
    let bench = Bench::new();
    bench.spoil_create(Fault::HangBefore);
    let lease = bench.die_at(&bench.engine(), Stage::BeforeEffect).await;
    // It is ready, and nothing answers at its address.
    let silent = bench.cloud.inner().plant(crate::bench::HOME, crate::bench::STRANGERS_KEY);
    pause(Duration::from_secs(3_600)).await;
    for _ in 0..3 {
        let outcome = bench.reap_once(&bench.engine(), &lease).await;
        assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    }
    bench.check_untouched(&silent);
    bench.cloud.inner().end(&silent).await;
    bench.reap(&lease).await;
}

#[tokio::test(start_paused = true)]
async fn what_existed_before_the_create_is_not_even_asked() {
    let bench = Bench::new();
    let before = bench.plant();
    let lease = bench.die_after_create().await;
    pause(WINDOW_OVER).await;
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
    bench.check_untouched(&before);
    let host = bench.lan.host_of(&before);
    assert!(bench.lan.logins().iter().all(|it| it.host != host));
}

#[tokio::test(start_paused = true)]
async fn the_instance_of_another_live_lease_is_not_even_asked() {
    let bench = Bench::new();
    let lost = bench.die_after_create().await;
    bench.cloud.hook(std::sync::Arc::new(|_| {}));
    let other = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    let host = bench.lan.host_of(other.resources()[0].id().unwrap().as_str());
    pause(WINDOW_OVER).await;
    let outcome = bench.reap_once(&bench.engine(), &lost).await;
    assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    assert!(bench.lan.logins().iter().all(|it| it.host != host || it.lease != lost));
    bench.reap(other.lease()).await;
    assert!(bench.made().iter().all(|it| it.gone.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_remembered_failure_makes_repetitions_useless_and_the_login_still_finds_the_instance() {
    for anomaly in [
        CreateAnomaly::FailsAfter(StatusCode::INTERNAL_SERVER_ERROR),
        CreateAnomaly::FailsAfter(StatusCode::SERVICE_UNAVAILABLE),
        CreateAnomaly::EmptyId,
    ] {
        let bench = Bench::with(|it| it.idempotency.cached = Cached::SuccessesAndServerErrors);
        bench.cloud.inner().add_anomaly(anomaly);
        // The machine boots while it is searched for, and is then the lease's like any other.
        let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
        assert!(claim.usable().is_some(), "{anomaly:?}");
        bench.reap(claim.lease()).await;
        assert_eq!(bench.sent(&Method::DELETE), 1, "{anomaly:?}");
        bench.check_one_made_and_gone();
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_name_that_was_configured_since_or_wrongly_does_not_hide_our_instance() {
    type Change = fn(&mut FalConfig);
    let documented: Change = |_| {};
    let odd: Change = |it| (it.user, it.port) = ("debian".to_owned(), 2200);
    let wrong: Change = |it| (it.user, it.port) = ("root".to_owned(), 2222);
    let cases = [
        ("wrongly since", None, documented, wrong),
        ("wrongly from the beginning", None, wrong, wrong),
        ("otherwise since", Some(("debian", 2200)), odd, wrong),
        ("rightly since", Some(("debian", 2200)), wrong, odd),
    ];
    for (what, door, then, now) in cases {
        let bench = Bench::new();
        if let Some((user, port)) = door {
            bench.lan.move_door(user, port);
        }
        let lease = bench.die_after_create_by(&bench.engine_with(then)).await;
        pause(WINDOW_OVER).await;
        bench.reap_by(&lease, || bench.engine_with(now)).await;
        assert!(bench.only_made().gone.is_some(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_takes_long_to_boot_is_waited_for() {
    let bench = Bench::with(|it| it.walk = Walk::to("ready", Duration::from_secs(30 * 60)));
    let lease = bench.die_after_create().await;
    pause(WINDOW_OVER).await;
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_answers_before_it_has_its_keys_is_asked_again() {
    let bench = Bench::new();
    bench.lan.delay_keys(Duration::from_secs(60));
    bench.spoil_create(Fault::LostAfter);
    let never_again = || bench.engine_with(|it| it.replay_window = Duration::ZERO);
    let claim = never_again().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    assert_eq!(claim.resources()[0].id().unwrap().as_str(), bench.only_made().id);
    bench.reap(claim.lease()).await;
    bench.check_one_made_and_gone();
    // Somebody whose machine it is not is not asked all the time.
    assert!(bench.lan.logins().len() < 20, "{} logins", bench.lan.logins().len());
    // The same where nobody wants it any more, and the machine takes longer than any visit of a reaper.
    let bench = Bench::new();
    bench.lan.delay_keys(Duration::from_secs(20 * 60));
    let lease = bench.die_after_create().await;
    pause(WINDOW_OVER).await;
    let outcome = bench.reap_once(&bench.engine(), &lease).await;
    assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn a_login_at_an_address_that_two_instances_show_proves_neither() {
    let bench = Bench::with(|it| it.delete_linger = Duration::from_secs(20 * 60));
    let lease = bench.die_after_create().await;
    bench.lan.reuse_last_address();
    // An instance that is gone and still listed, with the address that ours has now.
    let stale = bench.cloud.inner().plant(crate::bench::HOME, crate::bench::STRANGERS_KEY);
    bench.cloud.inner().end(&stale).await;
    pause(WINDOW_OVER).await;
    let outcome = bench.reap_once(&bench.engine(), &lease).await;
    let Outcome::Pending(pending) = outcome else { panic!("{outcome:?}") };
    assert!(format!("{pending:?}").contains("no other instance shows"), "{pending:?}");
    assert_eq!((bench.sent(&Method::DELETE), bench.lan.logins().len()), (0, 0));
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
    let stale = format!("{}/{stale}", crate::bench::INSTANCES);
    let deleted =
        |it: &lease_emulator::script::Traced| it.method == Method::DELETE && it.path == stale;
    assert!(!bench.cloud.trace().iter().any(deleted));
}

#[tokio::test(start_paused = true)]
async fn a_create_that_never_took_effect_is_proven_absent_and_not_before_it_could_have_landed() {
    let bench = Bench::new();
    bench.spoil_create(Fault::LostBefore);
    let never_again = || bench.engine_with(|it| it.replay_window = Duration::ZERO);
    let failure = never_again().acquire(Acquire::new(Spec::new("fal"))).await.unwrap_err();
    assert_eq!(failure.left, Left::MayExist, "it may still land");
    let lease = failure.lease.unwrap();
    bench.reap_by(&lease, never_again).await;
    assert!(bench.made().is_empty());
    assert!(matches!(bench.changes(&lease).last(), Some(Change::ProvenAbsent(_))));
}

#[tokio::test(start_paused = true)]
async fn an_instance_of_another_type_is_no_suspect() {
    let bench = Bench::new();
    let provider = bench.provider();
    let ours = bench.intent(&provider).await;
    let mut eight = Spec::new("fal");
    eight.class = Some("gpu8".to_owned());
    let request = provider.plan(&eight).await.unwrap()[0].resources[0].request.clone();
    let scope = provider.scope().await.unwrap();
    let mut other = bench.intend_request(scope, request).await;
    provider.create(&other.send(0).await.unwrap()).await.unwrap();
    let sighting = provider.find(&ours).await.unwrap();
    assert!(matches!(sighting, Sighting::Absent), "{sighting:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_without_what_existed_before_is_unclear_and_never_absent() {
    let bench = Bench::new();
    let provider = bench.provider();
    let scope = provider.scope().await.unwrap();
    for request in [
        serde_json::json!({"instance_type": "gpu_1x_h100_sxm5", "key": "00"}),
        serde_json::json!({"server_type": "cx22"}),
        serde_json::Value::Null,
    ] {
        let mut writer = bench.intend_request(scope.clone(), request).await;
        let intent = writer.send(0).await.unwrap();
        let Sighting::Unclear(error) = provider.find(&intent).await.unwrap() else {
            panic!("it was told from nothing")
        };
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(provider.create(&intent).await.is_err());
    }
    assert_eq!(bench.sent(&Method::POST), 0);
    assert!(bench.cloud.ledger().is_empty());
}
