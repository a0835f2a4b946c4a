//! Nothing foreign is taken, changed or deleted, whatever it is called and whatever it pretends to be.

use std::collections::BTreeMap;

use http::Method;
use lease_core::engine::{Left, Outcome};
use lease_core::{Effect, ErrorKind, LeaseId, Nonce, Provider as _, Sighting};
use lease_emulator::hetzner::{Access, Policy};
use lease_emulator::script::{Fault, Matching, Plan};
use serde_json::{Value, json};

use crate::bench::{Bench, Desk, PROJECT, assert_released, config_of, public_key, release, wish};

/// A server of somebody else with the name that ours will have. The names come from the lease's id, so it is planted
/// when the key of the lease is there already.
fn plant_server_of_the_lease(bench: &Bench) -> String {
    let key = bench.alive().into_iter().find(|it| it.kind == "ssh_key").unwrap();
    let name = format!("{}-2", key.labels["lease-id"]);
    bench.cloud.plant_server(PROJECT, &name, BTreeMap::new());
    name
}

#[tokio::test(start_paused = true)]
async fn a_name_that_somebody_else_took_is_a_conflict_and_theirs_is_left_alone() {
    let desk = Desk::new(Policy::default());
    // The first create of a server is lost before it arrives; meanwhile somebody takes the name.
    let posts = Matching::request(Method::POST, "/v1/servers");
    desk.bench.script.plan(Plan::at(0, Fault::HangBefore).on(posts));
    let bench = desk.bench.clone();
    let planting = async {
        while bench
            .script
            .trace()
            .iter()
            .all(|it| it.path != "/v1/servers" || it.method != Method::POST)
        {
            lease_core::retry::pause(std::time::Duration::from_millis(50)).await;
        }
        plant_server_of_the_lease(&bench)
    };
    let (acquired, name) = tokio::join!(desk.acquire(), planting);
    let failure = acquired.unwrap_err();
    assert_eq!(desk.bench.ever("server"), 0);
    let theirs = desk.bench.foreign().into_iter().find(|it| it.name == name).unwrap();
    assert_eq!(theirs.gone, None, "it was deleted");
    assert!(theirs.labels.is_empty(), "it was relabelled");
    // Nobody else draws our names, so without any marks it might be ours: the lease names it and waits for a person.
    let lease = failure.lease.unwrap();
    let pending = desk.release(&lease).await;
    assert!(
        matches!(&pending, Outcome::Pending(claim)
            if claim.obstacle().is_some_and(|it| it.message.contains(&theirs.id))),
        "{pending:?}"
    );
    let renamed = json!({ "name": "theirs" });
    desk.bench.ask(Method::PUT, &format!("/servers/{}", theirs.id), &renamed).await;
    lease_core::retry::pause(std::time::Duration::from_secs(600)).await;
    assert_released(&desk.release(&lease).await);
    desk.assert_clean();
}

/// The key's material is unique in a project too: a key of the user with it is neither taken nor deleted.
#[tokio::test(start_paused = true)]
async fn a_key_that_the_user_has_already_is_neither_taken_nor_deleted() {
    let desk = Desk::new(Policy::default());
    let lease = first_lease(&desk).await;
    let again = Desk::of(desk.bench.clone());
    // Both desks draw the same lease, so its key is known beforehand.
    let key = public_key(lease.as_str());
    let planted = again.bench.cloud.plant_ssh_key(PROJECT, ("mine", &key), BTreeMap::new());
    let failure = again.acquire().await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Conflict);
    assert_eq!(failure.left, Left::Released);
    assert!(failure.error.to_string().contains("mine"), "{}", failure.error);
    let theirs = again.bench.foreign().into_iter().find(|it| it.id == planted.to_string()).unwrap();
    assert_eq!(theirs.gone, None);
    again.assert_clean();
}

async fn first_lease(desk: &Desk) -> LeaseId {
    let claim = desk.acquire().await.unwrap();
    assert_released(&desk.release(claim.lease()).await);
    claim.lease().clone()
}

