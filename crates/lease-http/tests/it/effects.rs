//! What each status and each lost call means, as a table.

use std::time::Duration;

use http::Method;
use lease_core::{Effect, Error, ErrorKind};
use lease_http::{Call, Stage, WireError};

use crate::server::{Given, call};

const N: Effect = Effect::None;
const U: Effect = Effect::Unknown;

#[tokio::test]
async fn every_status_has_its_class_and_only_a_clear_refusal_is_without_effect() {
    use ErrorKind as K;
    let table = [
        (300, K::Protocol, U),
        (301, K::Protocol, U),
        (302, K::Protocol, U),
        (304, K::Protocol, U),
        (307, K::Protocol, U),
        (308, K::Protocol, U),
        (400, K::Invalid, N),
        (401, K::Denied, N),
        (402, K::Denied, U),
        (403, K::Denied, N),
        (404, K::NotFound, N),
        (405, K::Unsupported, N),
        (406, K::Invalid, N),
        (407, K::Denied, U),
        (408, K::Timeout, U),
        (409, K::Conflict, U),
        (410, K::NotFound, N),
        (411, K::Invalid, N),
        (412, K::Unavailable, U),
        (413, K::Invalid, N),
        (415, K::Invalid, N),
        (418, K::Protocol, U),
        (422, K::Invalid, N),
        (423, K::Busy, U),
        (425, K::Unavailable, U),
        (429, K::Unavailable, U),
        (499, K::Protocol, U),
        (500, K::Unavailable, U),
        (501, K::Unsupported, N),
        (502, K::Unavailable, U),
        (503, K::Unavailable, U),
        (504, K::Timeout, U),
        (520, K::Unavailable, U),
        (599, K::Unavailable, U),
        (600, K::Protocol, U),
        (999, K::Protocol, U),
    ];
    for (status, kind, effect) in table {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let client = Given::answer(status, &[], "").client();
            let error: Error = client.send(call(method.clone())).await.unwrap_err().into();
            assert_eq!((error.kind(), error.effect()), (kind, effect), "{method} {status}");
        }
        for method in [Method::GET, Method::HEAD] {
            let client = Given::answer(status, &[], "").client();
            let error: Error = client.send(call(method.clone())).await.unwrap_err().into();
            assert_eq!((error.kind(), error.effect()), (kind, N), "{method} {status}");
        }
    }
}

#[tokio::test]
async fn a_lost_call_is_harmless_only_if_it_reads_or_was_not_sent() {
    for (method, error, effect) in [
        (Method::POST, WireError::lost("gone"), U),
        (Method::DELETE, WireError::lost("gone"), U),
        (Method::OPTIONS, WireError::lost("gone"), U),
        (Method::GET, WireError::lost("gone"), N),
        (Method::HEAD, WireError::lost("gone"), N),
        (Method::POST, WireError::not_sent("refused"), N),
        (Method::GET, WireError::not_sent("refused"), N),
    ] {
        let failure = Given::new(Err(error)).client().send(call(method)).await.unwrap_err();
        assert_eq!(failure.effect(), effect, "{failure:?}");
        assert_eq!(failure.kind(), ErrorKind::Unavailable);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wire_that_hangs_is_ended_at_the_deadline() {
    let wire = Given::answer(200, &[], "");
    let client = wire.client();
    client.send(call(Method::GET)).await.unwrap();
    let call = Call::new(Method::POST, "wait", Duration::from_secs(3600));
    let failure = client.send(call).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Timeout);
    assert_eq!(failure.stage(), Some(Stage::Lost));
    assert_eq!(failure.to_string(), "wait: no answer within 3600s");
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_unsettled_after_a_mutation() {
    for (method, effect) in [(Method::POST, U), (Method::DELETE, U), (Method::GET, N)] {
        let headers = [("x-correlation-id", "c-1")];
        let client = Given::answer(200, &headers, r#"{"id": "seven"}"#).client();
        let answer = client.send(call(method)).await.unwrap();
        let unreadable = answer.json::<Vec<u64>>().unwrap_err();
        let unusable = answer.unusable("the answer has no id");
        for error in [unreadable, unusable] {
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Protocol, effect));
            assert!(error.message().ends_with(" (correlation id c-1)"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_knows_better_says_so() {
    let headers = [("retry-after", "7"), ("x-request-id", "r-1")];
    let body = r#"{"error": {"code": "uniqueness_error", "message": "taken"}}"#;
    let client = Given::answer(409, &headers, body).client();
    let failure = client.send(call(Method::POST)).await.unwrap_err();
    assert_eq!(failure.effect(), U);
    let body: serde_json::Value = failure.json().unwrap();
    assert_eq!(body["error"]["code"], "uniqueness_error");
    let error = failure.error(ErrorKind::Conflict, N, "the name is taken");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, N));
    assert_eq!(error.to_string(), "touch the thing: the name is taken (correlation id r-1)");
    assert_eq!(error.asked_to_wait(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_error_quotes_the_beginning_of_the_body_on_one_plain_line() {
    let body = format!("\u{1b}[31mred\u{7}\r\n\u{202e}text {}", "x".repeat(4096));
    let headers = [("x-correlation-id", "c\u{9}1")];
    let failure =
        Given::answer(503, &headers, &body).client().send(call(Method::GET)).await.unwrap_err();
    let text = failure.to_string();
    let begin = "touch the thing: the answer was 503 Service Unavailable: [31mred text xxx";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.ends_with("… (correlation id c 1)"), "{text}");
    assert!(!text.contains(|it: char| it.is_control() || it == '\u{202e}'), "{text:?}");
    assert!(text.chars().count() < 400, "{text}");
}
