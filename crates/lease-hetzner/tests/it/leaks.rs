//! Nothing is left behind: answers that are lost, processes that die, pages that nobody reads.

use std::time::Duration;

use http::{Method, StatusCode};
use lease_core::engine::{By, Outcome, Release};
use lease_core::{Effect, ErrorKind, LeaseId, Phase, Provider as _};
use lease_emulator::hetzner::{
    Fate, IpsOfDeleted, Limits, Policy, Refusal, Sight, Stock, ToldFirst,
};
use lease_emulator::script::{Fault, Matching, Plan, Times, Told};
use serde_json::json;
use tokio::time::timeout;

use crate::bench::{Desk, PROJECT, assert_released, release, wish};

const CREATES: [&str; 3] = ["/v1/ssh_keys", "/v1/primary_ips", "/v1/servers"];

/// What can become of the answer to a create that took effect.
fn losses() -> [Fault; 6] {
    [
        Fault::LostAfter,
        Fault::HangAfter,
        Fault::TruncatedAfter,
        Fault::GarbledAfter,
        Fault::ErrorAfter(StatusCode::BAD_GATEWAY),
        Fault::ErrorAfter(StatusCode::GATEWAY_TIMEOUT),
    ]
}

/// A create whose answer is lost is settled, and there is exactly one of each kind.
#[tokio::test(start_paused = true)]
async fn a_lost_create_is_settled_and_makes_one_server() {
    for create in CREATES {
        for fault in losses() {
            let desk = Desk::new(Policy::default());
            let posts = Matching::request(Method::POST, create);
            let plan = desk.bench.script.plan(Plan::at(0, fault.clone()).on(posts));
            let claim =
                desk.acquire().await.unwrap_or_else(|it| panic!("{create} {fault:?}: {it}"));
            assert_eq!(desk.bench.script.fired(plan), 1, "{create} {fault:?}");
            for kind in ["ssh_key", "primary_ip", "server"] {
                assert_eq!(desk.bench.ever(kind), 1, "{create} {fault:?}: {kind}");
            }
            assert_released(&desk.release(claim.lease()).await);
            desk.assert_clean();
        }
    }
}

/// A name that is taken by what the first create made is what the first create made.
#[tokio::test(start_paused = true)]
async fn a_lost_create_that_no_list_shows_yet_is_settled_by_the_same_post() {
    let late = Duration::from_millis(1900);
    let sight = Sight { listed_after: late, found_after: late, ..Sight::default() };
    for create in CREATES {
        let policy =
            Policy { servers: sight, ssh_keys: sight, primary_ips: sight, ..Policy::default() };
        let desk = Desk::new(policy);
        let posts = Matching::request(Method::POST, create);
        desk.bench.script.plan(Plan::at(0, Fault::LostAfter).on(posts));
        let claim = desk.acquire().await.unwrap();
        let sent = desk.bench.mutations();
        let sent = sent.iter().filter(|it| it.method == Method::POST && it.path == create).count();
        assert!(sent >= 2, "{create} was settled by a look, so this tested nothing");
        for kind in ["ssh_key", "primary_ip", "server"] {
            assert_eq!(desk.bench.ever(kind), 1, "{create}: {kind}");
        }
        assert_released(&desk.release(claim.lease()).await);
        desk.assert_clean();
    }
}

/// What says that it failed on the way, without an effect, is sent again.
#[tokio::test(start_paused = true)]
async fn a_create_that_may_have_happened_and_did_not_is_sent_again() {
    for refusal in [
        Refusal::Conflict,
        Refusal::Locked,
        Refusal::ServerError,
        Refusal::BadGateway,
        Refusal::Unavailable,
        Refusal::Timeout,
        Refusal::ServiceError,
    ] {
        let desk = Desk::new(Policy::default());
        desk.bench.cloud.next_refusal(refusal);
        let claim = desk.acquire().await.unwrap_or_else(|it| panic!("{refusal:?}: {it}"));
        assert_eq!(desk.bench.ever("server"), 1, "{refusal:?}");
        assert_eq!(claim.failed_candidates(), [], "{refusal:?}: another type was tried");
        assert_released(&desk.release(claim.lease()).await);
        desk.assert_clean();
    }
}