/// Labels can be copied, but the nonce decides, and an id without it is left alone.
#[tokio::test(start_paused = true)]
async fn a_server_whose_marks_somebody_changed_is_not_deleted() {
    for change in [
        json!({"labels": {}}),
        json!({"labels": {"managed-by": "lease", "lease-id": "lse-aaaaaaaaaaaaaaaaaaaa",
            "lease-installation": "aaaaaaaaaaaaaaaaaaaaaaaaaa", "lease-nonce": "aaaaaaaaaaaaaaaaaaaaaaaaaa"}}),
    ] {
        let desk = Desk::new(Policy::default());
        let claim = desk.acquire().await.unwrap();
        let path = format!("/servers/{}", desk.bench.alive_id("server"));
        let before = desk.bench.get(&path).await["server"]["labels"].clone();
        desk.bench.ask(Method::PUT, &path, &change).await;
        let outcome = desk.release(claim.lease()).await;
        assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
        assert_eq!(desk.bench.deletions(), Vec::<String>::new());
        desk.bench.ask(Method::PUT, &path, &json!({ "labels": before })).await;
        assert_released(&desk.release(claim.lease()).await);
        desk.assert_clean();
    }
}

/// Renaming changes nothing, because ids and marks decide.
#[tokio::test(start_paused = true)]
async fn what_somebody_renamed_is_found_and_deleted_and_what_took_its_name_is_not() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    let (key, server) = (desk.bench.alive_id("ssh_key"), desk.bench.alive_id("server"));
    let key_path = format!("/ssh_keys/{key}");
    let name = desk.bench.get(&key_path).await["ssh_key"]["name"].as_str().unwrap().to_owned();
    desk.bench.ask(Method::PUT, &key_path, &json!({"name": "renamed"})).await;
    desk.bench.ask(Method::PUT, &format!("/servers/{server}"), &json!({"name": "renamed"})).await;
    let theirs =
        desk.bench.cloud.plant_ssh_key(PROJECT, (&name, &public_key("theirs")), BTreeMap::new());
    let found = desk.bench.provider().inspect(&format!("server-{server}").parse().unwrap()).await;
    let Ok(Sighting::Found(found)) = found else { panic!("{found:?}") };
    assert_eq!(found.reach.as_ref(), claim.usable(), "a new name is another way to log in");
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
    let theirs = desk.bench.foreign().into_iter().find(|it| it.id == theirs.to_string()).unwrap();
    assert_eq!(theirs.gone, None);
}

/// Of two that carry the marks, neither is taken for the one.
#[tokio::test(start_paused = true)]
async fn two_servers_with_the_same_marks_are_unclear_and_none_is_deleted_blindly() {
    let desk = Desk::new(Policy::default());
    let posts = Matching::request(Method::POST, "/v1/servers");
    desk.bench.script.plan(Plan::at(0, Fault::HangAfter).on(posts));
    let bench = desk.bench.clone();
    let copying = async {
        while bench.alive().iter().all(|it| it.kind != "server") {
            lease_core::retry::pause(std::time::Duration::from_millis(50)).await;
        }
        let ours = bench.alive().into_iter().find(|it| it.kind == "server").unwrap();
        bench.cloud.plant_server(PROJECT, "copy", ours.labels)
    };
    let (acquired, copy) = tokio::join!(desk.acquire(), copying);
    let failure = acquired.unwrap_err();
    assert_eq!(failure.left, Left::MayExist);
    assert_eq!(desk.bench.deletions(), Vec::<String>::new());
    desk.bench.ask(Method::DELETE, &format!("/servers/{copy}"), &Value::Null).await;
    assert_released(&desk.release(&failure.lease.unwrap()).await);
    desk.assert_clean();
}

/// Whoever copies a server copies its labels too. The copy is not the lease's, and the lease is not called gone either.
#[tokio::test(start_paused = true)]
async fn a_server_with_copied_marks_is_not_deleted_with_the_lease() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    let ours = desk.bench.alive().into_iter().find(|it| it.kind == "server").unwrap();
    let copy = desk.bench.cloud.plant_server(PROJECT, "copy", ours.labels);
    let outcome = desk.release(claim.lease()).await;
    assert!(matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
    let is_it = |it: &lease_emulator::LedgerEntry| it.id == copy.to_string() && it.gone.is_none();
    assert!(desk.bench.foreign().iter().any(is_it), "it was deleted");
    let path = format!("/servers/{copy}");
    desk.bench.ask(Method::PUT, &path, &json!({ "labels": {} })).await;
    assert_released(&desk.release(claim.lease()).await);
    assert!(desk.bench.foreign().iter().any(is_it), "it was deleted");
    desk.assert_clean();
}

