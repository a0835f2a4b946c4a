//! What cannot be had or does not come up is given back, and only what may help is tried instead.

use lease_core::engine::{Left, Outcome};
use lease_core::{ErrorKind, Phase};
use lease_emulator::Cloud as _;
use lease_emulator::hetzner::{Access, Deletion, Fate, Limits, Policy, Stock};

use crate::bench::{Desk, PROJECT, assert_released, wish};

const LOCATIONS: [&str; 3] = ["fsn1", "nbg1", "hel1"];

/// Says how much there is of a type everywhere that is tried.
fn stock(desk: &Desk, machine_type: &str, stock: Stock) {
    for location in LOCATIONS {
        desk.bench.cloud.stock(machine_type, location, stock);
    }
}

async fn server_type(desk: &Desk) -> String {
    let listed = desk.bench.get("/servers").await;
    listed["servers"][0]["server_type"]["name"].as_str().unwrap().to_owned()
}

/// A real stock-out leads to the next candidate, and never before the first one is gone.
#[tokio::test(start_paused = true)]
async fn a_stock_out_leads_to_the_next_candidate_once_the_first_is_gone() {
    for empty in [Stock::SecretlySoldOut, Stock::Unplaceable] {
        let desk = Desk::new(Policy::default());
        stock(&desk, "cx23", empty);
        let claim = desk.acquire().await.unwrap_or_else(|it| panic!("{empty:?}: {it}"));
        assert_eq!(server_type(&desk).await, "cpx22", "{empty:?}");
        assert_eq!(claim.failed_candidates().len(), 3, "one for each location");
        let ledger = desk.bench.cloud.ledger();
        for (index, one) in ledger.iter().enumerate() {
            for later in ledger.iter().skip(index + 1).filter(|it| it.kind == one.kind) {
                assert!(one.gone.is_some_and(|gone| gone <= later.born), "{one:?} and {later:?}");
            }
        }
        assert_released(&desk.release(claim.lease()).await);
        desk.assert_clean();
    }
}

/// What the catalogue says is sold out is not even tried while there is something else.
#[tokio::test(start_paused = true)]
async fn what_is_known_to_be_sold_out_costs_no_attempt() {
    let desk = Desk::new(Policy::default());
    stock(&desk, "cx23", Stock::SoldOut);
    let claim = desk.acquire().await.unwrap();
    assert_eq!(claim.failed_candidates(), []);
    assert_eq!(server_type(&desk).await, "cpx22");
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_type_that_was_named_is_never_replaced_by_another() {
    let desk = Desk::new(Policy::default());
    stock(&desk, "cx23", Stock::SecretlySoldOut);
    let mut request = wish();
    request.spec.class = None;
    request.spec.machine_type = Some("cx23".to_owned());
    let failure = desk.engine().acquire(request).await.unwrap_err();
    assert_eq!((failure.error.kind(), failure.left), (ErrorKind::Capacity, Left::Released));
    assert_eq!(desk.bench.ever("server"), 0);
    desk.assert_clean();
}

/// Where the project is full, another type is tried in vain, so none is.
#[tokio::test(start_paused = true)]
async fn a_full_project_is_told_and_no_other_type_is_tried() {
    for (limits, named) in [
        (Limits { servers: Some(0), ..Limits::default() }, "server_limit"),
        (Limits { primary_ips: Some(0), ..Limits::default() }, "primary_ip_limit"),
    ] {
        let desk = Desk::new(Policy::default());
        desk.bench.cloud.limit(PROJECT, limits);
        let failure = desk.acquire().await.unwrap_err();
        assert_eq!((failure.error.kind(), failure.left), (ErrorKind::Unavailable, Left::Released));
        let told = failure.error.to_string();
        assert!(told.contains(named) && told.contains("higher limit"), "{told}");
        assert_eq!(desk.bench.ever("ssh_key"), 1, "more than one candidate was tried");
        desk.assert_clean();
    }
}

/// A limit on dedicated cores leaves the types without them.
#[tokio::test(start_paused = true)]
async fn a_limit_on_dedicated_cores_leads_to_the_next_candidate() {
    let desk = Desk::new(Policy::default());
    desk.bench.cloud.limit(PROJECT, Limits { dedicated_cores: Some(40), ..Limits::default() });
    let mut request = wish();
    request.spec.class = Some("xlarge".to_owned());
    stock(&desk, "ccx53", Stock::SoldOut);
    let failure = desk.engine().acquire(request.clone()).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Capacity, "48 cores are more than 40");
    stock(&desk, "ccx53", Stock::Plenty);
    let claim = desk.engine().acquire(request).await.unwrap();
    assert_eq!(server_type(&desk).await, "ccx53");
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// A server whose start failed is billed like any other.
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_come_up_is_deleted() {
    for fate in [Fate::StartFails, Fate::CreateFails, Fate::Stuck] {
        let desk = Desk::new(Policy::default());
        desk.bench.cloud.next_server(fate);
        let failure = desk.acquire().await.unwrap_err();
        assert_eq!(failure.left, Left::Released, "{fate:?}");
        let told = failure.error.to_string();
        let reason = if fate == Fate::Stuck { "no login within" } else { "action_failed" };
        assert!(told.contains(reason), "{fate:?}: {told}");
        assert_eq!(desk.bench.ever("server"), 1);
        desk.assert_clean();
    }
}

/// A deletion that was accepted and failed is sent again.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_comes_to_nothing_is_repeated() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    desk.bench.cloud.next_deletion(Deletion::Fails);
    desk.bench.cloud.next_deletion(Deletion::Fails);
    assert_released(&desk.release(claim.lease()).await);
    assert_eq!(desk.bench.deletions().iter().filter(|it| *it == "servers").count(), 3);
    desk.assert_clean();
}

/// A token that may only read loses nothing: the record stays, says why, and the lease ends when the token is back.
#[tokio::test(start_paused = true)]
async fn a_token_that_may_only_read_needs_attention_and_heals() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    desk.bench.cloud.restrict(&desk.bench.token, Access::ReadOnly);
    let Outcome::Pending(pending) = desk.release(claim.lease()).await else {
        panic!("released with a token that may not delete");
    };
    assert_eq!(pending.phase(), Phase::NeedsAttention);
    assert!(format!("{pending:?}").contains("read-and-write token"), "{pending:?}");
    assert_eq!(desk.bench.alive().len(), 3);
    desk.bench.cloud.restrict(&desk.bench.token, Access::ReadWrite);
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// A token that may only read makes nothing, and that is proven: the record ends.
#[tokio::test(start_paused = true)]
async fn a_token_that_may_only_read_makes_nothing() {
    let desk = Desk::new(Policy::default());
    desk.bench.cloud.restrict(&desk.bench.token, Access::ReadOnly);
    let failure = desk.acquire().await.unwrap_err();
    assert_eq!((failure.error.kind(), failure.left), (ErrorKind::Denied, Left::Released));
    assert!(failure.error.to_string().contains("read-and-write token"), "{}", failure.error);
    desk.assert_clean();
}

/// A token that is revoked in mid-life keeps the record too.
#[tokio::test(start_paused = true)]
async fn a_revoked_token_keeps_the_record() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    desk.bench.cloud.revoke(&desk.bench.token);
    let outcome = desk.release(claim.lease()).await;
    assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    desk.bench.cloud.admit(&desk.bench.token, PROJECT, Access::ReadWrite);
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}