/// What the first delivery of a create used up is what the second one is turned down for, and that is no proof that
/// nothing was made.
#[tokio::test(start_paused = true)]
async fn a_create_that_arrives_twice_makes_one_server_whatever_the_second_is_told() {
    type Change = fn(&Desk);
    let used_up: [(&str, Change); 3] = [
        ("the address", |_| {}),
        ("the limit", |it| {
            let limits = Limits { servers: Some(1), ..Limits::default() };
            it.bench.cloud.limit(PROJECT, limits);
        }),
        ("the last one", |it| it.bench.cloud.stock("cx23", "fsn1", Stock::Left(1))),
    ];
    for (what, change) in used_up {
        let desk = Desk::new(Policy { told_first: ToldFirst::Means, ..Policy::default() });
        change(&desk);
        let posts = Matching::request(Method::POST, "/v1/servers");
        let plan = desk.bench.script.plan(Plan::at(0, Fault::Twice).on(posts));
        let claim = desk.acquire().await.unwrap_or_else(|it| panic!("{what}: {it}"));
        assert_eq!(desk.bench.script.fired(plan), 1, "{what}");
        let id = format!("server-{}", desk.bench.alive_id("server"));
        assert_eq!(claim.resources()[2].id().unwrap().as_str(), id, "{what}");
        assert_eq!(desk.bench.ever("server"), 1, "{what}");
        assert_released(&desk.release(claim.lease()).await);
        desk.assert_clean();
    }
}

