//! What each answer to a create, a look and a delete means, documented or not, and the bytes that were sent for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use lease_core::{Effect, ErrorKind, Provider, Secret, Sighting};
use lease_emulator::script::{Fault, json, page};
use lease_fal::{FalConfig, FalProvider};
use lease_http::{Wire, WireError};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::bench::{Bench, KEY};

/// A wire that answers everything with one thing and remembers what it was sent.
#[derive(Debug)]
struct Parrot {
    answer: Result<Response<Bytes>, WireError>,
    heard: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl Wire for Parrot {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        _deadline: Duration,
    ) -> Result<Response<Bytes>, WireError> {
        self.heard.lock().await.push(request);
        self.answer.clone()
    }
}

fn parrot(answer: Result<Response<Bytes>, WireError>) -> (Arc<Parrot>, FalProvider) {
    let parrot = Arc::new(Parrot { answer, heard: Mutex::default() });
    let config = FalConfig::new(Some(Secret::new(KEY)));
    let wire: Arc<dyn Wire> = Arc::<Parrot>::clone(&parrot);
    (parrot, FalProvider::open(config, wire).unwrap())
}

fn refusal(kind: &str) -> Value {
    json!({"error": {"type": kind, "message": "because", "request_id": "r-1"}})
}

/// What a create is answered with, and what is concluded.
async fn check_create(
    answer: Result<Response<Bytes>, WireError>,
    expected: Result<&str, (ErrorKind, Effect)>,
) {
    let bench = Bench::new();
    let intent = bench.intent(&bench.provider()).await;
    let (_, provider) = parrot(answer.clone());
    let found = provider.create(&intent).await;
    let told = format!("{answer:?}: {found:?}");
    assert!(!told.contains("planted-secret"), "{told}");
    let found = found.map(|it| it.id.to_string()).map_err(|it| (it.kind(), it.effect()));
    assert_eq!(found, expected.map(str::to_owned), "{told}");
}

#[tokio::test]
async fn each_status_of_a_create_has_its_class_and_its_effect() {
    use ErrorKind::{Conflict, Denied, Invalid, NotFound, Protocol, Refused, Timeout, Unavailable};
    let cases = [
        (400, Invalid, Effect::None),
        (401, Denied, Effect::None),
        (402, Refused, Effect::None),
        (403, Denied, Effect::None),
        (404, NotFound, Effect::None),
        (408, Timeout, Effect::Unknown),
        (409, Conflict, Effect::Unknown),
        (418, Protocol, Effect::Unknown),
        (422, Invalid, Effect::None),
        (423, Protocol, Effect::Unknown),
        (425, Unavailable, Effect::Unknown),
        (429, Unavailable, Effect::Unknown),
        (500, Unavailable, Effect::Unknown),
        (501, Unavailable, Effect::Unknown),
        (502, Unavailable, Effect::Unknown),
        (503, Unavailable, Effect::Unknown),
        (504, Timeout, Effect::Unknown),
        (301, Protocol, Effect::Unknown),
        (302, Protocol, Effect::Unknown),
        (307, Protocol, Effect::Unknown),
    ];
    for (status, kind, effect) in cases {
        let status = StatusCode::from_u16(status).unwrap();
        let bodies = [
            json(status, &refusal("server_error")),
            json(status, &json!({"detail": "because"})),
            json(status, &json!({"detail": [{"loc": ["body", "ssh_key"], "msg": "bad"}]})),
        ];
        for answer in bodies {
            check_create(Ok(answer), Err((kind, effect))).await;
        }
        // Who is on the way to fal does not know what fal did, unless nobody was let in.
        let effect = if [401, 403].contains(&status.as_u16()) { effect } else { Effect::Unknown };
        for answer in [page(status), json(status, &json!({})), json(status, &json!("no"))] {
            check_create(Ok(answer), Err((kind, effect))).await;
        }
    }
}

