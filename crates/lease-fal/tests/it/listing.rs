//! Listings: all of it, or an error.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use http::{Method, StatusCode};
use lease_core::{ErrorKind, Provider, Spec};
use lease_emulator::fal::{Cursors, Order, Paging};
use lease_emulator::script::{Fault, Matching, Plan, Stage, json};

use crate::bench::{Bench, HOME, INSTANCES, STRANGERS_KEY};

fn small_pages(order: Order, cursors: Cursors) -> Bench {
    Bench::with(|it| it.paging = Paging { size: 2, size_max: 2, order, cursors })
}

async fn listed(bench: &Bench) -> lease_core::Result<Vec<String>> {
    let inventory = bench.provider().list().await?;
    Ok(inventory.items.iter().map(|it| it.id.to_string()).collect())
}

#[tokio::test(start_paused = true)]
async fn all_pages_are_walked_in_either_order() {
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let bench = small_pages(order, Cursors::Honest);
        let mut planted: Vec<_> = (0..7).map(|_| bench.plant()).collect();
        planted.sort();
        assert_eq!(listed(&bench).await.unwrap(), planted);
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_a_shifting_page_passes_over_is_found_by_walking_again() {
    let bench = small_pages(Order::OldestFirst, Cursors::Honest);
    let planted: Vec<_> = (0..5).map(|_| bench.plant()).collect();
    let (cloud, first) = (Arc::clone(bench.cloud.inner()), planted[0].clone());
    let is_done = AtomicBool::new(false);
    // After the first page its first instance ends, so that the third one moves to where the walk has been.
    bench.cloud.hook(Arc::new(move |moment| {
        let is_page = moment.path == INSTANCES && moment.stage == Stage::AfterEffect;
        if is_page && !is_done.swap(true, Ordering::SeqCst) {
            let ended = pin!(cloud.end(&first)).poll(&mut Context::from_waker(Waker::noop()));
            assert!(ended.is_ready());
        }
    }));
    let mut expected = planted[1..].to_vec();
    expected.sort();
    assert_eq!(listed(&bench).await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_never_comes_to_rest_is_an_error() {
    let bench = small_pages(Order::NewestFirst, Cursors::Honest);
    for _ in 0..3 {
        bench.plant();
    }
    let cloud = Arc::clone(bench.cloud.inner());
    bench.cloud.hook(Arc::new(move |moment| {
        if moment.path == INSTANCES && moment.stage == Stage::BeforeEffect {
            cloud.plant(HOME, STRANGERS_KEY);
        }
    }));
    let error = listed(&bench).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Protocol), "{error}");
}

#[tokio::test(start_paused = true)]
async fn cursors_that_lead_nowhere_are_errors() {
    for cursors in [Cursors::Loop, Cursors::MoreWithoutCursor] {
        let bench = small_pages(Order::NewestFirst, cursors);
        bench.plant();
        let error = listed(&bench).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{cursors:?}: {error}");
        assert!(bench.cloud.trace().len() <= 3, "{cursors:?}: it went round");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_lost_or_unreadable_is_an_error_and_never_an_end() {
    for fault in [
        Fault::LostBefore,
        Fault::TruncatedAfter,
        Fault::GarbledAfter,
        Fault::Unavailable,
        Fault::RateLimited(Duration::from_secs(1)),
        Fault::RefusedBefore(json(StatusCode::OK, &serde_json::json!({}))),
        Fault::RefusedBefore(json(StatusCode::OK, &serde_json::json!([]))),
        Fault::RefusedBefore(json(StatusCode::NOT_FOUND, &serde_json::json!({"detail": "no"}))),
    ] {
        let bench = small_pages(Order::NewestFirst, Cursors::Honest);
        for _ in 0..5 {
            bench.plant();
        }
        let pages = Matching::request(Method::GET, INSTANCES);
        bench.cloud.plan(Plan::at(2, fault.clone()).on(pages));
        assert!(listed(&bench).await.is_err(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_not_asked_for_more_than_is_configured() {
    for page_items in [None, Some(1), Some(1_000)] {
        let bench = small_pages(Order::NewestFirst, Cursors::Honest);
        let mut planted: Vec<_> = (0..3).map(|_| bench.plant()).collect();
        planted.sort();
        let provider = bench.provider_with(|it| it.page_items = page_items);
        let ids: Vec<_> =
            provider.list().await.unwrap().items.iter().map(|it| it.id.to_string()).collect();
        assert_eq!(ids, planted, "{page_items:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_workspace_with_more_instances_than_a_record_can_hold_is_refused() {
    let bench = Bench::with(|it| {
        it.paging = Paging { size_max: usize::MAX, ..Paging::default() };
    });
    for _ in 0..10_001 {
        bench.cloud.inner().plant(HOME, STRANGERS_KEY);
    }
    let provider = bench.provider_with(|it| it.page_items = Some(20_000));
    let error = provider.plan(&Spec::new("fal")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
