//! SSH keys.

use lease_emulator::Cloud as _;
use lease_emulator::hetzner::{NameCase, Policy};
use serde_json::{Value, json};

use crate::client::{Client, KEYS, OK, PROJECT, id, labels, wish_with};

fn key(name: &str, public_key: &str) -> Value {
    json!({"name": name, "public_key": public_key, "labels": {"name": name}})
}

#[tokio::test(start_paused = true)]
async fn a_key_is_made_found_changed_and_deleted() {
    let client = Client::new(Policy::immediate());
    let made = client.post("/ssh_keys", &key("one", KEYS[0])).await.expect_status(201);
    let made = made.body["ssh_key"].clone();
    assert_eq!(made["public_key"], KEYS[0]);
    assert_eq!(made["labels"], json!({"name": "one"}));
    client.post("/ssh_keys", &key("two", KEYS[1])).await.expect_status(201);
    let fingerprint = made["fingerprint"].as_str().unwrap();
    assert_eq!(fingerprint.split(':').count(), 16);
    let encoded = fingerprint.replace(':', "%3A");
    for (query, expected) in [
        (String::new(), vec!["one", "two"]),
        ("?name=one".to_owned(), vec!["one"]),
        (format!("?fingerprint={encoded}"), vec!["one"]),
        ("?label_selector=name%3Dtwo".to_owned(), vec!["two"]),
        ("?sort=name:desc".to_owned(), vec!["two", "one"]),
    ] {
        let found = client.get(&format!("/ssh_keys{query}")).await.names("ssh_keys");
        assert_eq!(found, expected, "{query}");
    }
    let path = format!("/ssh_keys/{}", id(&made));
    assert_eq!(client.get(&path).await.body["ssh_key"], made);
    let change = json!({"name": "three", "labels": {"a": "b"}});
    let changed = client.put(&path, &change).await.expect_status(OK);
    assert_eq!(changed.body["ssh_key"]["name"], "three");
    assert_eq!(changed.body["ssh_key"]["labels"], json!({"a": "b"}), "labels are replaced whole");
    let gone = client.delete(&path).await.expect_status(204);
    assert_eq!(gone.text, "");
    assert_eq!(client.get(&path).await.problem(), (404, "not_found"));
    assert_eq!(client.delete(&path).await.problem(), (404, "not_found"));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_unique_by_name_and_by_material() {
    let client = Client::new(Policy::immediate());
    client.post("/ssh_keys", &key("one", KEYS[0])).await.expect_status(201);
    let name = client.post("/ssh_keys", &key("one", KEYS[1])).await;
    assert_eq!(name.problem(), (409, "uniqueness_error"));
    assert_eq!(name.message(), "SSH key name is already used");
    let recommented = format!("{} another comment", KEYS[0].rsplit_once(' ').unwrap().0);
    let material = client.post("/ssh_keys", &key("two", &recommented)).await;
    assert_eq!(material.problem(), (409, "uniqueness_error"));
    assert_eq!(material.message(), "SSH key with the same fingerprint already exists");
    assert_eq!(material.body["error"]["details"], json!({"fields": [{"name": "public_key"}]}));
    let two = client.post("/ssh_keys", &key("two", KEYS[1])).await.expect_status(201);
    let path = format!("/ssh_keys/{}", id(&two.body["ssh_key"]));
    let renamed = client.put(&path, &json!({"name": "one"})).await;
    assert_eq!(renamed.problem(), (409, "uniqueness_error"));
    client.delete(&path).await.expect_status(204);
    client.post("/ssh_keys", &key("two", KEYS[1])).await.expect_status(201);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_somebody_else_blocks_the_same_material() {
    let client = Client::new(Policy::immediate());
    let planted = client.cloud.plant_ssh_key(PROJECT, ("theirs", KEYS[0]), labels(&[]));
    let answer = client.post("/ssh_keys", &key("ours", KEYS[0])).await;
    assert_eq!(answer.problem(), (409, "uniqueness_error"));
    assert_eq!(client.get("/ssh_keys").await.body["ssh_keys"][0]["id"], planted);
}

#[tokio::test(start_paused = true)]
async fn case_distinguishes_names_unless_the_policy_says_otherwise() {
    let client = Client::new(Policy::immediate());
    client.post("/ssh_keys", &key("one", KEYS[0])).await.expect_status(201);
    client.cloud.change(|policy| policy.name_case = NameCase::Folded);
    let folded = client.post("/ssh_keys", &key("ONE", KEYS[1])).await;
    assert_eq!(folded.problem(), (409, "uniqueness_error"));
    client.cloud.change(|policy| policy.name_case = NameCase::Distinct);
    client.post("/ssh_keys", &key("ONE", KEYS[1])).await.expect_status(201);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_none_is_invalid() {
    let client = Client::new(Policy::immediate());
    for (body, field) in [
        (json!({"public_key": KEYS[0]}), "name"),
        (json!({"name": "a"}), "public_key"),
        (json!({"name": "a", "public_key": "ssh-ed25519 nonsense"}), "public_key"),
        (json!({"name": "a", "public_key": KEYS[0], "labels": {"-": ""}}), "labels"),
    ] {
        let answer = client.post("/ssh_keys", &body).await;
        assert_eq!(answer.problem(), (422, "invalid_input"), "{body}");
        assert_eq!(answer.body["error"]["details"]["fields"][0]["name"], field);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_keeps_the_key_that_was_deleted() {
    let client = Client::new(Policy::immediate());
    let made = client.post("/ssh_keys", &key("one", KEYS[0])).await.expect_status(201);
    let wish = wish_with("server", json!({"ssh_keys": ["one"]}));
    client.post("/servers", &wish).await.expect_status(201);
    let path = format!("/ssh_keys/{}", id(&made.body["ssh_key"]));
    client.delete(&path).await.expect_status(204);
    let ledger = client.cloud.ledger();
    let server = ledger.iter().find(|entry| entry.kind == "server").unwrap();
    assert_eq!(server.public_keys, [KEYS[0]]);
}