#[tokio::test]
async fn the_id_of_a_201_is_believed_and_nothing_less() {
    let whole = json!({
        "id": "inst_abc123xyz", "instance_type": "gpu_1x_h100_sxm5", "region": "us-west",
        "status": "pending",
    });
    let made = |status, body: &Value| Ok(json(status, body));
    let (created, ok) = (StatusCode::CREATED, StatusCode::OK);
    let unknown = Err((ErrorKind::Protocol, Effect::Unknown));
    check_create(made(created, &whole), Ok("inst_abc123xyz")).await;
    check_create(made(created, &json!({"id": "inst_a"})), Ok("inst_a")).await;
    check_create(made(created, &json!({"id": ""})), unknown).await;
    check_create(made(created, &json!({"id": null})), unknown).await;
    check_create(made(created, &json!({"id": "a b"})), unknown).await;
    check_create(made(created, &json!({"instance": whole})), unknown).await;
    check_create(made(created, &json!([])), unknown).await;
    // No other success is documented; a repetition may be answered with one all the same.
    check_create(made(ok, &whole), Ok("inst_abc123xyz")).await;
    check_create(made(ok, &json!({"id": "inst_a"})), unknown).await;
    check_create(made(StatusCode::NO_CONTENT, &Value::Null), unknown).await;
    check_create(Ok(page(created)), unknown).await;
}

#[tokio::test]
async fn an_id_that_existed_before_is_not_taken_for_the_new_one() {
    let bench = Bench::new();
    let before = bench.plant();
    let intent = bench.intent(&bench.provider()).await;
    let (_, provider) = parrot(Ok(json(StatusCode::CREATED, &json!({ "id": before }))));
    let error = provider.create(&intent).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Protocol, Effect::Unknown), "{error}");
}

#[tokio::test]
async fn a_create_without_an_answer_is_unknown_unless_it_was_never_sent() {
    let lost = WireError::lost("reset");
    check_create(Err(lost.clone()), Err((ErrorKind::Unavailable, Effect::Unknown))).await;
    let late = lost.with_kind(ErrorKind::Timeout);
    check_create(Err(late), Err((ErrorKind::Timeout, Effect::Unknown))).await;
    let not_sent = WireError::not_sent("refused");
    check_create(Err(not_sent), Err((ErrorKind::Unavailable, Effect::None))).await;
}

#[tokio::test]
async fn words_about_money_and_locks_are_recognised_whatever_their_status() {
    let money = json!({"error": {"type": "validation_error", "message":
        "In order to start a compute instance, you have to have at least $500 in your fal credit balance per instance."}});
    let locked =
        json!({"detail": "User is locked. Reason: Exhausted balance. Top up your balance."});
    for status in [400, 402, 403, 422] {
        let status = StatusCode::from_u16(status).unwrap();
        check_create(Ok(json(status, &money)), Err((ErrorKind::Refused, Effect::None))).await;
        check_create(Ok(json(status, &locked)), Err((ErrorKind::Denied, Effect::None))).await;
    }
    for status in [409, 429, 500] {
        let status = StatusCode::from_u16(status).unwrap();
        check_create(Ok(json(status, &money)), Err((ErrorKind::Refused, Effect::Unknown))).await;
    }
}

#[tokio::test]
async fn a_full_house_is_not_guessed_from_words_that_nobody_documented() {
    for status in [400, 403, 422, 503] {
        let bench = Bench::with(|it| it.no_capacity = StatusCode::from_u16(status).ok());
        let intent = bench.intent(&bench.provider()).await;
        let error = bench.provider().create(&intent).await.unwrap_err();
        assert_ne!(error.kind(), ErrorKind::Capacity, "{status}: {error}");
        assert!(error.message().contains("No capacity"), "{status}: {error}");
    }
}