/// The same where nothing shows the server yet: an address in use is waited for.
#[tokio::test(start_paused = true)]
async fn an_address_in_use_means_a_server_that_is_not_shown_yet() {
    let late = Duration::from_millis(1900);
    let sight = Sight { listed_after: late, found_after: late, ..Sight::default() };
    let policy = Policy { servers: sight, told_first: ToldFirst::Means, ..Policy::default() };
    let desk = Desk::new(policy);
    let posts = Matching::request(Method::POST, "/v1/servers");
    desk.bench.script.plan(Plan::at(0, Fault::Twice).on(posts));
    let claim = desk.acquire().await.unwrap();
    assert_eq!(desk.bench.ever("server"), 1);
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// A create that lands after its connection is long gone is found and given back.
#[tokio::test(start_paused = true)]
async fn a_create_that_lands_late_is_not_called_absent_before() {
    for told in [Told::Nothing, Told::Status(StatusCode::GATEWAY_TIMEOUT)] {
        let desk = Desk::new(Policy::default());
        let late = Fault::Late { by: Duration::from_secs(40), told };
        // The replays are lost as well, so that only waiting can tell.
        let always = Plan::at(0, late).times(Times::Count(1));
        let posts = || Matching::request(Method::POST, "/v1/servers");
        desk.bench.script.plan(always.on(posts()));
        let lost = Plan::at(1, Fault::LostBefore).times(Times::Always);
        desk.bench.script.plan(lost.on(posts()));
        match desk.acquire().await {
            Ok(claim) => assert_released(&desk.release(claim.lease()).await),
            Err(failure) => {
                let lease = failure.lease.unwrap();
                assert_released(&desk.release(&lease).await);
            }
        }
        desk.bench.script.settle().await;
        assert_eq!(desk.bench.ever("server"), 1, "nothing landed, so this tested nothing");
        desk.assert_clean();
    }
}

/// A process that dies anywhere in between leaves a record from which the next one goes on.
#[tokio::test(start_paused = true)]
async fn whoever_comes_after_a_killed_process_clears_what_it_made() {
    for (after, method) in [
        (CREATES[0], Method::POST),
        (CREATES[1], Method::POST),
        (CREATES[2], Method::POST),
        ("/v1/servers/", Method::GET),
    ] {
        let desk = Desk::new(Policy::default());
        let hang = Plan::at(0, Fault::HangAfter).times(Times::Count(1));
        let plan = desk.bench.script.plan(hang.on(Matching::request(method, after)));
        let dies = Duration::from_secs(5);
        let killed = timeout(dies, desk.acquire()).await;
        assert!(killed.is_err(), "{after}: it did not hang, so nobody was killed");
        assert_eq!(desk.bench.script.fired(plan), 1, "{after}");
        let lease = only_lease(&desk).await;
        let request = Release::new(By::Reaper, "its owner died");
        assert_released(&desk.engine().release(&lease, request).await.unwrap());
        desk.assert_clean();
    }
}

async fn only_lease(desk: &Desk) -> LeaseId {
    let view = desk.engine().glance().await.unwrap();
    assert_eq!(view.claims.len(), 1);
    view.claims[0].claim.lease().clone()
}

/// A rollback that is turned down is recorded, and gone on with later.
#[tokio::test(start_paused = true)]
async fn a_rollback_that_is_turned_down_is_gone_on_with() {
    for fault in [
        Fault::Unavailable,
        Fault::RateLimited(Duration::from_secs(5)),
        Fault::LostBefore,
        Fault::RefusedBefore(lease_emulator::script::json(
            StatusCode::LOCKED,
            &json!({"error": {"code": "locked", "message": "cannot perform operation because resource is locked"}}),
        )),
    ] {
        let desk = Desk::new(Policy::default());
        desk.bench.cloud.next_server(Fate::StartFails);
        let outage = Plan::at(0, fault.clone()).times(Times::For(Duration::from_secs(1_000)));
        desk.bench.script.plan(outage.on(Matching::method(Method::DELETE)));
        let failure = desk.acquire().await.unwrap_err();
        let lease = failure.lease.unwrap();
        assert_eq!(desk.bench.alive().len(), 3, "{fault:?}");
        tokio::time::advance(Duration::from_secs(1_000)).await;
        assert_released(&desk.release(&lease).await);
        desk.assert_clean();
    }
}

/// What is on the second page is listed, and the servers of others are not touched.
#[tokio::test(start_paused = true)]
async fn a_lease_behind_sixty_servers_of_others_is_listed_and_theirs_stay() {
    let desk = Desk::new(Policy::immediate());
    for number in 0..60 {
        let labels = [("managed-by".to_owned(), "lease".to_owned())].into();
        desk.bench.cloud.plant_server(PROJECT, &format!("theirs-{number}"), labels);
    }
    let claim = desk.acquire().await.unwrap();
    let inventory = desk.bench.provider().list().await.unwrap();
    assert_eq!(inventory.items.iter().filter(|it| it.kind == "server").count(), 61);
    for resource in claim.resources() {
        assert!(inventory.items.iter().any(|it| Some(&it.id) == resource.id()), "{resource:?}");
    }
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
    assert!(desk.bench.foreign().iter().all(|it| it.gone.is_none()), "something foreign is gone");
}

/// What another installation left is listed, with its marks and with when it ends.
#[tokio::test(start_paused = true)]
async fn what_another_installation_left_is_listed_with_when_it_ends() {
    let theirs = Desk::new(Policy::immediate());
    let mut request = wish();
    request.total = Some(Duration::from_secs(3600));
    let claim = theirs.engine().acquire(request).await.unwrap();
    let ours = Desk::of(theirs.bench.clone());
    let view = ours.engine().observe(Some("hetzner")).await.unwrap();
    let inventory = view.inventories["hetzner"].as_ref().unwrap();
    assert_eq!(inventory.items.len(), 3);
    for item in &inventory.items {
        assert_eq!(item.marks.as_ref().unwrap().lease, *claim.lease());
    }
    let ends = claim.ends_at().unwrap().as_millis() / 1000;
    for entry in ours.bench.alive() {
        assert_eq!(entry.labels["lease-ends"], ends.to_string(), "{}", entry.kind);
    }
    assert_released(&theirs.release(claim.lease()).await);
    theirs.assert_clean();
}

/// An address that outlives its server is listed, and deleted with its lease.
#[tokio::test(start_paused = true)]
async fn an_address_that_outlives_its_server_is_deleted() {
    let policy = Policy { ips_of_deleted: IpsOfDeleted::LeftOver, ..Policy::default() };
    let desk = Desk::new(policy);
    let claim = desk.acquire().await.unwrap();
    // Somebody deletes the server in the console.
    let server = desk.bench.alive_id("server");
    desk.bench.ask(Method::DELETE, &format!("/servers/{server}"), &json!(null)).await;
    assert_eq!(desk.bench.alive_kinds(), ["ssh_key", "primary_ip"]);
    let listed = desk.bench.provider().list().await.unwrap();
    assert!(listed.items.iter().any(|it| it.kind == "primary_ipv4" && it.marks.is_some()));
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// Every address of a lease is one that carries its labels: the cloud never makes one by itself.
#[tokio::test(start_paused = true)]
async fn no_address_is_ever_made_without_our_labels() {
    let desk = Desk::new(Policy::default());
    for ipv6 in [false, true] {
        let mut request = wish();
        request.spec.options.insert("ipv6".to_owned(), json!(ipv6));
        let claim = desk.engine().acquire(request).await.unwrap();
        let addresses: Vec<_> =
            desk.bench.alive().into_iter().filter(|it| it.kind == "primary_ip").collect();
        assert_eq!(addresses.len(), 1 + usize::from(ipv6));
        for address in addresses {
            assert_eq!(address.labels["lease-id"], claim.lease().as_str());
        }
        assert_released(&desk.release(claim.lease()).await);
    }
    desk.assert_clean();
}

/// A key is needed as long as its server lives, and an address as long as it is assigned.
#[tokio::test(start_paused = true)]
async fn deletions_are_in_the_reverse_order_of_creation() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    let created: Vec<_> =
        desk.bench.mutations().into_iter().filter(|it| it.method == Method::POST).collect();
    let created: Vec<_> = created.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(created, CREATES);
    assert_released(&desk.release(claim.lease()).await);
    assert_eq!(desk.bench.deletions(), ["servers", "primary_ips", "ssh_keys"]);
    desk.assert_clean();
}

/// What is seen late in every way, by id too, is neither forgotten nor called gone too early.
#[tokio::test(start_paused = true)]
async fn a_cloud_that_shows_everything_late_loses_nothing() {
    let late = Duration::from_millis(1900);
    let sight = Sight { listed_after: late, found_after: late, listed_for: late, found_for: late };
    let policy =
        Policy { servers: sight, ssh_keys: sight, primary_ips: sight, ..Policy::default() };
    let desk = Desk::new(policy);
    for _ in 0..3 {
        let claim = desk.acquire().await.unwrap();
        assert_released(&desk.release(claim.lease()).await);
    }
    assert_eq!(desk.bench.ever("server"), 3);
    desk.assert_clean();
}

/// A lock on the server, by whatever runs on it, delays its deletion and does not end it.
#[tokio::test(start_paused = true)]
async fn a_locked_server_is_deleted_once_it_is_free() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    let server = desk.bench.alive_id("server");
    desk.bench.cloud.lock(server);
    let (engine, lease, cloud) =
        (desk.engine(), claim.lease().clone(), std::sync::Arc::clone(&desk.bench.cloud));
    let releasing = tokio::spawn(async move { release(&engine, &lease).await });
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::task::yield_now().await;
    cloud.unlock(server);
    assert_released(&releasing.await.unwrap());
    desk.assert_clean();
}

