//! Creates whose answer was lost, within the time for which fal remembers them: the same create learns the id.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use lease_core::descriptor::Replay;
use lease_core::engine::{Acquire, Left};
use lease_core::journal::Change;
use lease_core::retry::pause;
use lease_core::store::LeaseWriter;
use lease_core::{HostKey, Provider, Secret, Sighting, Spec};
use lease_emulator::fal::{
    Concurrent, CreateAnomaly, FalCloud, Idempotency, KeySpace, Mismatch, WindowFrom,
};
use lease_emulator::script::{Fault, Scripted, Stage, Told};
use lease_fal::{DESCRIPTOR, FalConfig, FalProvider};
use lease_http::{Wire, WireError};

use crate::bench::{Bench, ELSEWHERE, HOME, KEY, NEW_KEY};
use crate::wire::InProcess;

/// Nothing is repeated from here on, and fal still remembers it.
const AFTER_THE_WINDOW: Duration = Duration::from_secs(9 * 60 + 1);

/// How long after the first one a repetition is begun.
fn window() -> Duration {
    let Replay::Key { window_ms } = DESCRIPTOR.replay else { panic!("fal has keys") };
    Duration::from_millis(window_ms)
}

/// A wire on which every request hangs until just before its deadline.
#[derive(Debug)]
struct Slow(InProcess<Scripted<FalCloud>>);