#[tokio::test]
async fn the_bytes_of_a_create_are_the_documented_ones_and_the_same_each_time() {
    let bench = Bench::new();
    let intent = bench.intent(&bench.provider()).await;
    let (parrot, provider) = parrot(Ok(json(StatusCode::CREATED, &json!({"id": "inst_a"}))));
    for _ in 0..2 {
        provider.create(&intent).await.unwrap();
    }
    let heard = parrot.heard.lock().await;
    let [first, second] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(first.method(), "POST");
    assert_eq!(first.uri(), "https://api.fal.ai/v1/compute/instances");
    assert_eq!(first.headers()["authorization"], format!("Key {KEY}"));
    assert_eq!(first.headers()["idempotency-key"], intent.key().as_str());
    assert_eq!(first.headers()["content-type"], "application/json");
    let expected =
        format!(r#"{{"instance_type":"gpu_1x_h100_sxm5","ssh_key":"{}"}}"#, intent.public_key());
    assert_eq!(first.body(), expected.as_bytes());
    assert_eq!((first.headers(), first.body()), (second.headers(), second.body()));
}

#[tokio::test]
async fn each_status_of_a_look_is_absent_there_or_an_error() {
    let id = "inst_a".parse().unwrap();
    let not_found = json(StatusCode::NOT_FOUND, &refusal("not_found"));
    let (_, provider) = parrot(Ok(not_found));
    assert!(matches!(provider.inspect(&id).await.unwrap(), Sighting::Absent));
    for (answer, kind) in [
        (json(StatusCode::UNAUTHORIZED, &refusal("authorization_error")), ErrorKind::Denied),
        (json(StatusCode::FORBIDDEN, &refusal("authorization_error")), ErrorKind::Denied),
        (json(StatusCode::TOO_MANY_REQUESTS, &refusal("rate_limited")), ErrorKind::Unavailable),
        (json(StatusCode::INTERNAL_SERVER_ERROR, &refusal("server_error")), ErrorKind::Unavailable),
        (page(StatusCode::NOT_FOUND), ErrorKind::NotFound),
        (
            json(StatusCode::OK, &json!({"id": "inst_b", "instance_type": "t", "status": "ready"})),
            ErrorKind::Protocol,
        ),
        (json(StatusCode::OK, &json!({"id": "inst_a"})), ErrorKind::Protocol),
        (json(StatusCode::OK, &json!({})), ErrorKind::Protocol),
    ] {
        let told = format!("{answer:?}");
        let (_, provider) = parrot(Ok(answer));
        let error = provider.inspect(&id).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{told}: {error}");
    }
}

#[tokio::test]
async fn the_scope_is_the_address_and_the_account_and_never_the_key() {
    let (_, provider) = parrot(Ok(json(StatusCode::OK, &json!({"username": "acme"}))));
    let scope = provider.scope().await.unwrap();
    assert_eq!(
        (scope.endpoint.as_str(), scope.account.as_str()),
        ("https://api.fal.ai/v1", "acme")
    );
    for body in [json!({}), json!({"username": ""}), json!({"username": null}), json!([])] {
        let (_, provider) = parrot(Ok(json(StatusCode::OK, &body)));
        assert_eq!(provider.scope().await.unwrap_err().kind(), ErrorKind::Protocol, "{body}");
    }
}

#[tokio::test]
async fn a_key_that_comes_back_in_an_answer_is_not_shown() {
    let echo =
        json!({"error": {"type": "authorization_error", "message": format!("bad key {KEY}")}});
    let (_, provider) = parrot(Ok(json(StatusCode::UNAUTHORIZED, &echo)));
    let error = provider.scope().await.unwrap_err();
    assert!(!format!("{error} {error:?} {provider:?}").contains("planted-secret"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_done_when_fal_says_so_or_knows_no_such_instance() {
    for (fault, expected) in [
        (None, Ok(())),
        (Some(json(StatusCode::NOT_FOUND, &refusal("not_found"))), Ok(())),
        (
            Some(json(StatusCode::FORBIDDEN, &json!({"detail": "User is locked. Reason: x."}))),
            Err((ErrorKind::Denied, Effect::None)),
        ),
        (
            Some(json(StatusCode::UNAUTHORIZED, &refusal("authorization_error"))),
            Err((ErrorKind::Denied, Effect::None)),
        ),
        (
            Some(json(StatusCode::TOO_MANY_REQUESTS, &refusal("rate_limited"))),
            Err((ErrorKind::Unavailable, Effect::Unknown)),
        ),
        (Some(page(StatusCode::BAD_GATEWAY)), Err((ErrorKind::Unavailable, Effect::Unknown))),
    ] {
        let bench = Bench::new();
        let provider = bench.provider();
        let owned = bench.owned(&provider).await;
        if let Some(answer) = fault {
            let delete = lease_emulator::script::Matching::method(http::Method::DELETE);
            let refused = lease_emulator::script::Plan::at(0, Fault::RefusedBefore(answer));
            bench.cloud.plan(refused.on(delete));
        }
        let found = provider.destroy(&owned).await.map_err(|it| (it.kind(), it.effect()));
        assert_eq!(found, expected);
    }
}
