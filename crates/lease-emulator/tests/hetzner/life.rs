//! The life of a server: its actions, its states, its end.

use std::collections::BTreeSet;

use lease_emulator::hetzner::{Command, Deletion, Fate, NameFreed, Policy, RepeatedDelete, Sight};
use serde_json::{Value, json};

use crate::client::{Client, OK, id, pass, seconds, wish, wish_with};

/// The status of an action, with the code of its error.
async fn action(client: &Client, action: &Value) -> (String, Value) {
    let answer = client.get(&format!("/actions/{}", id(action))).await.expect_status(OK);
    let action = &answer.body["action"];
    let ended = action["status"] != "running";
    assert_eq!(action["finished"].is_null(), !ended);
    assert_eq!(action["progress"] == 100, ended);
    (action["status"].as_str().unwrap().to_owned(), action["error"]["code"].clone())
}

fn succeeded() -> (String, Value) {
    ("success".to_owned(), Value::Null)
}

fn running() -> (String, Value) {
    ("running".to_owned(), Value::Null)
}

fn failed() -> (String, Value) {
    ("error".to_owned(), json!("action_failed"))
}

#[tokio::test(start_paused = true)]
async fn a_server_is_initializing_then_starting_then_running() {
    let client = Client::new(Policy::default());
    let made = client.create("one").await;
    let server = id(&made["server"]);
    assert_eq!(made["server"]["status"], "initializing");
    assert_eq!(made["action"]["command"], "create_server");
    assert_eq!(made["action"]["resources"], json!([{"id": server, "type": "server"}]));
    assert_eq!(made["next_actions"][0]["command"], "start_server");
    let (create, start) = (&made["action"], &made["next_actions"][0]);
    for (status, created, started) in [
        ("initializing", running(), running()),
        ("starting", succeeded(), running()),
        ("running", succeeded(), succeeded()),
    ] {
        assert_eq!(client.status(server).await, status);
        assert_eq!(action(&client, create).await, created);
        assert_eq!(action(&client, start).await, started);
        pass(if status == "initializing" { seconds(4) } else { seconds(2) }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_to_start_is_off() {
    let client = Client::new(Policy::immediate());
    let wish = wish_with("one", json!({"start_after_create": false}));
    let made = client.post("/servers", &wish).await.expect_status(201).body;
    assert_eq!(made["next_actions"], json!([]));
    assert_eq!(client.status(id(&made["server"])).await, "off");
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_creation_fails_exists_and_is_off() {
    for (fate, created, started) in
        [(Fate::CreateFails, failed(), failed()), (Fate::StartFails, succeeded(), failed())]
    {
        let client = Client::new(Policy::default());
        client.cloud.next_server(fate);
        let made = client.create("one").await;
        assert_eq!(action(&client, &made["action"]).await, running());
        pass(seconds(60)).await;
        assert_eq!(action(&client, &made["action"]).await, created, "{fate:?}");
        assert_eq!(action(&client, &made["next_actions"][0]).await, started, "{fate:?}");
        assert_eq!(client.status(id(&made["server"])).await, "off", "{fate:?}");
        let next = client.create("two").await;
        pass(seconds(60)).await;
        assert_eq!(client.status(id(&next["server"])).await, "running", "a fate is for one server");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_server_stays_as_it_is_and_can_be_deleted() {
    let client = Client::new(Policy::default());
    client.cloud.next_server(Fate::Stuck);
    let made = client.create("one").await;
    let server = id(&made["server"]);
    pass(seconds(1_000_000)).await;
    assert_eq!(client.status(server).await, "initializing");
    assert_eq!(action(&client, &made["action"]).await, running());
    client.delete(&format!("/servers/{server}")).await.expect_status(OK);
    client.get(&format!("/servers/{server}")).await.expect_status(404);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_server_is_gone_at_once_while_its_action_runs() {
    let client = Client::new(Policy::default());
    let server = id(&client.create("one").await["server"]);
    pass(seconds(10)).await;
    let path = format!("/servers/{server}");
    let deleted = client.delete(&path).await.expect_status(OK).body;
    assert_eq!(deleted["action"]["command"], "delete_server");
    assert_eq!(action(&client, &deleted["action"]).await, running());
    assert_eq!(client.get(&path).await.problem(), (404, "not_found"));
    assert_eq!(client.delete(&path).await.problem(), (404, "not_found"));
    assert_eq!(client.get("/servers").await.body["servers"], json!([]));
    pass(seconds(2)).await;
    assert_eq!(action(&client, &deleted["action"]).await, succeeded());
    assert_eq!(client.get(&format!("{path}/actions")).await.problem(), (404, "not_found"));
}

fn lingering(repeated_delete: RepeatedDelete) -> Policy {
    let servers = Sight { found_for: seconds(5), listed_for: seconds(9), ..Sight::default() };
    Policy { servers, repeated_delete, ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn a_lingering_server_is_deleting_also_after_its_action() {
    let client = Client::new(lingering(RepeatedDelete::Locked));
    let server = id(&client.create("one").await["server"]);
    pass(seconds(10)).await;
    let deleted = client.delete(&format!("/servers/{server}")).await.expect_status(OK).body;
    assert_eq!(client.status(server).await, "deleting");
    pass(seconds(4)).await;
    assert_eq!(action(&client, &deleted["action"]).await, succeeded());
    assert_eq!(client.status(server).await, "deleting", "the action does not end the linger");
    assert_eq!(client.get("/servers").await.body["servers"][0]["status"], "deleting");
    pass(seconds(1)).await;
    client.get(&format!("/servers/{server}")).await.expect_status(404);
    let listed = client.get("/servers?name=one").await;
    assert_eq!(listed.body["servers"][0]["status"], "running", "a stale list knows nothing");
    pass(seconds(4)).await;
    assert_eq!(client.get("/servers?name=one").await.body["servers"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_second_deletion_answers_as_the_policy_says() {
    for (policy, expected) in [
        (RepeatedDelete::Locked, (423, "locked")),
        (RepeatedDelete::NotFound, (404, "not_found")),
        (RepeatedDelete::Accepted, (200, "")),
    ] {
        let client = Client::new(lingering(policy));
        let path = format!("/servers/{}", id(&client.create("one").await["server"]));
        let first = client.delete(&path).await.expect_status(OK);
        let second = client.delete(&path).await;
        assert_eq!(second.problem(), expected);
        if second.status == OK {
            assert_eq!(second.body, first.body);
        }
        pass(seconds(5)).await;
        assert_eq!(client.delete(&path).await.problem(), (404, "not_found"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_leaves_the_server_as_it_was() {
    let client = Client::new(Policy::default());
    let made = client.create("one").await;
    let server = id(&made["server"]);
    pass(seconds(10)).await;
    client.cloud.next_deletion(Deletion::Fails);
    let deleted = client.delete(&format!("/servers/{server}")).await.expect_status(OK).body;
    assert_eq!(client.status(server).await, "deleting");
    pass(seconds(2)).await;
    assert_eq!(action(&client, &deleted["action"]).await, failed());
    assert_eq!(client.status(server).await, "running");
    assert!(client.get("/primary_ips").await.body["primary_ips"][0]["assignee_id"].is_u64());
    client.delete(&format!("/servers/{server}")).await.expect_status(OK);
    client.get(&format!("/servers/{server}")).await.expect_status(404);
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_deleted_server_is_free_when_the_policy_says_so() {
    let mut policy = lingering(RepeatedDelete::Locked);
    policy.name_freed = NameFreed::WhenGone;
    let client = Client::new(policy);
    let path = format!("/servers/{}", id(&client.create("one").await["server"]));
    client.delete(&path).await.expect_status(OK);
    let early = client.post("/servers", &wish("one")).await;
    assert_eq!(early.problem(), (409, "uniqueness_error"));
    pass(seconds(5)).await;
    client.create("one").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_is_switched_off_and_on() {
    let client = Client::new(Policy::default());
    let server = id(&client.create("one").await["server"]);
    pass(seconds(10)).await;
    let off = format!("/servers/{server}/actions/poweroff");
    let on = format!("/servers/{server}/actions/poweron");
    let stopped = client.post(&off, &json!({})).await.expect_status(201).body;
    assert_eq!(stopped["action"]["command"], "stop_server");
    assert_eq!(client.status(server).await, "stopping");
    pass(seconds(2)).await;
    assert_eq!(client.status(server).await, "off");
    let started = client.post(&on, &json!({})).await.expect_status(201).body;
    assert_eq!(started["action"]["command"], "start_server");
    assert_eq!(client.status(server).await, "starting");
    pass(seconds(2)).await;
    assert_eq!(client.status(server).await, "running");
}

#[tokio::test(start_paused = true)]
async fn a_running_poweroff_locks_and_what_else_locks_is_a_policy() {
    let client = Client::new(Policy::default());
    let server = id(&client.create("one").await["server"]);
    let path = format!("/servers/{server}");
    let off = format!("{path}/actions/poweroff");
    client.post(&off, &json!({})).await.expect_status(201);
    assert_eq!(client.get(&path).await.body["server"]["locked"], true);
    let deletion = client.delete(&path).await;
    assert_eq!(deletion.problem(), (423, "locked"));
    assert_eq!(deletion.message(), "cannot perform operation because resource is locked");
    assert_eq!(client.post(&off, &json!({})).await.problem(), (423, "locked"));
    client.put(&path, &json!({"labels": {}})).await.expect_status(OK);
    pass(seconds(2)).await;
    assert_eq!(client.get(&path).await.body["server"]["locked"], false);
    client.delete(&path).await.expect_status(OK);

    let locking = BTreeSet::from([Command::CreateServer, Command::StartServer]);
    client.cloud.change(|policy| policy.locking = locking);
    let path = format!("/servers/{}", id(&client.create("two").await["server"]));
    assert_eq!(client.delete(&path).await.problem(), (423, "locked"));
    pass(seconds(4)).await;
    assert_eq!(client.delete(&path).await.problem(), (423, "locked"), "it is starting");
    pass(seconds(2)).await;
    client.delete(&path).await.expect_status(OK);
}

#[tokio::test(start_paused = true)]
async fn a_protected_or_locked_server_is_not_deleted() {
    let client = Client::new(Policy::immediate());
    let made = client.create("one").await;
    let path = format!("/servers/{}", id(&made["server"]));
    client.cloud.protect(id(&made["server"]));
    assert_eq!(client.delete(&path).await.problem(), (423, "protected"));
    assert_eq!(client.get(&path).await.body["server"]["protection"]["delete"], true);
    let other = client.create("two").await;
    let path = format!("/servers/{}", id(&other["server"]));
    client.cloud.lock(id(&other["server"]));
    pass(seconds(1_000)).await;
    assert_eq!(client.delete(&path).await.problem(), (423, "locked"));
    client.cloud.unlock(id(&other["server"]));
    client.delete(&path).await.expect_status(OK);
}

#[tokio::test(start_paused = true)]
async fn an_update_replaces_all_labels_and_keeps_what_it_does_not_name() {
    let client = Client::new(Policy::immediate());
    let wish = wish_with("one", json!({"labels": {"a": "1", "b": "2"}}));
    let made = client.post("/servers", &wish).await.expect_status(201).body;
    let path = format!("/servers/{}", id(&made["server"]));
    let relabelled = client.put(&path, &json!({"labels": {"c": "3"}})).await.expect_status(OK);
    assert_eq!(relabelled.body["server"]["labels"], json!({"c": "3"}));
    assert_eq!(relabelled.body["server"]["name"], "one");
    let renamed = client.put(&path, &json!({"name": "two"})).await.expect_status(OK);
    assert_eq!(renamed.body["server"]["labels"], json!({"c": "3"}));
    for (body, field) in [(json!({"name": "a_b"}), "name"), (json!({"labels": {"": ""}}), "labels")]
    {
        let answer = client.put(&path, &body).await;
        assert_eq!(answer.problem(), (422, "invalid_input"));
        assert_eq!(answer.body["error"]["details"]["fields"][0]["name"], field);
    }
    assert_eq!(client.get(&path).await.body["server"]["name"], "two");
}

#[tokio::test(start_paused = true)]
async fn actions_are_asked_for_by_id_by_server_and_altogether() {
    let client = Client::new(Policy::default());
    let one = client.create("one").await;
    let two = client.create("two").await;
    assert_eq!(client.get("/actions").await.problem(), (422, "invalid_input"), "ids are required");
    assert_eq!(client.get("/actions?id=x").await.problem(), (422, "invalid_input"));
    let (first, second) = (id(&one["action"]), id(&two["action"]));
    let both = client.get(&format!("/actions?id={first}&id={second}&id=5")).await;
    let found: Vec<_> = both.body["actions"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(found, [first, second]);
    client.delete(&format!("/servers/{}", id(&two["server"]))).await.expect_status(OK);
    pass(seconds(4)).await;
    let commands = |answer: &Value| -> Vec<String> {
        let actions = answer["actions"].as_array().unwrap();
        actions.iter().map(|a| a["command"].as_str().unwrap().to_owned()).collect()
    };
    let of_one = client.get(&format!("/servers/{}/actions", id(&one["server"]))).await;
    assert_eq!(commands(&of_one.body), ["create_server", "start_server"]);
    let running = client.get("/servers/actions?status=running&sort=command").await;
    assert_eq!(commands(&running.body), ["start_server", "start_server"]);
    let all = client.get("/servers/actions?sort=id:desc").await;
    assert_eq!(commands(&all.body).first().unwrap(), "delete_server");
    assert_eq!(all.body["meta"]["pagination"]["total_entries"], 5);
}
