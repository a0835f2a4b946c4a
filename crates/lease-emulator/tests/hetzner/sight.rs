//! Resources that are seen late, and look-ups that disagree with each other.

use lease_emulator::hetzner::{Policy, Sight};
use serde_json::json;

use crate::client::{Client, KEYS, OK, PROJECT, id, labels, pass, seconds, wish};

#[tokio::test(start_paused = true)]
async fn a_new_server_is_listed_late_and_its_name_is_taken_at_once() {
    let servers = Sight { listed_after: seconds(30), ..Sight::default() };
    let client = Client::new(Policy { servers, ..Policy::immediate() });
    client.cloud.plant_server(PROJECT, "theirs", labels(&[]));
    let made = client.create("ours").await;
    assert_eq!(client.get("/servers").await.names("servers"), ["theirs"]);
    assert_eq!(client.get("/servers?name=ours").await.body["servers"], json!([]));
    client.get(&format!("/servers/{}", id(&made["server"]))).await.expect_status(OK);
    let again = client.post("/servers", &wish("ours")).await;
    assert_eq!(again.problem(), (409, "uniqueness_error"), "only a second POST knows");
    pass(seconds(30)).await;
    assert_eq!(client.get("/servers?name=ours").await.names("servers"), ["ours"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_server_may_be_found_by_id_late() {
    let servers = Sight { found_after: seconds(3), ..Sight::default() };
    let client = Client::new(Policy { servers, ..Policy::immediate() });
    let path = format!("/servers/{}", id(&client.create("one").await["server"]));
    client.get(&path).await.expect_status(404);
    pass(seconds(3)).await;
    client.get(&path).await.expect_status(OK);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_seen_to_come_and_go_late() {
    let ssh_keys = Sight { listed_after: seconds(5), listed_for: seconds(5), ..Sight::default() };
    let client = Client::new(Policy { ssh_keys, ..Policy::immediate() });
    let key = json!({"name": "one", "public_key": KEYS[0]});
    let made = client.post("/ssh_keys", &key).await.expect_status(201).body;
    let path = format!("/ssh_keys/{}", id(&made["ssh_key"]));
    assert_eq!(client.get("/ssh_keys").await.body["ssh_keys"], json!([]));
    client.get(&path).await.expect_status(OK);
    assert_eq!(client.post("/ssh_keys", &key).await.status, 409);
    pass(seconds(5)).await;
    assert_eq!(client.get("/ssh_keys?name=one").await.names("ssh_keys"), ["one"]);
    client.delete(&path).await.expect_status(204);
    assert_eq!(client.get("/ssh_keys").await.names("ssh_keys"), ["one"], "the list lags");
    client.get(&path).await.expect_status(404);
    pass(seconds(5)).await;
    assert_eq!(client.get("/ssh_keys").await.body["ssh_keys"], json!([]));
}
