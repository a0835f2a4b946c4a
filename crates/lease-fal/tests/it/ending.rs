//! The end of an instance: proven, not believed.

use std::time::Duration;

use http::{Method, StatusCode};
use lease_core::engine::{Acquire, Left, Outcome, Step, plan};
use lease_core::retry::pause;
use lease_core::{Clock as _, Provider, Sighting, Spec};
use lease_emulator::fal::{DeleteAgain, Walk};
use lease_emulator::script::{Fault, Matching, Plan, Times};

use crate::bench::{Bench, INSTANCES};

#[tokio::test(start_paused = true)]
async fn a_delete_that_lingers_is_not_called_the_end_before_it_is() {
    for again in [DeleteAgain::NotFound, DeleteAgain::NoContent] {
        let bench = Bench::with(|it| {
            it.delete_linger = Duration::from_secs(600);
            it.delete_again = again;
        });
        let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
        let id = claim.resources()[0].id().unwrap().clone();
        let outcome = bench.reap_once(&bench.engine(), claim.lease()).await;
        assert!(matches!(outcome, Outcome::Pending(_)), "{again:?}: {outcome:?}");
        assert!(matches!(bench.provider().inspect(&id).await.unwrap(), Sighting::Found(_)));
        bench.reap(claim.lease()).await;
        assert!(matches!(bench.provider().inspect(&id).await.unwrap(), Sighting::Absent));
        bench.check_one_made_and_gone();
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_answer_is_lost_is_repeated_until_the_instance_is_gone() {
    for fault in [
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::ErrorAfter(StatusCode::BAD_GATEWAY),
        Fault::HangBefore,
        Fault::Unavailable,
        Fault::RateLimited(Duration::from_secs(20)),
    ] {
        let bench = Bench::new();
        let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
        let delete = Matching::request(Method::DELETE, INSTANCES);
        let planned = bench.cloud.plan(Plan::at(0, fault.clone()).on(delete));
        bench.reap(claim.lease()).await;
        assert_eq!(bench.cloud.fired(planned), 1, "{fault:?}");
        bench.check_one_made_and_gone();
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_releasing_is_outlasted() {
    let bench = Bench::new();
    let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    let outage = Plan::at(0, Fault::Unavailable).times(Times::For(Duration::from_secs(900)));
    bench.cloud.plan(outage);
    let outcome = bench.reap_once(&bench.engine(), claim.lease()).await;
    assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    bench.reap(claim.lease()).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn a_404_that_is_not_of_fal_is_no_absence() {
    let bench = Bench::new();
    let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    let id = claim.resources()[0].id().unwrap().clone();
    let page = lease_emulator::script::page(StatusCode::NOT_FOUND);
    let look = Matching::request(Method::GET, format!("{INSTANCES}/{id}"));
    bench.cloud.plan(Plan::at(0, Fault::RefusedBefore(page)).on(look));
    assert!(bench.provider().inspect(&id).await.is_err());
    bench.reap(claim.lease()).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_will_never_run_is_given_back() {
    let bench = Bench::with(|it| it.walk = Walk::to("stopped", Duration::from_secs(100)));
    let failure = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap_err();
    assert!(failure.error.message().contains("stopped"), "{}", failure.error);
    assert_eq!(failure.left, Left::Released);
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn a_status_that_fal_adds_later_is_waited_out() {
    let bench = Bench::with(|it| {
        it.walk = Walk(vec![
            (Duration::ZERO, "hibernating".to_owned()),
            (Duration::from_secs(100), "unknown".to_owned()),
            (Duration::from_secs(200), "ready".to_owned()),
        ]);
        it.ip_lag = Duration::from_secs(30);
    });
    let claim = bench.engine().acquire(Acquire::new(Spec::new("fal"))).await.unwrap();
    bench.reap(claim.lease()).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_shows_late_is_not_called_absent() {
    let bench = Bench::with(|it| {
        it.get_lag = Duration::from_secs(20);
        it.list_lag = Duration::from_secs(25);
    });
    let lease = bench.die_after_create().await;
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_after_a_failed_acquire_is_shown_and_ends_when_a_person_says_so() {
    let bench = Bench::with(|it| it.walk = Walk::to("pending", Duration::from_secs(100)));
    let mut request = Acquire::new(Spec::new("fal"));
    request.keep_on_failure = true;
    let failure = bench.engine().acquire(request).await.unwrap_err();
    assert_eq!(failure.left, Left::Kept);
    let lease = failure.lease.unwrap();
    let view = bench.engine().observe(None).await.unwrap();
    let steps = plan(&view, bench.clock.now());
    let kept = |it: &Step| matches!(it, Step::Leave { lease: left, .. } if *left == lease);
    assert!(steps.iter().any(kept), "{steps:?}");
    assert!(bench.only_made().gone.is_none());
    bench.reap(&lease).await;
    bench.check_one_made_and_gone();
}

#[tokio::test(start_paused = true)]
async fn a_reaper_ends_what_is_due_though_another_lease_is_in_trouble() {
    let bench = Bench::new();
    let mut claims = Vec::new();
    for _ in 0..3 {
        let mut request = Acquire::new(Spec::new("fal"));
        request.total = Some(Duration::from_secs(3_600));
        claims.push(bench.engine().acquire(request).await.unwrap());
    }
    let troubled = claims[0].resources()[0].id().unwrap().to_string();
    let refusal = lease_emulator::script::json(StatusCode::FORBIDDEN, &serde_json::json!({}));
    let its_delete = Matching::request(Method::DELETE, format!("{INSTANCES}/{troubled}"));
    let refused = Plan::at(0, Fault::RefusedBefore(refusal)).on(its_delete).times(Times::Always);
    let trouble = bench.cloud.plan(refused);
    pause(Duration::from_secs(3_600)).await;
    // Whoever leased them is gone; what sees to them is another process with the same records.
    let reaper = bench.engine();
    let view = reaper.observe(None).await.unwrap();
    let report = reaper.execute(&plan(&view, bench.clock.now())).await;
    assert_eq!(report.done.len(), 3, "{report:?}");
    let alive = bench.made().into_iter().filter(|it| it.gone.is_none());
    assert_eq!(alive.map(|it| it.id).collect::<Vec<_>>(), [troubled]);
    bench.cloud.cancel(trouble);
    bench.reap(claims[0].lease()).await;
}
