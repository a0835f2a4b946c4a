//! Which headers of an answer a caller can read, and what a wait that was asked for becomes.

use std::time::Duration;

use http::Method;
use lease_http::RateLimit;

use crate::server::{Given, call};

const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

async fn wait(status: u16, headers: &[(&str, &str)]) -> Option<u64> {
    let failure =
        Given::answer(status, headers, "").client().send(call(Method::GET)).await.unwrap_err();
    let wait = failure.retry_after();
    assert_eq!(failure.to_error().asked_to_wait(), wait);
    wait.map(|it| it.as_secs())
}

#[tokio::test]
async fn retry_after_has_two_forms_and_a_bound() {
    for (value, expected) in [
        ("0", Some(0)),
        ("7", Some(7)),
        (" 7 ", Some(7)),
        ("900", Some(900)),
        ("901", Some(900)),
        ("99999999999999999999999999", Some(900)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("soon", None),
        ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
        ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
        ("Sun Nov  6 08:50:07 1994", Some(30)),
        ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
        ("Mon, 06 Nov 2034 08:49:07 GMT", Some(900)),
        ("Mon, 99 Nov 2034 08:49:07 GMT", None),
    ] {
        assert_eq!(wait(503, &[DATE, ("retry-after", value)]).await, expected, "{value:?}");
    }
}

#[tokio::test]
async fn a_time_without_the_date_of_the_answer_says_nothing() {
    assert_eq!(wait(503, &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]).await, None);
    assert_eq!(wait(429, &[("ratelimit-reset", "784111800")]).await, None);
}

#[tokio::test]
async fn the_end_of_a_rate_limit_is_a_wait_of_at_most_a_minute_after_a_429() {
    let reset = |value| ("ratelimit-reset", value);
    assert_eq!(wait(429, &[DATE, reset("784111782")]).await, Some(5));
    assert_eq!(wait(429, &[DATE, reset("784115377")]).await, Some(60));
    assert_eq!(wait(429, &[DATE, reset("784111776")]).await, None);
    assert_eq!(wait(429, &[DATE, reset("soon")]).await, None);
    assert_eq!(wait(503, &[DATE, reset("784111782")]).await, None);
    assert_eq!(wait(429, &[DATE, reset("784111782"), ("retry-after", "9")]).await, Some(9));
}

#[tokio::test]
async fn an_answer_shows_its_headers_as_plain_values() {
    let headers = [
        ("ratelimit-limit", "3600"),
        ("ratelimit-remaining", "2456"),
        ("ratelimit-reset", "1731011315"),
        ("retry-after", "3"),
        ("x-request-id", "r-1"),
        ("x-correlation-id", "c-1"),
        ("content-type", "application/json"),
    ];
    let answer = Given::answer(200, &headers, "").client().send(call(Method::GET)).await.unwrap();
    let expected =
        RateLimit { limit: Some(3600), remaining: Some(2456), reset: Some(1_731_011_315) };
    assert_eq!(answer.rate_limit(), expected);
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(3)));
    assert_eq!(answer.correlation_id(), Some("c-1"));
    assert_eq!(answer.content_type(), Some("application/json"));
}