/// What others wrote stays.
#[tokio::test(start_paused = true)]
async fn a_new_deadline_keeps_the_labels_of_others() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    let path = format!("/servers/{}", desk.bench.alive_id("server"));
    let mut labels = desk.bench.get(&path).await["server"]["labels"].clone();
    labels["cost-centre"] = json!("42");
    desk.bench.ask(Method::PUT, &path, &json!({ "labels": labels })).await;
    let until = lease_core::Deadlines {
        expires_at: Some(claim.last_used().after(std::time::Duration::from_secs(600))),
        ..lease_core::Deadlines::default()
    };
    desk.engine().touch(claim.lease(), Some(until)).await.unwrap();
    let after = desk.bench.get(&path).await["server"]["labels"].clone();
    labels["lease-ends"] = json!((until.expires_at.unwrap().as_millis() / 1000).to_string());
    assert_eq!(after, labels);
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// Invariant I9: a token of another project is noticed before anything is asked about the lease.
#[tokio::test(start_paused = true)]
async fn a_token_of_another_project_is_refused_before_any_deletion() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    let other = desk.bench.cloud.grant("theirs", Access::ReadWrite);
    let elsewhere = desk.bench.provider_of(config_of(&other));
    let before = desk.bench.script.trace().len();
    let outcome = release(&desk.engine_of(elsewhere), claim.lease()).await;
    let Outcome::Pending(pending) = outcome else { panic!("{outcome:?}") };
    assert!(format!("{pending:?}").contains("ScopeChanged"), "{pending:?}");
    let asked = &desk.bench.script.trace()[before..];
    assert!(
        asked.iter().all(|it| it.path == "/v1/ssh_keys" && it.method == Method::GET),
        "{asked:?}"
    );
    assert_eq!(desk.bench.alive().len(), 3);
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// With a name for the project, a second token of it gives the lease back.
#[tokio::test(start_paused = true)]
async fn a_project_with_a_name_is_recognised_by_each_of_its_tokens() {
    let desk = Desk::new(Policy::default());
    let labels = BTreeMap::from([("lease-project".to_owned(), "shop".to_owned())]);
    desk.bench.cloud.plant_ssh_key(PROJECT, ("ann", &public_key("ann")), labels);
    let claim = desk.acquire().await.unwrap();
    assert_eq!(claim.scope().account, "project:shop");
    let second = desk.bench.cloud.grant(PROJECT, Access::ReadWrite);
    let engine = desk.engine_of(desk.bench.provider_of(config_of(&second)));
    assert_released(&release(&engine, claim.lease()).await);
    desk.assert_clean();
    let two = BTreeMap::from([("lease-project".to_owned(), "other".to_owned())]);
    desk.bench.cloud.plant_ssh_key(PROJECT, ("bob", &public_key("bob")), two);
    let error = desk.bench.provider().scope().await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Refused, Effect::None));
    assert!(error.to_string().contains("leave one name"), "{error}");
}

/// Two installations in one project never take each other's servers.
#[tokio::test(start_paused = true)]
async fn a_release_takes_only_the_resources_of_its_own_lease() {
    let ours = Desk::new(Policy::default());
    let one = ours.acquire().await.unwrap();
    let two = ours.acquire().await.unwrap();
    assert_released(&ours.release(one.lease()).await);
    let left = ours.bench.alive();
    assert_eq!(left.len(), 3);
    assert!(left.iter().all(|it| it.labels["lease-id"] == two.lease().as_str()));
    assert_released(&ours.release(two.lease()).await);
    ours.assert_clean();
}

/// Copying the marks of one resource gives nobody another one of the same lease.
#[tokio::test(start_paused = true)]
async fn the_marks_of_a_lease_are_its_own_and_fresh_for_each_resource() {
    let desk = Desk::new(Policy::default());
    let claim = desk.engine().acquire(wish()).await.unwrap();
    let nonces: std::collections::BTreeSet<Nonce> =
        desk.bench.alive().iter().map(|it| it.labels["lease-nonce"].parse().unwrap()).collect();
    assert_eq!(nonces.len(), 3);
    assert_released(&desk.release(claim.lease()).await);
}
