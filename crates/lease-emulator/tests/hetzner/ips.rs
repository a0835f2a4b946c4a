//! Primary IPs: made with servers, deleted with them, or left over.

use lease_emulator::hetzner::{IpsOfDeleted, Policy};
use serde_json::{Value, json};

use crate::client::{Client, OK, PROJECT, id, wish_with};

async fn ips(client: &Client) -> Vec<Value> {
    client.get("/primary_ips").await.body["primary_ips"].as_array().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn each_enabled_family_gets_an_ip_that_goes_with_the_server() {
    for (net, families) in [
        (json!({}), vec!["ipv4", "ipv6"]),
        (json!({"enable_ipv4": false}), vec!["ipv6"]),
        (json!({"enable_ipv6": false}), vec!["ipv4"]),
    ] {
        let client = Client::new(Policy::immediate());
        let wish = wish_with("one", json!({"public_net": net, "labels": {"a": "b"}}));
        let made = client.post("/servers", &wish).await.expect_status(201).body;
        let found = ips(&client).await;
        let types: Vec<_> = found.iter().map(|ip| ip["type"].as_str().unwrap()).collect();
        assert_eq!(types, families);
        for ip in &found {
            let family = ip["type"].as_str().unwrap();
            assert_eq!(ip["assignee_id"], made["server"]["id"]);
            assert_eq!(ip["auto_delete"], true);
            assert_eq!(ip["labels"], json!({}), "labels of the server are not copied");
            assert_eq!(made["server"]["public_net"][family]["ip"], ip["ip"]);
            let path = format!("/primary_ips/{}", id(ip));
            assert_eq!(&client.get(&path).await.body["primary_ip"], ip);
            assert_eq!(client.delete(&path).await.problem(), (422, "must_be_unassigned"));
        }
        for family in ["ipv4", "ipv6"] {
            let shown = &made["server"]["public_net"][family];
            assert_eq!(shown.is_null(), !families.contains(&family));
        }
        client.delete(&format!("/servers/{}", id(&made["server"]))).await.expect_status(OK);
        assert_eq!(ips(&client).await, Vec::<Value>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn ips_are_left_over_where_the_policy_says_so() {
    let policy = Policy { ips_of_deleted: IpsOfDeleted::LeftOver, ..Policy::immediate() };
    let client = Client::new(policy);
    let made = client.create("one").await;
    client.delete(&format!("/servers/{}", id(&made["server"]))).await.expect_status(OK);
    let left = ips(&client).await;
    assert_eq!(left.len(), 2);
    for ip in left {
        assert_eq!(ip["assignee_id"], Value::Null);
        assert_eq!(ip["assignee_type"], "unassigned");
        let path = format!("/primary_ips/{}", id(&ip));
        client.delete(&path).await.expect_status(204);
        assert_eq!(client.delete(&path).await.problem(), (404, "not_found"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_ip_without_auto_delete_survives_its_server_and_serves_the_next() {
    let client = Client::new(Policy::immediate());
    let made = client.create("one").await;
    let ip = id(&made["server"]["public_net"]["ipv4"]);
    let path = format!("/primary_ips/{ip}");
    let change = json!({"auto_delete": false, "name": "kept", "labels": {"a": "b"}});
    client.put(&path, &change).await.expect_status(OK);
    let again = wish_with("two", json!({"public_net": {"ipv4": ip}}));
    let taken = client.post("/servers", &again).await;
    assert_eq!(taken.problem(), (422, "primary_ip_assigned"));
    client.delete(&format!("/servers/{}", id(&made["server"]))).await.expect_status(OK);
    assert_eq!(client.get("/primary_ips?name=kept").await.names("primary_ips"), ["kept"]);
    let six = wish_with("two", json!({"public_net": {"ipv6": ip}}));
    assert_eq!(client.post("/servers", &six).await.problem(), (412, "primary_ip_version_mismatch"));
    let far = wish_with("two", json!({"location": "hel1", "public_net": {"ipv4": ip}}));
    let problem = client.post("/servers", &far).await;
    assert_eq!(problem.problem(), (422, "primary_ip_datacenter_mismatch"));
    let next = client.post("/servers", &again).await.expect_status(201).body;
    assert_eq!(id(&next["server"]["public_net"]["ipv4"]), ip);
    assert_eq!(client.get(&path).await.body["primary_ip"]["assignee_id"], next["server"]["id"]);
}

#[tokio::test(start_paused = true)]
async fn a_planted_ip_can_be_protected_and_filtered() {
    let client = Client::new(Policy::immediate());
    let planted = client.cloud.plant_primary_ip(PROJECT);
    client.create("one").await;
    let path = format!("/primary_ips/{planted}");
    let ip = client.get(&path).await.body["primary_ip"]["ip"].as_str().unwrap().to_owned();
    let found = client.get(&format!("/primary_ips?ip={ip}")).await;
    assert_eq!(found.body["primary_ips"].as_array().unwrap().len(), 1);
    assert_eq!(found.body["primary_ips"][0]["id"], planted);
    client.cloud.protect(planted);
    assert_eq!(client.delete(&path).await.problem(), (423, "protected"));
}

#[tokio::test(start_paused = true)]
async fn an_ip_that_is_made_by_itself_has_its_name_and_labels_and_serves_one_server() {
    let client = Client::new(Policy::immediate());
    let wish = |name: &str| {
        json!({"name": name, "type": "ipv4", "assignee_type": "server", "location": "fsn1",
            "auto_delete": true, "labels": {"a": "b"}})
    };
    let made = client.post("/primary_ips", &wish("one")).await.expect_status(201).body;
    let ip = &made["primary_ip"];
    assert_eq!((&ip["name"], &ip["labels"]), (&json!("one"), &json!({"a": "b"})));
    assert_eq!(ip["assignee_id"], Value::Null);
    let again = client.post("/primary_ips", &wish("one")).await;
    assert_eq!(again.problem(), (409, "uniqueness_error"));
    let mut nowhere = wish("two");
    nowhere["location"] = json!("mars1");
    assert_eq!(client.post("/primary_ips", &nowhere).await.problem(), (422, "invalid_input"));
    let net = json!({"enable_ipv6": false, "ipv4": id(ip)});
    let server = client.post("/servers", &wish_with("s", json!({"public_net": net}))).await;
    let server = server.expect_status(201).body;
    assert_eq!(server["server"]["public_net"]["ipv4"]["id"], ip["id"]);
    client.delete(&format!("/servers/{}", id(&server["server"]))).await.expect_status(OK);
    assert_eq!(ips(&client).await, Vec::<Value>::new());
}
