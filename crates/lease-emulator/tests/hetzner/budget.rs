//! The rate limit, under a clock that stands still until it is moved.

use http::Method;
use lease_emulator::hetzner::{Access, Policy};

use crate::client::{Client, OK, PROJECT, pass, seconds};

fn limited(requests_max: u32) -> Client {
    Client::new(Policy { requests_max, ..Policy::immediate() })
}

#[tokio::test(start_paused = true)]
async fn the_default_budget_is_the_documented_one() {
    let client = Client::new(Policy::default());
    let answer = client.get("/servers").await;
    assert_eq!(answer.header("ratelimit-limit"), "3600");
    assert_eq!(answer.header("ratelimit-remaining"), "3599");
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_refuses_and_fills_by_one_each_second() {
    let client = limited(3);
    for left in ["2", "1", "0"] {
        let answer = client.get("/servers").await.expect_status(OK);
        assert_eq!(answer.header("ratelimit-remaining"), left);
    }
    let refused = client.get("/servers").await;
    assert_eq!(refused.problem(), (429, "rate_limit_exceeded"));
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    assert!(refused.body["error"]["details"].is_null());
    let before: u64 = refused.header("ratelimit-reset").parse().unwrap();
    pass(seconds(1)).await;
    let allowed = client.get("/servers").await.expect_status(OK);
    assert_eq!(allowed.header("ratelimit-remaining"), "0");
    let after: u64 = allowed.header("ratelimit-reset").parse().unwrap();
    assert_eq!(after, before + 1, "one was spent a second later");
    assert_eq!(client.get("/servers").await.status, 429);
    pass(seconds(3600)).await;
    let full = client.get("/servers").await.expect_status(OK);
    assert_eq!(full.header("ratelimit-remaining"), "2", "it fills to the brim and not beyond");
}

#[tokio::test(start_paused = true)]
async fn the_refusal_tells_the_first_half_of_the_token_and_not_the_second() {
    let client = limited(0);
    let answer = client.get("/servers").await;
    let (head, tail) = client.token.split_at(32);
    let message = format!("Limit of '0' requests per hour for token '{head}...' reached.");
    assert_eq!(answer.message(), message);
    assert!(!answer.text.contains(tail));
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_the_projects_and_not_the_tokens() {
    let client = limited(2);
    let same = client.cloud.grant(PROJECT, Access::ReadOnly);
    let other = client.cloud.grant("theirs", Access::ReadOnly);
    let get = (Method::GET, "/servers");
    client.send(get.clone(), Some(&same), "").await.expect_status(OK);
    client.send(get.clone(), Some(&same), "").await.expect_status(OK);
    client.get("/servers").await.expect_status(429);
    client.send(get.clone(), Some(&other), "").await.expect_status(OK);
    client.send(get.clone(), None, "").await.expect_status(401);
    client.send(get.clone(), Some("wrong"), "").await.expect_status(401);
    client.send(get, None, "").await.expect_status(429);
}

#[tokio::test(start_paused = true)]
async fn a_request_over_the_budget_has_no_effect() {
    let client = limited(1);
    client.create("one").await;
    let id = client.cloud.plant_server(PROJECT, "planted", std::collections::BTreeMap::new());
    client.delete(&format!("/servers/{id}")).await.expect_status(429);
    pass(seconds(1)).await;
    assert_eq!(client.get("/servers").await.names("servers"), ["one", "planted"]);
}