#[async_trait]
impl Wire for Slow {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, WireError> {
        let left = Duration::from_millis(10);
        pause(deadline.saturating_sub(left)).await;
        self.0.exchange(request, left).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_the_same_create() {
    for fault in [
        Fault::LostAfter,
        Fault::LostBefore,
        Fault::HangAfter,
        Fault::HangBefore,
        Fault::TruncatedAfter,
        Fault::GarbledAfter,
        Fault::ErrorAfter(StatusCode::INTERNAL_SERVER_ERROR),
        Fault::ErrorAfter(StatusCode::GATEWAY_TIMEOUT),
        Fault::ErrorAfter(StatusCode::CONFLICT),
        Fault::ErrorAfter(StatusCode::REQUEST_TIMEOUT),
        Fault::ErrorAfter(StatusCode::FOUND),
        Fault::Unavailable,
        Fault::Twice,
    ] {
        let bench = Bench::new();
        let plan = bench.spoil_create(fault.clone());
        let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
        assert_eq!(bench.cloud.fired(plan), 1, "{fault:?}");
        let made = bench.only_made();
        assert_eq!(claim.resources()[0].id().unwrap().as_str(), made.id, "{fault:?}");
        bench.reap(claim.lease()).await;
        bench.check_one_made_and_gone();
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_on_the_first_create_is_not_believed_to_mean_that_nothing_exists() {
    let bench = Bench::new();
    bench.spoil_create(Fault::ErrorAfter(StatusCode::TOO_MANY_REQUESTS));
    let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    assert_eq!(claim.resources()[0].id().unwrap().as_str(), bench.only_made().id);
    bench.reap(claim.lease()).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn after_the_death_of_its_process_the_same_create_learns_the_id_while_releasing() {
    let bench = Bench::new();
    let lease = bench.die_after_create().await;
    pause(Duration::from_secs(60)).await;
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
    assert_eq!(bench.sent(&Method::POST), 2);
    assert!(bench.lan.logins().is_empty(), "no login was needed");
    let changes = bench.changes(&lease);
    assert!(changes.iter().any(|it| matches!(it, Change::Resent { .. })), "{changes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_before_its_create_arrives_leaves_a_record_and_at_most_one_instance() {
    let bench = Bench::new();
    bench.spoil_create(Fault::HangBefore);
    let lease = bench.die_at(&bench.engine(), Stage::BeforeEffect).await;
    assert!(bench.made().is_empty());
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn a_create_that_made_nothing_is_given_up_also_by_whoever_comes_after_a_reboot() {
    let bench = Bench::new();
    bench.spoil_create(Fault::HangBefore);
    let lease = bench.die_at(&bench.engine(), Stage::BeforeEffect).await;
    bench.clock.boot_as(Some("boot-2"));
    pause(AFTER_THE_WINDOW).await;
    bench.reap(&lease).await;
    assert!(bench.made().is_empty());
    assert_eq!(bench.sent(&Method::POST), 1);
}

#[tokio::test(start_paused = true)]
async fn a_create_is_never_repeated_after_its_window_on_either_clock() {
    type Move = fn(&Bench);
    let moves: [(&str, Move, Duration); 6] = [
        ("both clocks", |_| {}, AFTER_THE_WINDOW),
        ("just after it", |_| {}, window() + Duration::from_secs(1)),
        ("the wall clock set forward", |it| it.clock.set_by(600), Duration::ZERO),
        ("the wall clock set back", |it| it.clock.set_by(-3_600), AFTER_THE_WINDOW),
        ("another boot", |it| it.clock.boot_as(Some("boot-2")), Duration::ZERO),
        ("no steady clock", |it| it.clock.boot_as(None), Duration::ZERO),
    ];
    for (what, change, wait) in moves {
        let bench = Bench::new();
        let lease = bench.die_after_create().await;
        change(&bench);
        pause(wait).await;
        bench.reap(&lease).await;
        assert_eq!(bench.sent(&Method::POST), 1, "{what}");
        bench.check_one_made_and_gone();
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_repeated_too_late_would_make_a_second_instance_and_is_not() {
    let bench = Bench::new();
    let lease = bench.die_after_create().await;
    let clock = Arc::new(bench.clock.clone());
    let store = Arc::new(bench.store.clone());
    let intent = LeaseWriter::load(store, clock, &lease).await.unwrap().recall(0).unwrap();
    pause(Duration::from_secs(601)).await;
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
    // What the engine did not do: the cloud is one in which it matters.
    bench.provider().create(&intent).await.unwrap();
    assert_eq!(bench.made().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn whichever_way_fal_counts_its_ten_minutes_a_repetition_makes_no_second_instance() {
    for window_from in [WindowFrom::FirstRequest, WindowFrom::FirstAnswer] {
        let bench = Bench::with(|it| {
            it.idempotency = Idempotency { window_from, ..Idempotency::default() };
        });
        let lease = bench.die_after_create().await;
        pause(window().saturating_sub(Duration::from_secs(1))).await;
        bench.reap(&lease).await;
        assert_eq!(bench.sent(&Method::POST), 2, "{window_from:?}");
        bench.check_one_made_and_gone();
    }
}

/// Whether it may still be sent is asked after the account was asked for, so the last that is sent is begun before the end
/// of the window by as much as that takes.
#[tokio::test(start_paused = true)]
async fn a_repetition_whose_requests_hang_until_their_deadlines_still_arrives_in_time() {
    let mut repeated = 0;
    for begun_before in [1, 21, 41].map(Duration::from_secs) {
        let bench = Bench::with(|it| it.idempotency.window_from = WindowFrom::FirstRequest);
        let lease = bench.die_after_create().await;
        pause(window().saturating_sub(begun_before)).await;
        let wire = Arc::new(Slow(InProcess(Arc::clone(&bench.cloud))));
        let slow = FalProvider::open(FalConfig::new(Some(Secret::new(KEY))), wire).unwrap();
        bench.reap_once(&bench.engine_of(slow, None), &lease).await;
        repeated += bench.sent(&Method::POST) - 1;
        bench.reap(&lease).await;
        bench.check_one_made_and_gone();
    }
    assert!(repeated > 0, "nothing was repeated, so this tested nothing");
}

#[tokio::test(start_paused = true)]
async fn a_repetition_has_the_same_bytes_so_that_no_answer_to_other_bytes_is_ever_met() {
    for mismatch in [Mismatch::New, Mismatch::Refuse(StatusCode::UNPROCESSABLE_ENTITY)] {
        let bench = Bench::with(|it| {
            it.idempotency = Idempotency { mismatch, ..Idempotency::default() };
        });
        let lease = bench.die_after_create().await;
        bench.reap(&lease).await;
        assert_eq!(bench.sent(&Method::POST), 2, "{mismatch:?}");
        assert!(bench.lan.logins().is_empty(), "{mismatch:?}: the answer had the id");
        bench.check_one_made_and_gone();
    }
}

#[tokio::test(start_paused = true)]
async fn a_repetition_that_meets_the_first_create_in_flight_makes_no_second_instance() {
    for concurrent in [Concurrent::Block, Concurrent::Conflict] {
        let bench = Bench::with(|it| {
            it.create_takes = Duration::from_secs(80);
            it.idempotency = Idempotency { concurrent, ..Idempotency::default() };
        });
        let engine = bench.engine();
        let lease = bench.die_at(&engine, Stage::BeforeEffect).await;
        bench.reap(&lease).await;
        bench.check_one_made_and_gone();
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_of_the_same_workspace_does_not_repeat_a_create() {
    let bench = Bench::with(|it| it.idempotency.scope = KeySpace::ApiKey);
    let lease = bench.die_after_create().await;
    bench.cloud.inner().revoke(KEY);
    let rotated = || bench.engine_with(|it| it.key = Some(Secret::new(NEW_KEY)));
    bench.reap_by(&lease, rotated).await;
    assert_eq!(bench.sent(&Method::POST), 1);
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn a_create_is_not_repeated_in_another_account() {
    let bench = Bench::new();
    let lease = bench.die_after_create().await;
    let admin = lease_emulator::fal::KeyScope::Admin;
    bench.cloud.inner().set_key(KEY, ELSEWHERE, admin);
    bench.reap_once(&bench.engine(), &lease).await;
    assert_eq!(bench.sent(&Method::POST), 1);
    assert!(bench.only_made().gone.is_none(), "nothing was proven, nothing was deleted");
    bench.cloud.inner().set_key(KEY, HOME, admin);
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn a_create_that_lands_late_is_waited_for_and_then_destroyed() {
    let bench = Bench::new();
    let told = Told::Status(StatusCode::GATEWAY_TIMEOUT);
    bench.spoil_create(Fault::Late { by: Duration::from_secs(15 * 60), told });
    let never_again = || bench.engine_with(|it| it.replay_window = Duration::ZERO);
    let failure = never_again().acquire(Acquire::new(Spec::new("fal"))).await.unwrap_err();
    assert_eq!(failure.left, Left::MayExist);
    bench.reap_by(&failure.lease.unwrap(), never_again).await;
    bench.check_one_made_and_gone();
}

/// Two ways in which a repetition makes a second instance although fal documents that it does not: a failure after the
/// first one was made that is not remembered, and a repetition that does not wait for the first create. The id of one is
/// learnt; the other one is not lost from sight.
#[tokio::test(start_paused = true)]
async fn a_twin_that_a_repetition_made_against_the_promise_is_found_and_given_back_too() {
    let forgetting = Bench::new();
    let failed = CreateAnomaly::FailsAfter(StatusCode::INTERNAL_SERVER_ERROR);
    forgetting.cloud.inner().add_anomaly(failed);
    let hasty = Bench::with(|it| {
        it.create_takes = Duration::from_secs(80);
        it.idempotency.concurrent = Concurrent::Duplicate;
    });
    for bench in [forgetting, hasty] {
        let hurried = bench.engine_with(|it| it.write_deadline = Duration::from_secs(60));
        let claim = match hurried.acquire(Acquire::new(Spec::new("fal"))).await {
            Ok(claim) => claim,
            Err(failure) => bench.claim(&failure.lease.unwrap()).await,
        };
        pause(Duration::from_secs(90)).await;
        assert_eq!(bench.made().len(), 2, "the promise is broken here");
        let (store, clock) = (Arc::new(bench.store.clone()), Arc::new(bench.clock.clone()));
        let writer = LeaseWriter::load(store, clock, claim.lease()).await.unwrap();
        let sighting = bench.provider().find(&writer.recall(0).unwrap()).await.unwrap();
        let Sighting::Suspects(suspects) = sighting else { panic!("{sighting:?}") };
        let suspected: Vec<_> = suspects.iter().map(|it| it.id.as_str().to_owned()).collect();
        let alive = bench.made().into_iter().filter(|it| it.gone.is_none());
        assert!(alive.into_iter().all(|it| suspected.contains(&it.id)), "{suspected:?}");
        bench.reap(claim.lease()).await;
        assert!(bench.made().iter().all(|it| it.gone.is_some()), "{:?}", bench.made());
    }
}

/// A twin that already answers and does not have its keys yet is still the lease's.
#[tokio::test(start_paused = true)]
async fn a_twin_that_refuses_the_key_at_first_is_not_taken_for_a_strangers() {
    let bench = Bench::new();
    bench.lan.delay_keys(Duration::from_secs(20 * 60));
    let failed = CreateAnomaly::FailsAfter(StatusCode::INTERNAL_SERVER_ERROR);
    bench.cloud.inner().add_anomaly(failed);
    let failure = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap_err();
    assert_eq!(bench.made().len(), 2, "there is no twin, so this tests nothing");
    assert_eq!(failure.left, Left::MayExist, "{}", failure.error);
    bench.reap(&failure.lease.unwrap()).await;
    assert!(bench.made().iter().all(|it| it.gone.is_some()), "{:?}", bench.made());
}

#[tokio::test(start_paused = true)]
async fn the_host_key_of_the_first_login_is_pinned_from_then_on() {
    let bench = Bench::new();
    let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    let reach = claim.usable().unwrap();
    assert!(matches!(&reach.host_key, HostKey::Pinned(_)), "{reach:?}");
    bench.reap(claim.lease()).await;
}
