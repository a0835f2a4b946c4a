//! The ledger: what existed, whose it was, and what it cost.

use lease_emulator::hetzner::{Deletion, Fate, Policy, Refusal, billed_hours};
use lease_emulator::{Cloud as _, LedgerEntry};
use serde_json::json;

use crate::client::{Client, KEYS, OK, PROJECT, id, labels, pass, seconds, wish, wish_with};

fn server(client: &Client, name: &str) -> LedgerEntry {
    let ledger = client.cloud.ledger();
    ledger.into_iter().find(|entry| entry.kind == "server" && entry.name == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_ledger_keeps_everything_that_ever_was_in_order() {
    let client = Client::new(Policy::immediate());
    client.cloud.plant_server("theirs", "foreign", labels(&[("a", "b")]));
    let key = json!({"name": "key", "public_key": KEYS[0]});
    client.post("/ssh_keys", &key).await.expect_status(201);
    pass(seconds(7)).await;
    let wish = wish_with("one", json!({"labels": {"lease": "x"}, "ssh_keys": ["key"]}));
    let made = client.post("/servers", &wish).await.expect_status(201).body;
    pass(seconds(5)).await;
    client.delete(&format!("/servers/{}", id(&made["server"]))).await.expect_status(OK);
    let ledger = client.cloud.ledger();
    let kinds: Vec<_> =
        ledger.iter().map(|entry| (entry.kind.as_str(), entry.foreign, entry.gone)).collect();
    let (ip, gone) = ("primary_ip", Some(seconds(12)));
    let expected = [
        ("server", true, None),
        (ip, true, None),
        (ip, true, None),
        ("ssh_key", false, None),
        ("server", false, gone),
        (ip, false, gone),
        (ip, false, gone),
    ];
    assert_eq!(kinds, expected);
    let one = server(&client, "one");
    assert_eq!(one.account, PROJECT);
    assert_eq!(one.labels, labels(&[("lease", "x")]));
    assert_eq!(one.public_keys, [KEYS[0]]);
    assert_eq!(one.born, seconds(7));
    assert_eq!(one.id, id(&made["server"]).to_string());
    assert_eq!(server(&client, "foreign").account, "theirs");
}

#[tokio::test(start_paused = true)]
async fn a_server_is_billed_in_started_hours_until_it_is_deleted() {
    let client = Client::new(Policy::immediate());
    let wish = wish_with("one", json!({"server_type": "ccx63", "location": "hel1"}));
    let made = client.post("/servers", &wish).await.expect_status(201).body;
    let hours = |client: &Client| billed_hours(&server(client, "one"), client.cloud.now());
    assert_eq!(hours(&client), 1);
    pass(seconds(3600)).await;
    assert_eq!(hours(&client), 1);
    pass(seconds(1)).await;
    assert_eq!(hours(&client), 2);
    let path = format!("/servers/{}", id(&made["server"]));
    client.post(&format!("{path}/actions/poweroff"), &json!({})).await.expect_status(201);
    pass(seconds(3600)).await;
    assert_eq!(hours(&client), 3, "a server that is off is billed");
    client.delete(&path).await.expect_status(OK);
    pass(seconds(36_000)).await;
    assert_eq!(hours(&client), 3);
    assert_eq!(server(&client, "one").cents_per_hour, 137, "1.368 euro, rounded up");
    let costs: Vec<_> = client
        .cloud
        .ledger()
        .iter()
        .filter(|entry| entry.kind == "primary_ip")
        .map(|entry| entry.cents_per_hour)
        .collect();
    assert_eq!(costs, [1, 0], "an IPv4 costs, an IPv6 is free");
}

#[tokio::test(start_paused = true)]
async fn what_failed_after_it_was_made_is_in_the_ledger_and_what_was_refused_is_not() {
    let client = Client::new(Policy::immediate());
    client.cloud.next_refusal(Refusal::ServerError);
    client.post("/servers", &wish("refused")).await.expect_status(500);
    assert_eq!(client.cloud.ledger(), []);
    client.cloud.next_server(Fate::CreateFails);
    let made = client.create("failed").await;
    assert_eq!(server(&client, "failed").gone, None);
    client.cloud.next_deletion(Deletion::Fails);
    let path = format!("/servers/{}", id(&made["server"]));
    client.delete(&path).await.expect_status(OK);
    assert_eq!(server(&client, "failed").gone, None);
    client.delete(&path).await.expect_status(OK);
    assert!(server(&client, "failed").gone.is_some());
}