/// Protection is somebody's decision: it is told, not fought.
#[tokio::test(start_paused = true)]
async fn a_protected_server_stays_and_a_person_is_told_what_to_do() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    desk.bench.cloud.protect(desk.bench.alive_id("server"));
    let Outcome::Pending(pending) = desk.release(claim.lease()).await else {
        panic!("a protected server was called released");
    };
    assert_eq!(pending.phase(), Phase::NeedsAttention);
    assert!(format!("{pending:?}").contains("take the protection away"), "{pending:?}");
    assert_eq!(desk.bench.alive().len(), 3);
}

/// A create is never sent when only the reserve is left; a deletion always is.
#[tokio::test(start_paused = true)]
async fn deletions_find_requests_left_when_creates_have_used_up_theirs() {
    let policy = Policy { requests_per_second: 0.001, ..Policy::default() };
    let desk = Desk::new(policy);
    let claim = desk.acquire().await.unwrap();
    let provider = desk.bench.provider();
    // Somebody else in the project asks all the time.
    for _ in 0..3_390 {
        desk.bench.get("/locations").await;
    }
    provider.scope().await.unwrap();
    let error = provider.plan(&wish().spec).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert!(error.asked_to_wait().is_some());
    assert_released(&release(&desk.engine_of(provider), claim.lease()).await);
    desk.assert_clean();
}

/// The documents say so, and the reserve for deletions is made for it.
#[tokio::test(start_paused = true)]
async fn a_whole_lease_costs_at_most_a_hundred_requests() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    let made = desk.bench.script.trace().len();
    assert_released(&desk.release(claim.lease()).await);
    let all = desk.bench.script.trace().len();
    assert!(made <= 25 && all <= 100, "{made} requests until it was ready, {all} in all");
    desk.assert_clean();
}
