//! The idempotency cache of fal, in each way in which its one documented sentence may be meant.

use http::{Method, StatusCode};
use lease_emulator::fal::{
    AfterDelete, Cached, Concurrent, CreateAnomaly, EIGHT, KeyScope, KeySpace, Mismatch, ONE,
    WindowFrom, Workspace,
};

use super::{Bench, INSTANCES, KEY, SECOND, id_of, refused, wish};
use crate::asking::value;

#[tokio::test(start_paused = true)]
async fn a_replay_within_ten_minutes_is_the_first_answer_and_after_them_a_second_instance() {
    for from in [WindowFrom::FirstRequest, WindowFrom::FirstAnswer] {
        let bench = Bench::new(|it| {
            it.create_takes = 60 * SECOND;
            it.idempotency.window_from = from;
        });
        let first = bench.create_with("k", &wish(ONE, None)).await;
        tokio::time::advance(539 * SECOND).await;
        let replay = bench.create_with("k", &wish(ONE, None)).await;
        assert_eq!((replay.status(), replay.body()), (first.status(), first.body()));
        assert_eq!(bench.live(), 1);
        tokio::time::advance(SECOND).await;
        let later = bench.create_with("k", &wish(ONE, None)).await;
        let is_same = later.body() == first.body();
        assert_eq!(is_same, from == WindowFrom::FirstAnswer);
        tokio::time::advance(600 * SECOND).await;
        assert_ne!(bench.create_with("k", &wish(ONE, None)).await.body(), first.body());
    }
}

#[tokio::test(start_paused = true)]
async fn another_body_with_the_same_key_follows_the_policy() {
    let body = wish(EIGHT, None);
    for (mismatch, status, live) in [
        (Mismatch::Replay, 201, 1),
        (Mismatch::Refuse(StatusCode::UNPROCESSABLE_ENTITY), 422, 1),
        (Mismatch::New, 201, 2),
    ] {
        let bench = Bench::new(|it| it.idempotency.mismatch = mismatch);
        let first = bench.create_with("k", &wish(ONE, None)).await;
        let second = bench.create_with("k", &body).await;
        assert_eq!((second.status().as_u16(), bench.live()), (status, live), "{mismatch:?}");
        assert_eq!(first.body() == second.body(), mismatch == Mismatch::Replay);
    }
}

#[tokio::test(start_paused = true)]
async fn whether_a_failure_is_cached_follows_the_policy() {
    let failed = StatusCode::INTERNAL_SERVER_ERROR;
    for (cached, after_failure, after_refusal, live) in [
        (Cached::Successes, 201, 201, 3),
        (Cached::SuccessesAndServerErrors, 500, 201, 2),
        (Cached::Everything, 500, 402, 1),
    ] {
        let bench = Bench::new(|it| it.idempotency.cached = cached);
        bench.cloud.add_anomaly(CreateAnomaly::FailsAfter(failed));
        let body = wish(ONE, None);
        let answer = bench.create_with("a", &body).await;
        refused(&answer, 500, "server_error", "An unexpected error occurred");
        assert_eq!(bench.live(), 1);
        assert_eq!(bench.create_with("a", &body).await.status(), after_failure, "{cached:?}");
        bench.cloud.change_policy(|it| it.no_capacity = Some(StatusCode::PAYMENT_REQUIRED));
        assert_eq!(bench.create_with("b", &body).await.status(), 402);
        bench.cloud.change_policy(|it| it.no_capacity = None);
        assert_eq!(bench.create_with("b", &body).await.status(), after_refusal, "{cached:?}");
        assert_eq!(bench.live(), live, "{cached:?}");
    }
    let bench = Bench::new(|_| {});
    bench.cloud.add_anomaly(CreateAnomaly::FailsBefore(failed));
    assert_eq!(bench.create_with("a", &wish(ONE, None)).await.status(), failed);
    assert_eq!(bench.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_creates_at_once_with_one_key_follow_the_policy() {
    for (concurrent, statuses, live) in [
        (Concurrent::Block, [201, 201], 1),
        (Concurrent::Conflict, [201, 409], 1),
        (Concurrent::Duplicate, [201, 201], 2),
    ] {
        let bench = Bench::new(|it| {
            it.create_takes = 5 * SECOND;
            it.idempotency.concurrent = concurrent;
        });
        let body = wish(ONE, None);
        let (first, second) =
            tokio::join!(bench.create_with("k", &body), bench.create_with("k", &body));
        let seen = [first.status().as_u16(), second.status().as_u16()];
        assert_eq!((seen, bench.live()), (statuses, live), "{concurrent:?}");
        assert_eq!(first.body() == second.body(), concurrent == Concurrent::Block);
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_given_up_blocks_nobody() {
    let bench = Bench::new(|it| it.create_takes = 5 * SECOND);
    let body = wish(ONE, None);
    assert!(tokio::time::timeout(SECOND, bench.create_with("k", &body)).await.is_err());
    assert_eq!(bench.create_with("k", &body).await.status(), 201);
    assert_eq!(bench.live(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replay_after_the_delete_follows_the_policy() {
    for (after, status, live) in [
        (AfterDelete::OldAnswer, 201, 0),
        (AfterDelete::NotFound, 404, 0),
        (AfterDelete::New, 201, 1),
    ] {
        let bench = Bench::new(|it| it.idempotency.after_delete = after);
        let first = bench.create_with("k", &wish(ONE, None)).await;
        bench.delete(id_of(&value(&first))).await;
        let replay = bench.create_with("k", &wish(ONE, None)).await;
        assert_eq!((replay.status().as_u16(), bench.live()), (status, live), "{after:?}");
        assert_eq!(first.body() == replay.body(), after == AfterDelete::OldAnswer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_unique_within_its_workspace_or_its_credential() {
    for (scope, live) in [(KeySpace::Workspace, 2), (KeySpace::ApiKey, 3)] {
        let bench = Bench::new(|it| it.idempotency.scope = scope);
        bench.cloud.set_key("id-2:new", "ann", KeyScope::Admin);
        bench.cloud.add_workspace(Workspace::new("bob"), "id-3:bob");
        for key in [KEY, "id-2:new", "id-3:bob"] {
            let body = wish(ONE, None);
            let ask = (Method::POST, INSTANCES, body.as_str());
            let answer = bench.ask_as(Some(&format!("Key {key}")), Some("k"), ask).await;
            assert_eq!(answer.status(), 201);
        }
        assert_eq!(bench.live(), live, "{scope:?}");
    }
}
