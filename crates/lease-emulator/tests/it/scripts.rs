//! Each fault of a script, over a cloud that counts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use lease_emulator::script::Stage::{AfterEffect, BeforeEffect};
use lease_emulator::script::{Fault, Matching, Moment, Plan, Scripted, Stage, Times, Told, json};
use lease_emulator::{Cloud as _, Served};
use serde_json::json;

use crate::asking::{Counter, answered, request, value};

fn scripted() -> Scripted<Counter> {
    Scripted::new(Arc::new(Counter::default()))
}

/// What is seen of an answer.
fn told(served: &Served) -> String {
    match served {
        Served::Answer(response) => response.status().as_str().to_owned(),
        Served::Truncated(response, bytes) => {
            assert!(*bytes > 0 && *bytes < response.body().len(), "{bytes}");
            "truncated".to_owned()
        }
        Served::Dropped => "dropped".to_owned(),
        Served::Hung => "hung".to_owned(),
    }
}

#[track_caller]
fn is_html(served: Served) {
    let response = answered(served);
    assert_eq!(response.headers()["content-type"], "text/html");
    assert!(response.body().starts_with(b"<html>"));
}

#[tokio::test]
async fn each_fault_has_its_effect_and_its_answer() {
    let refused = json(StatusCode::LOCKED, &json!({ "why": "locked" }));
    let cases = [
        (Fault::RefusedBefore(refused), 0, "423"),
        (Fault::LostBefore, 0, "dropped"),
        (Fault::LostAfter, 1, "dropped"),
        (Fault::ErrorAfter(StatusCode::BAD_GATEWAY), 1, "502"),
        (Fault::TruncatedAfter, 1, "truncated"),
        (Fault::GarbledAfter, 1, "200"),
        (Fault::HangBefore, 0, "hung"),
        (Fault::HangAfter, 1, "hung"),
        (Fault::Twice, 2, "200"),
        (Fault::RateLimited(Duration::from_secs(7)), 0, "429"),
        (Fault::Unavailable, 0, "503"),
    ];
    for (fault, effects, answer) in cases {
        let cloud = scripted();
        let plan = cloud.plan(Plan::at(0, fault.clone()));
        let served = cloud.serve(request(Method::POST, "/things", "{}")).await;
        assert_eq!(
            (cloud.inner().effects(), told(&served).as_str()),
            (effects, answer),
            "{fault:?}"
        );
        assert_eq!(cloud.fired(plan), 1, "{fault:?}");
        let next = cloud.serve(request(Method::POST, "/things", "{}")).await;
        assert_eq!(
            (cloud.inner().effects(), told(&next).as_str()),
            (effects + 1, "200"),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn errors_after_the_effect_are_pages_for_people_and_garbled_answers_are_not_json() {
    let cloud = scripted();
    cloud.plan(Plan::at(0, Fault::ErrorAfter(StatusCode::GATEWAY_TIMEOUT)));
    cloud.plan(Plan::at(1, Fault::Unavailable));
    cloud.plan(Plan::at(2, Fault::GarbledAfter));
    is_html(cloud.serve(request(Method::GET, "/", "")).await);
    is_html(cloud.serve(request(Method::GET, "/", "")).await);
    let garbled = answered(cloud.serve(request(Method::GET, "/", "")).await);
    assert_eq!(garbled.headers()["content-type"], "application/json");
    assert!(serde_json::from_slice::<serde_json::Value>(garbled.body()).is_err());
}

#[tokio::test]
async fn of_two_deliveries_the_second_is_answered() {
    let cloud = scripted();
    cloud.plan(Plan::at(0, Fault::Twice));
    let answer = answered(cloud.serve(request(Method::POST, "/things", "{}")).await);
    assert_eq!(value(&answer)["count"], 2);
}

#[tokio::test]
async fn a_rate_limit_says_when_it_ends() {
    let cloud = scripted();
    cloud.plan(Plan::at(0, Fault::RateLimited(Duration::from_secs(7))));
    let answer = answered(cloud.serve(request(Method::GET, "/", "")).await);
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!(answer.headers()["ratelimit-reset"], "7");
    assert_eq!(answer.headers()["ratelimit-remaining"], "0");
}

#[tokio::test(start_paused = true)]
async fn what_lands_late_has_its_effect_later_and_not_before() {
    for (how, answer) in
        [(Told::Nothing, "dropped"), (Told::Status(StatusCode::GATEWAY_TIMEOUT), "504")]
    {
        let cloud = scripted();
        cloud.plan(Plan::at(0, Fault::Late { by: Duration::from_secs(90), told: how }));
        let served = cloud.serve(request(Method::POST, "/things", "{}")).await;
        assert_eq!(told(&served), answer);
        tokio::time::advance(Duration::from_secs(89)).await;
        tokio::task::yield_now().await;
        assert_eq!(cloud.inner().effects(), 0);
        cloud.settle().await;
        assert_eq!(cloud.inner().effects(), 1);
    }
}

#[tokio::test]
async fn a_plan_counts_only_what_it_matches() {
    let cloud = scripted();
    let matching = Matching::request(Method::POST, "/servers");
    let plan = cloud.plan(Plan::at(1, Fault::LostBefore).on(matching));
    let ask = async |method, path| told(&cloud.serve(request(method, path, "")).await);
    assert_eq!(ask(Method::POST, "/servers?x=1").await, "200");
    assert_eq!(ask(Method::GET, "/servers").await, "200");
    assert_eq!(ask(Method::POST, "/keys").await, "200");
    assert_eq!(cloud.unfired(), [plan]);
    assert_eq!(ask(Method::POST, "/servers/1/actions").await, "dropped");
    assert_eq!(ask(Method::POST, "/servers").await, "200");
    assert!(cloud.unfired().is_empty());
    let trace = cloud.trace();
    let fired: Vec<u64> =
        trace.iter().filter(|it| it.fault.is_some()).map(|it| it.number).collect();
    assert_eq!((trace.len(), fired), (5, vec![3]));
    assert_eq!(trace[0].path, "/servers");
    assert_eq!(trace[3].fault.as_ref().map(|(id, _)| *id), Some(plan));
}

#[tokio::test(start_paused = true)]
async fn an_outage_lasts_for_its_requests_for_its_time_or_until_it_is_cancelled() {
    let cloud = scripted();
    let ask = async || told(&cloud.serve(request(Method::GET, "/", "")).await);
    cloud.plan(Plan::at(1, Fault::Unavailable).times(Times::Count(2)));
    assert_eq!([ask().await, ask().await, ask().await, ask().await], ["200", "503", "503", "200"]);
    cloud.plan(Plan::at(0, Fault::Unavailable).times(Times::For(Duration::from_secs(60))));
    assert_eq!(ask().await, "503");
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(ask().await, "503");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask().await, "200");
    let always = cloud.plan(Plan::at(0, Fault::LostBefore).times(Times::Always));
    assert_eq!([ask().await, ask().await], ["dropped", "dropped"]);
    cloud.cancel(always);
    assert_eq!(ask().await, "200");
}

#[tokio::test]
async fn of_two_plans_whose_turn_it_is_the_first_one_fires() {
    let cloud = scripted();
    let first = cloud.plan(Plan::at(0, Fault::LostBefore));
    let second = cloud.plan(Plan::at(0, Fault::Unavailable));
    assert_eq!(told(&cloud.serve(request(Method::GET, "/", "")).await), "dropped");
    assert_eq!(told(&cloud.serve(request(Method::GET, "/", "")).await), "200");
    assert_eq!((cloud.fired(first), cloud.fired(second)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_hook_sees_each_request_before_and_after_its_effect() {
    let cloud = scripted();
    let seen: Arc<Mutex<Vec<(u64, Stage, usize)>>> = Arc::default();
    let (notes, counter) = (Arc::clone(&seen), Arc::clone(cloud.inner()));
    cloud.hook(Arc::new(move |moment: &Moment| {
        assert_eq!((&moment.method, moment.path.as_str()), (&Method::POST, "/things"));
        notes.lock().unwrap().push((moment.number, moment.stage, counter.effects()));
    }));
    cloud.plan(Plan::at(1, Fault::LostBefore));
    cloud.plan(Plan::at(2, Fault::Twice));
    cloud.plan(Plan::at(3, Fault::Late { by: Duration::from_secs(9), told: Told::Nothing }));
    for _ in 0..4 {
        drop(cloud.serve(request(Method::POST, "/things?page=1", "")).await);
    }
    cloud.settle().await;
    let expect = [
        (0, BeforeEffect, 0),
        (0, AfterEffect, 1),
        (1, BeforeEffect, 1),
        (2, BeforeEffect, 1),
        (2, AfterEffect, 3),
        (3, BeforeEffect, 3),
        (3, AfterEffect, 4),
    ];
    assert_eq!(*seen.lock().unwrap(), expect);
}
